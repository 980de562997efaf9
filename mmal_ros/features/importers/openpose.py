"""OpenPose: one JSON file a frame, joints as BODY_25 or as BODY_18 (its COCO model).

Format: https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md. BODY_25B has 25 joints as
well, in another order, and the files do not say so: make them with BODY_25, OpenPose's default.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, FloatArray, Modality
from mmal_ros.features.body_geometry import (
    LEFT_SHOULDER,
    NECK,
    NOSE,
    RIGHT_SHOULDER,
    body_features,
    is_body_visible,
    torso_length,
)
from mmal_ros.features.importers.errors import FeatureFileError, shown
from mmal_ros.features.importers.openpose_files import json_names, read_json
from mmal_ros.features.importers.openpose_json import parse_people
from mmal_ros.features.names import BODY

FEATURE_SET = "openpose-18"
FORGOTTEN_AFTER_S = 1.0
"""So long the followed person is waited for; then the largest person in the picture is followed."""
FARTHEST_STEP = 1.0
"""Torso lengths that a neck may move from one sighting to the next; a neck farther away is somebody else's."""
LARGEST_FRAME_NUMBER = 10**8
"""A month at 30 pictures a second; a larger number is a date or a time."""
OUTSIDE = 0.25
"""Share of the picture by which joints may lie outside it; more, and the size that was given is not the video's."""

_NUMBERED = re.compile(r"(?P<name>.*?)(?P<number>\d+)(_keypoints)?\.json")
_LISTED = 10

People = list[FloatArray]
"""(18, 3) joints of everybody in one frame."""


def read_openpose(
    path: Path, start_ns: int, rate_hz: float, width: int, height: int, *, recording: str = ""
) -> Iterator[FeatureFrame]:
    """The body of one person, frame by frame.

    Several people: the one with the largest torso is followed, from frame to frame by the nearest neck; a frame in
    which nobody's neck is within one torso length is not valid; after a second of that the largest person is followed.
    Frames without people are not valid; frames whose file is missing are left out (a gap).

    Args:
        path: a folder, .tar.gz or .zip; the files' names end in the frame's number (`video_000000012_keypoints.json`).
        start_ns: stamp of frame 0; frame n is n / `rate_hz` seconds later.
        rate_hz: pictures a second of the video.
        width: of the video, px.
        height: of the video, px.
        recording: where several recordings (cameras) lie there: part of the path and name of one of them.

    Yields:
        Frames of `openpose-18` in the order of the frame number.

    Raises:
        FeatureFileError: while iterating.
        ValueError: a rate or a size that is not above 0.
    """
    if not (0 < rate_hz < math.inf and width > 0 and height > 0):
        raise ValueError(f"expected a rate and a size above 0, got {rate_hz} Hz and {width} x {height}")
    return _frames(path, start_ns, rate_hz, width, height, recording)


def _frames(
    path: Path, start_ns: int, rate_hz: float, width: int, height: int, recording: str
) -> Iterator[FeatureFrame]:
    numbers = _numbers_by_name(path, recording)
    people = {numbers[name]: parse_people(path / name, content) for name, content in read_json(path, numbers)}
    _check_unit(path, people, width, height)
    follower = _Follower(rate_hz)
    for number in sorted(people):
        visible = [joints for joints in people[number] if is_body_visible(joints, height)]
        joints = follower.choose(number, visible)
        stamp_ns = start_ns + round(number / rate_hz * NANOSECONDS_PER_SECOND)
        yield _frame(stamp_ns, joints, width, height)


def _frame(stamp_ns: int, joints: FloatArray | None, width: int, height: int) -> FeatureFrame:
    """Its confidence is that of nose, neck and shoulders, as live."""
    if joints is None:
        return FeatureFrame(Modality.BODY, stamp_ns, np.zeros(len(BODY), np.float32), False, 0.0, FEATURE_SET)
    confidence = float(joints[[NOSE, NECK, RIGHT_SHOULDER, LEFT_SHOULDER], 2].mean())
    return FeatureFrame(Modality.BODY, stamp_ns, body_features(joints, width, height), True, confidence, FEATURE_SET)


