"""One JSON file of OpenPose: the joints of everybody in one frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mmal_ros.datatypes import FloatArray
from mmal_ros.features.importers.errors import FeatureFileError, shown
from mmal_ros.features.names import JOINTS

BODY_18_OF_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""BODY_25 has the middle of the hips at 8 and the feet from 19 on."""
LARGEST_COORDINATE = 1e6
"""Pixels."""
LARGEST_CONFIDENCE = 2.0
"""Documented as 0 to 1, but OpenPose interpolates its peaks: 1.41 has been reported (its issue 615). Taken as 1."""
_COLUMN = "pose_keypoints_2d"
_OTHER_MODELS = {45: "MPI (15 joints)", 51: "COCO without neck (17 joints, AlphaPose)", 405: "BODY_135", 0: "no body"}


def parse_people(path: Path, content: bytes) -> list[FloatArray]:
    """(18, 3) of every person: x px, y px, confidence 0-1; joints that were not found are 0, 0, 0.

    Args:
        path: of the file, for the errors.
        content: of the file.

    Raises:
        FeatureFileError: not JSON, not OpenPose's, another model's joints, numbers out of range.
    """
    people = _decoded(path, content)
    if not isinstance(people, dict) or not isinstance(people.get("people"), list):
        raise FeatureFileError(path, 'this is no frame of OpenPose: expected {"version": …, "people": […]}')
    return [_joints(path, person, f"people[{at}]") for at, person in enumerate(people["people"])]


def _decoded(path: Path, content: bytes) -> Any:
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise FeatureFileError(path, f"this is no JSON: {error.msg}", line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise FeatureFileError(path, f"this is no JSON: {type(error).__name__}: {error}") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"found {constant}, expected a finite number")


def _joints(path: Path, person: Any, place: str) -> FloatArray:
    numbers = person.get(_COLUMN) if isinstance(person, dict) else None
    problem = _problem(numbers)
    if problem:
        raise FeatureFileError(path, problem, column=f"{place}.{_COLUMN}")
    joints = np.array(numbers, np.float32).reshape(-1, 3)
    joints[:, 2] = joints[:, 2].clip(0, 1)
    return joints if len(joints) == len(JOINTS) else joints[list(BODY_18_OF_BODY_25)]


def _problem(numbers: Any) -> str:
    """What is wrong with the joints of one person; empty if nothing."""
    if not isinstance(numbers, list):
        return f"expected a list of x, y, confidence, found {shown(numbers)}"
    if len(numbers) not in (75, 54):
        model = f", which is {_OTHER_MODELS[len(numbers)]}" if len(numbers) in _OTHER_MODELS else ""
        return f"found {len(numbers)} numbers{model}; expected 75 (BODY_25) or 54 (BODY_18)"
    wrong = next((at for at, number in enumerate(numbers) if not _is_fit(number, is_confidence=at % 3 == 2)), None)
    if wrong is None:
        return ""
    expected = "a confidence from 0 to 1" if wrong % 3 == 2 else "pixels"
    return f"found {shown(numbers[wrong])} at position {wrong}, expected {expected}"


def _is_fit(number: Any, *, is_confidence: bool) -> bool:
    if type(number) not in (int, float):
        return False
    return bool(0 <= number <= LARGEST_CONFIDENCE if is_confidence else abs(number) <= LARGEST_COORDINATE)
