"""Feature frames on disk: one NPZ file, to be scored again without camera, microphone or wristband.

Per modality `<modality>_stamp_ns` (N,), `_known_ns` (N,), `_values` (N, D), `_valid` (N,), `_confidence` (N,) and
`_feature_set`; `start_ns` is when the recording began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.files import replacing
from mmal_ros.npz import NpzError, read_npz

FIELDS = ("stamp_ns", "known_ns", "values", "valid", "confidence", "feature_set")
KINDS = {"stamp_ns": "i", "known_ns": "i", "values": "f", "valid": "b", "confidence": "f"}
"""What NumPy calls the kinds of number that they are."""
LONGEST_NS = 7 * 24 * 3600 * NANOSECONDS_PER_SECOND
"""No recording lasts a week; one that says so would be scored for years."""


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

    def finite(self) -> FeatureRecording:
        """Without frames whose values are not all numbers: every window refuses them."""
        whole = {m: np.isfinite(columns["values"]).all(axis=1) for m, columns in self.arrays.items()}
        return FeatureRecording(self.start_ns, {m: _only(c, whole[m]) for m, c in self.arrays.items()})


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
        content = read_npz(path)
    except NpzError as error:
        raise RecordingError(f"{path} is no recording of features: {error}") from error
    start_ns = content.get("start_ns")
    if start_ns is None or start_ns.shape or start_ns.dtype.kind != "i":
        raise RecordingError(f"{path} is no recording of features: it has no 'start_ns'")
    present = [modality for modality in Modality if f"{modality}_stamp_ns" in content]
    recording = FeatureRecording(int(start_ns), {m: _columns(path, content, m) for m in present})
    if any(abs(int(known_ns) - recording.start_ns) > LONGEST_NS for known_ns in _ends(recording)):
        raise RecordingError(f"{path}: its frames are more than a week away from its beginning")
    return recording


def _columns(path: Path, content: dict[str, NDArray[Any]], modality: Modality) -> dict[str, NDArray[Any]]:
    missing = [name for name in FIELDS if f"{modality}_{name}" not in content]
    if missing:
        raise RecordingError(f"{path}: {modality} lacks {', '.join(missing)}")
    columns = {name: content[f"{modality}_{name}"] for name in FIELDS}
    owner, names = FEATURE_SETS.get(str(columns["feature_set"]), (None, ()))
    if owner is not modality:
        raise RecordingError(f"{path}: '{columns['feature_set']}' is no feature set of {modality}")
    frames = columns["stamp_ns"].size
    series = [columns[name] for name in FIELDS if name not in ("values", "feature_set")]
    if columns["values"].shape != (frames, len(names)) or any(one.shape != (frames,) for one in series):
        raise RecordingError(f"{path}: {modality} has {frames} stamps and values of shape {columns['values'].shape}")
    for name, kind in KINDS.items():
        if columns[name].dtype.kind != kind:
            raise RecordingError(f"{path}: {modality}_{name} holds {columns[name].dtype}")
    return columns | {"values": columns["values"].astype(np.float32, copy=False)}


def _ends(recording: FeatureRecording) -> Iterator[np.int64]:
    """The first and the last moment of each modality."""
    for columns in recording.arrays.values():
        if len(columns["known_ns"]):
            yield from (columns["known_ns"].min(), columns["known_ns"].max())


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