class _Follower:
    """Chooses the same person in every frame."""

    def __init__(self, rate_hz: float) -> None:
        self._patience = FORGOTTEN_AFTER_S * rate_hz  # frames
        self._last: FloatArray | None = None
        self._last_number = 0

    def choose(self, number: int, people: People) -> FloatArray | None:
        """The joints of the followed person, None where she is not seen."""
        if self._last is not None and number - self._last_number > self._patience:
            self._last = None
        chosen = max(people, key=torso_length, default=None) if self._last is None else self._nearest(people)
        if chosen is not None:
            self._last, self._last_number = chosen, number
        return chosen

    def _nearest(self, people: People) -> FloatArray | None:
        assert self._last is not None
        neck, reach = self._last[NECK, :2], FARTHEST_STEP * torso_length(self._last)
        near = [(float(np.hypot(*(joints[NECK, :2] - neck))), at) for at, joints in enumerate(people)]
        distance, at = min(near, default=(math.inf, -1))
        return people[at] if distance <= reach else None


def _numbers_by_name(path: Path, recording: str) -> dict[str, int]:
    """The frame number of every file of the one recording."""
    recordings: defaultdict[str, dict[str, int]] = defaultdict(dict)
    names = json_names(path)
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            recordings[match["name"]][name] = int(match["number"])
    if not recordings:
        found = f"found {len(names)} JSON files, none" if names else "found no JSON file"
        raise FeatureFileError(path, f"{found} with a frame number at the end of its name, like a_12_keypoints.json")
    return _checked_numbers(path, _the_one(path, recordings, recording))


def _the_one(path: Path, recordings: Mapping[str, dict[str, int]], recording: str) -> dict[str, int]:
    fitting = [name for name in recordings if recording in name]
    if len(fitting) == 1:
        return recordings[fitting[0]]
    listed = ", ".join(f"{name!r} ({len(recordings[name])} frames)" for name in sorted(recordings)[:_LISTED])
    problem = "several recordings lie here" if not recording else f"{len(fitting)} recordings match {recording!r}"
    raise FeatureFileError(path, f"{problem}; choose one with recording=: {listed}")


def _checked_numbers(path: Path, numbers: dict[str, int]) -> dict[str, int]:
    names = sorted(numbers, key=numbers.__getitem__)
    double = next((pair for pair in pairwise(names) if numbers[pair[0]] == numbers[pair[1]]), None)
    if double:
        raise FeatureFileError(path, f"{shown(double[0])} and {shown(double[1])} are the same frame")
    if numbers[names[-1]] > LARGEST_FRAME_NUMBER:
        raise FeatureFileError(path / names[-1], f"expected a frame number of at most {LARGEST_FRAME_NUMBER:,}")
    return numbers


def _check_unit(path: Path, people: Mapping[int, People], width: int, height: int) -> None:
    """Refuse coordinates that are not pixels of this video."""
    joints = [person for frame in people.values() for person in frame]
    if not joints:
        return
    low, high = np.min(joints, axis=(0, 1)), np.max(joints, axis=(0, 1))
    x, y = float(high[0]), float(high[1])
    if max(x, y) <= 1 and high[2] > 0:
        raise FeatureFileError(path, "coordinates are shares of the picture, expected pixels: --keypoint_scale 0")
    if x > width * (1 + OUTSIDE) or y > height * (1 + OUTSIDE) or min(low[0] / width, low[1] / height) < -OUTSIDE:
        problem = f"joints reach from ({low[0]:.0f}, {low[1]:.0f}) to ({x:.0f}, {y:.0f})"
        raise FeatureFileError(path, f"{problem}, outside {width} x {height}: expected the size of the video")
