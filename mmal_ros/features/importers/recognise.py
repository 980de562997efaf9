"""What a file is, when it is not what an importer was told: by its first bytes or its first lines, never its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

HEAD_BYTES = 1 << 16

_OPENFACE = "make the features from the video with OpenFace 2"
_NUMBER_LINE = re.compile(r"-?\d+(\.\d+)?([,\s]+-?\d+(\.\d+)?)*\s*$")


class Kind(NamedTuple):
    """One kind of file: what people call it, and what to do with it."""

    name: str
    advice: str


E4 = Kind("a signal of an Empatica E4 export", "give the whole export to the wristband: --wristband folder:PATH")
IMOTIONS = Kind("an iMotions export", f"its action units are evidence, not intensities 0 to 5: {_OPENFACE}")
OPENFACE = Kind("an OpenFace CSV", "use read_openface")
OPENPOSE = Kind("OpenPose JSON", "use read_openpose with the folder of all frames")
OPENSMILE = Kind("openSMILE low-level descriptors", "use read_opensmile")
OPENSMILE_FUNCTIONALS = Kind(
    "openSMILE functionals, one row a file",
    "make low-level descriptors: SMILExtract -lldcsvoutput, feature_level='lld'",
)
OPENSMILE_ARFF = Kind("an ARFF file of openSMILE", "make CSV: SMILExtract -lldcsvoutput instead of -lldarffoutput")
PYFEAT = Kind("a py-feat table", f"it has no gaze, no 3-D landmarks and no intensities 0 to 5: {_OPENFACE}")

_BY_FIRST_BYTES: tuple[tuple[bytes, Kind], ...] = (
    (b"PAR1", Kind("a Parquet file", "use read_table")),
    (b"PK\x03\x04", Kind("a zip archive or an office document", "unpack it, or save the sheet as CSV")),
    (b"\x1f\x8b", Kind("a gzip archive", "unpack it")),
    (b"RIFF", Kind("a sound or video file", "run the tool on it and give its table")),
    (b"\x89HDF", Kind("an HDF5 file", "save the table as CSV or Parquet")),
    (b"\x89PNG", Kind("a picture", "run the tool on it and give its table")),
    (b"\xff\xd8\xff", Kind("a picture", "run the tool on it and give its table")),
    (b"\xff\xfe", Kind("text in UTF-16", "save it as UTF-8")),
    (b"\xfe\xff", Kind("text in UTF-16", "save it as UTF-8")),
)
_MOVIE = Kind("a video file", "run the tool on it and give its table")


def looks_like(path: Path) -> Kind | None:
    """The kind of the file, None where nothing tells."""
    if path.is_dir():
        return Kind("a folder", "give one file of it")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for magic, kind in _BY_FIRST_BYTES:
        if head.startswith(magic):
            return kind
    return _MOVIE if head[4:8] == b"ftyp" else _of_text(head.decode("utf-8-sig", errors="replace"))


def hint(path: Path, *expected: Kind) -> str:
    """A sentence to put before an error: "this looks like …; do …. ", or nothing to add."""
    kind = looks_like(path)
    return "" if kind is None or kind in expected else f"this looks like {kind.name}; {kind.advice}. "


def _of_text(text: str) -> Kind | None:
    lines = text.splitlines()[:2]
    columns = {cell.strip().strip('"') for cell in re.split(r"[,;\t]", lines[0])} if lines else set()
    return next((kind for kind, matches in _BY_TEXT if matches(text, lines, columns)), None)


def _is_e4(lines: Sequence[str]) -> bool:
    """Line 1 is the start in Unix time, line 2 the rate; IBI.csv says so in its first line instead of a rate."""
    start = re.match(r"1\d{9}\.\d+\s*(,|$)", lines[0]) if lines else None
    return bool(start) and (lines[0].strip().endswith("IBI") or bool(_NUMBER_LINE.match(lines[-1])))


_Test = Callable[[str, Sequence[str], set[str]], bool]
_BY_TEXT: tuple[tuple[Kind, _Test], ...] = (
    (IMOTIONS, lambda text, lines, columns: text.startswith("#Study") or {"StudyName", "StimulusName"} <= columns),
    (PYFEAT, lambda text, lines, columns: "FaceRectX" in columns and bool({"FaceScore", "AU01"} & columns)),
    (OPENFACE, lambda text, lines, columns: "confidence" in columns and bool({"gaze_0_x", "AU01_r", "x_0"} & columns)),
    (OPENSMILE_ARFF, lambda text, lines, columns: text.lstrip().lower().startswith("@relation")),
    (OPENSMILE_FUNCTIONALS, lambda text, lines, columns: any(name.endswith("_amean") for name in columns)),
    (OPENSMILE, lambda text, lines, columns: any("_sma3" in name for name in columns)),
    (OPENPOSE, lambda text, lines, columns: text.lstrip().startswith("{") and '"people"' in text),
    (E4, lambda text, lines, columns: _is_e4(lines)),
)
