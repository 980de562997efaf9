"""Feature frames on disk: one NPZ file, to be scored again without camera, microphone or wristband.

Per modality `<modality>_stamp_ns` (N,), `_known_ns` (N,), `_values` (N, D), `_valid` (N,), `_confidence` (N,) and
`_feature_set`; `start_ns` is when the recording began.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.files import replacing

FIELDS = ("stamp_ns", "known_ns", "values", "valid", "confidence", "feature_set")


class RecordingError(ValueError):
    """A file that is no recording of features; the message says why."""


@dataclass(frozen=True, slots=True)
class FeatureRecording:
    """All frames of a recording, in memory."""

    start_ns: int
    arrays: dict[Modality, dict[str, NDArray[Any]]]

    def frames(self) -> Iterator[tuple[int, FeatureFrame]]:
        """(time from which it was known, frame) in the order of `arrivals`."""
        rows = [_frames(modality, columns) for modality, columns in self.arrays.items()]
        known_ns, owners = self.arrivals()
        for time_ns, owner in zip(known_ns.tolist(), owners.tolist(), strict=True):
            yield time_ns, next(rows[owner])

    def arrivals(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """When each frame was known, in the order of time, and whose it is: the index into `arrays`.

        Of equal times those of the first modality come first; each modality keeps its own order.
        """
        times = [columns["known_ns"] for columns in self.arrays.values()]
        known_ns = np.concatenate([*times, np.zeros(0, np.int64)])  # there may be no modality at all
        owners = np.repeat(np.arange(len(times)), np.array([len(of_one) for of_one in times], int))
        order = np.argsort(known_ns, kind="stable")
        return known_ns[order], owners[order]

    def until(self, end_ns: int) -> FeatureRecording:
        """The part that was known up to a moment."""
        return FeatureRecording(self.start_ns, {m: _only(c, c["known_ns"] <= end_ns) for m, c in self.arrays.items()})


def write_recording(path: Path, start_ns: int, frames: Iterable[tuple[int, FeatureFrame]]) -> None:
    """Write (time from which it was known, frame) pairs, completely or not at all."""
    by_modality: dict[Modality, list[tuple[int, FeatureFrame]]] = {}
    for known_ns, frame in frames:
        by_modality.setdefault(frame.modality, []).append((known_ns, frame))
    arrays: dict[str, NDArray[Any]] = {"start_ns": np.array(start_ns)}
    for modality, pairs in by_modality.items():
        columns = {
            "stamp_ns": np.array([frame.stamp_ns for _, frame in pairs]),
            "known_ns": np.array([known_ns for known_ns, _ in pairs]),
            "values": np.stack([frame.values for _, frame in pairs]),
            "valid": np.array([frame.valid for _, frame in pairs]),
            "confidence": np.array([frame.confidence for _, frame in pairs], np.float32),
            "feature_set": np.array(pairs[0][1].feature_set),
        }
        arrays |= {f"{modality}_{name}": column for name, column in columns.items()}
    with replacing(path) as scratch, scratch.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_recording(path: Path) -> FeatureRecording:
    """Read a recording; raises RecordingError."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:  # np.load leaks a damaged file
            content = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise RecordingError(f"{path} is no recording of features: {error}") from error
    if "start_ns" not in content:
        raise RecordingError(f"{path} is no recording of features: it has no 'start_ns'")
    present = [modality for modality in Modality if f"{modality}_stamp_ns" in content]
    return FeatureRecording(int(content["start_ns"]), {m: _columns(path, content, m) for m in present})


def _columns(path: Path, content: dict[str, NDArray[Any]], modality: Modality) -> dict[str, NDArray[Any]]:
    missing = [name for name in FIELDS if f"{modality}_{name}" not in content]
    if missing:
        raise RecordingError(f"{path}: {modality} lacks {', '.join(missing)}")
    columns = {name: content[f"{modality}_{name}"] for name in FIELDS}
    owner, names = FEATURE_SETS.get(str(columns["feature_set"]), (None, ()))
    if owner is not modality:
        raise RecordingError(f"{path}: '{columns['feature_set']}' is no feature set of {modality}")
    frames = len(columns["stamp_ns"])
    if columns["values"].shape != (frames, len(names)) or any(len(columns[n]) != frames for n in FIELDS[1:5]):
        raise RecordingError(f"{path}: {modality} has {frames} stamps and values of shape {columns['values'].shape}")
    return columns


def _only(columns: dict[str, NDArray[Any]], kept: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    return {name: column[kept] if column.ndim else column for name, column in columns.items()}


def _frames(modality: Modality, columns: dict[str, NDArray[Any]]) -> Iterator[FeatureFrame]:
    feature_set = str(columns["feature_set"])
    rows = zip(
        columns["stamp_ns"].tolist(),
        columns["values"],
        columns["valid"].tolist(),
        columns["confidence"].tolist(),
        strict=True,
    )
    for stamp_ns, values, valid, confidence in rows:
        yield FeatureFrame(modality, stamp_ns, values, valid, confidence, feature_set)
