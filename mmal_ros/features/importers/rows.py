"""What every row of every table must obey: times that rise, values that are numbers, valid and confidence in range."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Modality
from mmal_ros.features.importers.errors import FeatureFileError
from mmal_ros.features.importers.text_table import Numbers

LATEST_S = 4e9
"""Seconds: the year 2096, if somebody counts from 1970. Beyond, the column is in another unit."""
LARGEST = float(np.finfo(np.float32).max)


class RowReader:
    """Turns rows into frames of one feature set.

    Args:
        path: for the errors.
        modality: of the frames.
        feature_set: of the frames.
        names: of the values.
        start_ns: stamp of the time 0.
    """

    def __init__(self, path: Path, modality: Modality, feature_set: str, names: Sequence[str], start_ns: int) -> None:
        self._path = path
        self._modality = modality
        self._feature_set = feature_set
        self._names = names
        self._start_ns = start_ns
        self._previous_s = -1.0

    def stamp(self, seconds: float, line: int, column: str) -> int:
        """Nanoseconds of a time in seconds that must be later than that of the row before."""
        if not 0 <= seconds <= LATEST_S:
            raise self.error(f"found {seconds:g}, expected seconds since the start, 0 or more", line, column)
        if seconds <= self._previous_s:
            relation = "the same as" if seconds == self._previous_s else "earlier than"
            problem = f"{seconds:g} s is {relation} {self._previous_s:g} s in the row before; expected rising times"
            raise self.error(problem, line, column)
        self._previous_s = seconds
        return self._start_ns + round(seconds * NANOSECONDS_PER_SECOND)

    def flag(self, value: float, line: int, column: str) -> bool:
        """A value that must be 0 or 1."""
        if value not in (0, 1):
            raise self.error(f"found {value:g}, expected 0 or 1", line, column)
        return value == 1

    def confidence(self, value: float, line: int, column: str) -> float:
        """A value that must lie between 0 and 1."""
        if not 0 <= value <= 1:
            raise self.error(f"found {value:g}, expected 0 to 1", line, column)
        return value

    def frame(self, stamp_ns: int, values: Numbers, *, valid: bool, confidence: float, line: int) -> FeatureFrame:
        """A frame of one row; its values must be finite where it is valid and are not looked at where not."""
        if not valid:
            values = np.zeros(len(self._names))
        wrong = np.flatnonzero(~(np.abs(values) <= LARGEST))
        if len(wrong):
            problem = f"found {values[wrong[0]]:g}, expected a finite number, or a row marked as not valid"
            raise self.error(problem, line, self._names[wrong[0]])
        floats = values.astype(np.float32)
        return FeatureFrame(self._modality, stamp_ns, floats, valid, float(confidence), self._feature_set)

    def error(self, problem: str, line: int, column: str) -> FeatureFileError:
        """An error in this file."""
        return FeatureFileError(self._path, problem, line=line, column=column)
