"""A session's flags and labels as files of other tools."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from mmal_ros.files import make_private
from mmal_ros.session.card import SessionError, checked_code
from mmal_ros.session.exchange.boris import write_boris
from mmal_ros.session.exchange.coding import Coding
from mmal_ros.session.exchange.eaf import write_eaf
from mmal_ros.session.exchange.foxglove import write_foxglove
from mmal_ros.session.exchange.label_studio import INTERFACE, write_tasks
from mmal_ros.session.exchange.table import write_csv
from mmal_ros.session.folder import SessionFolder
from mmal_ros.wording import why


class Format(StrEnum):
    """Which tool a session is exported for."""

    EAF = "eaf"
    CSV = "csv"
    LABEL_STUDIO = "label-studio"
    FOXGLOVE = "foxglove"
    BORIS = "boris"


_WRITERS: dict[Format, Callable[[Path, Coding], None]] = {
    Format.EAF: write_eaf,
    Format.CSV: write_csv,
    Format.LABEL_STUDIO: write_tasks,
    Format.FOXGLOVE: write_foxglove,
    Format.BORIS: write_boris,
}


def export_session(folder: SessionFolder, kind: Format, output: Path, coder: str | None = None) -> list[Path]:
    """Write a session for another tool, readable by its owner only.

    Args:
        folder: of the session.
        kind: which tool.
        output: file, for `foxglove` folder; it must not be there yet, for there may be work in it.
        coder: only what this one said, and room for what he has yet to say; by default everybody's labels.

    Returns:
        What was written.

    Raises:
        SessionError: it is there already, cannot be written, or the session has nothing to write.
    """
    if coder is not None:
        checked_code(coder, "coder")
    files = {output: _WRITERS[kind]}
    if kind == Format.LABEL_STUDIO:
        files[output.with_name(f"{output.stem}.interface.xml")] = _write_interface
    for path in files:
        if path.exists():
            raise SessionError(f"{path} is there already, and might hold work; choose another --output")
    coding = Coding.of(folder, coder)
    for path, write in files.items():
        _appear(path, write, coding)
    return list(files)


def _write_interface(path: Path, _: Coding) -> None:
    path.write_text(INTERFACE)


def _appear(path: Path, write: Callable[[Path, Coding], None], coding: Coding) -> None:
    """Let a file or folder appear as a whole, and private from its first byte on."""
    try:
        with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as private:
            scratch = Path(private) / path.name
            write(scratch, coding)
            for part in (scratch, *(scratch.iterdir() if scratch.is_dir() else ())):
                make_private(part)
            scratch.rename(path)
    except OSError as error:
        raise SessionError(f"{path} cannot be written: {why(error)}") from error
