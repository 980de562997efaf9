"""A recording of an E4, as its maker exports it: a folder, or a .zip or .tar.gz of one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.e4_archive import read_export
from mmal_ros.sensors.e4_csv import PARSERS, Recorded
from mmal_ros.sensors.source import Source, SourceError, SourceState

CHUNK_LENGTH = {"acc": 3, "bvp": 6}
"""Values in one sample: about 100 ms of the fast signals, as a wristband sends them; one of all others."""


class E4Folder(Source):
    """Plays an E4 export from its beginning, as fast as it is asked.

    Yields `acc`, `bvp`, `eda`, `temperature`, `ibi` and `tag`. The streams of an export begin and end at different
    times; the earliest beginning becomes `start_ns`. `HR.csv` is left alone: its values are averages made after the
    upload, which no live wristband has. A file that is missing is named in the status.

    Raises:
        SourceError: on opening, when `path` is no E4 export; names file, line, column, what was found and expected.
    """

    def __init__(self, path: Path, start_ns: int) -> None:
        super().__init__()
        self.name = f"E4 recording {path.name}"
        self._path = path
        self._start_ns = start_ns
        self._recorded: list[Recorded] | None = None
        self._closed = threading.Event()

    def open(self) -> None:
        """Read and check the whole recording: a fraction of a second for an hour."""
        if self._recorded is not None:
            return
        files = read_export(self._path)
        recorded = [parse(files[name], f"{self._path.name}/{name}") for name, parse in PARSERS.items() if name in files]
        self._recorded = _moved(recorded, self._start_ns, self._path.name)
        missing = [name for name in PARSERS if name not in files and name != "tags.csv"]
        message = (
            f"{self._path.name} has no {' and no '.join(missing)}: what they hold stays unknown." if missing else ""
        )
        self._update(state=SourceState.STREAMING, message=message)

    def close(self) -> None:
        """End the iteration."""
        self._closed.set()
        self._update(state=SourceState.ENDED)

    def __iter__(self) -> Iterator[Sample]:
        if self._recorded is None:
            raise RuntimeError("an E4Folder is read after open(), or within `with`")
        for recorded, first, last in _chunks_in_order(self._recorded):
            if self._closed.is_set():
                return
            self._update(count="received")
            yield Sample(recorded.source, int(recorded.times_ns[first]), recorded.values[first:last], recorded.rate_hz)
        self._update(state=SourceState.ENDED)


def _moved(recorded: Sequence[Recorded], start_ns: int, name: str) -> list[Recorded]:
    """The same streams, beginning at `start_ns`."""
    starts_ns = [stream.start_ns for stream in recorded if stream.source != "tag" and len(stream.times_ns)]
    if not starts_ns:
        raise SourceError(f"{name} is an E4 export without a single value")
    origin_ns = min(starts_ns)
    for stream in recorded:
        if len(stream.times_ns) and stream.times_ns[0] < origin_ns:
            early_s = (origin_ns - int(stream.times_ns[0])) / NANOSECONDS_PER_SECOND
            raise SourceError(
                f"{name}: the first {stream.source} is {early_s:.1f} s older than the recording; "
                "are its files of different sessions?"
            )
    return [stream.moved(start_ns - origin_ns) for stream in recorded]


def _chunks_in_order(recorded: Sequence[Recorded]) -> Iterator[tuple[Recorded, int, int]]:
    """(stream, first index, index after the last) of all chunks of all streams, by the time of their last value."""
    lengths = [CHUNK_LENGTH.get(stream.source, 1) for stream in recorded]
    firsts = [np.arange(0, len(stream.times_ns), length) for stream, length in zip(recorded, lengths, strict=True)]
    lasts = [
        np.minimum(first + length, len(stream.times_ns))
        for stream, first, length in zip(recorded, firsts, lengths, strict=True)
    ]
    owners = np.repeat(np.arange(len(recorded)), [len(first) for first in firsts])
    ends_ns = np.concatenate([stream.times_ns[last - 1] for stream, last in zip(recorded, lasts, strict=True)])
    order = np.argsort(ends_ns, kind="stable")
    table = np.column_stack((owners, np.concatenate(firsts), np.concatenate(lasts)))[order]
    for owner, first, last in table.tolist():
        yield recorded[owner], first, last
