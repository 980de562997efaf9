"""SWELL-KW: knowledge workers in three working conditions, one window a minute (Koldijk et al., ICMI 2014).

Read is `behavioral_features_per_minute.csv`. Task: N neutral, I interruptions by e-mail, T time pressure; the minutes
of relaxing (R) before each are left out. One row is one window of a single step (T = 1).

* FACE: 41 numbers of FaceReader. Its quality of the picture is among them, as in the published table.
* BODY: 47 distances and angles of the Kinect's skeleton, mean and deviation over the minute: 94.
* PHYSIOLOGY: heart rate, RMSSD and skin conductance level: 3.

Left out: the self-reports (they belong to the condition as a whole, so they are another label), and the use of
keyboard and mouse (the interrupting e-mails and the hurry are in it: it is the task and not the person).

Missing is NaN, or 999 in the three of physiology. The rule of `data.missing`: a modality of which more than half is
missing is not known in that minute. So physiology is not known where only skin conductance is there. FACE is always
there or not as a whole. `physiological_features.csv` is not read: where it overlaps, its numbers are the same ones to
the last digit, and it fills no gap (1,613 rows compared); three of its times are cut off.

Blocks are person x condition, which each person went through once and without a break; a break of more than two
minutes would begin another. **Condition and block are one:** whatever drifts over an hour (posture, light, skin
conductance) tells the condition too, so everything measured within a person here flatters; a hold-out has to be a
later part of the block, `gap_s` after what may be labelled.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import Modality
from mmal_ros.training.data.columns import Columns, read_columns
from mmal_ros.training.data.errors import meant
from mmal_ros.training.data.rows import Rows, assemble, one_class_only
from mmal_ros.training.people import DataError, DataSet

NAME = "swell-kw"
SOURCE = "SWELL-KW, Koldijk, Sappelli, Verberne, Neerincx & Kraaij, ICMI 2014"
FILE = "behavioral_features_per_minute.csv"
CONDITIONS = {"N": "neutral", "I": "interruptions", "T": "time pressure"}
RELAXING = "R"
MISSING = 999
"""Instead of a heart rate, an RMSSD or a skin conductance level."""
GAP_S = 120.0
"""Two minutes are dropped between pool and test (issue of the evaluation): neighbouring minutes are alike."""
PERSON, CONDITION, TIME = "PP", "Condition", "timestamp"
TIME_FORMAT, TIME_LENGTH = "%Y%m%dT%H%M%S%f", 18

FACE = tuple(
    f"S{name}"
    for name in (
        *("quality", "neutral", "happy", "sad", "angry", "surprised", "scared", "disgusted", "valence"),
        *("yHeadOrientation", "xHeadOrientation", "zHeadOrientation", "mouthOpen", "leftEyeClosed", "rightEyeClosed"),
        *("leftEyebrowLowered", "leftEyebrowRaised", "rightEyebrowLowered", "rightEyebrowRaised"),
        *("gazeDirectionForward", "gazeDirectionLeft", "gazeDirectionRight"),
        *("Au01_InnerBrowRaiser", "Au02_OuterBrowRaiser", "Au04_BrowLowerer", "Au05_UpperLidRaiser"),
        *("Au06_CheekRaiser", "Au07_LidTightener", "Au09_NoseWrinkler", "Au10_UpperLipRaiser"),
        *("Au12_LipCornerPuller", "Au14_Dimpler", "Au15_LipCornerDepressor", "Au17_ChinRaiser"),
        *("Au20_LipStretcher", "Au23_LipTightener", "Au24_LipPressor", "Au25_LipsPart", "Au26_JawDrop"),
        *("Au27_MouthStretch", "Au43_EyesClosed"),
    )
)
BONES = (
    *("HipCenter_Spine", "Spine_ShoulderCenter", "ShoulderCenter_Head"),
    *("ShoulderCenter_ShoulderLeft", "ShoulderCenter_ShoulderRight"),
    *("ShoulderLeft_ElbowLeft", "ElbowLeft_WristLeft", "WristLeft_HandLeft"),
    *("ShoulderRight_ElbowRight", "ElbowRight_WristRight", "WristRight_HandRight"),
)
JOINTS = (
    *("HipCenter_SpineSpine_ShoulderCenter", "Spine_ShoulderCenterShoulderCenter_Head"),
    *("Spine_ShoulderCenterShoulderCenter_ShoulderLeft", "Spine_ShoulderCenterShoulderCenter_ShoulderRight"),
    *("ShoulderCenter_ShoulderLeftShoulderLeft_ElbowLeft", "ShoulderLeft_ElbowLeftElbowLeft_WristLeft"),
    *("ElbowLeft_WristLeftWristLeft_HandLeft", "ShoulderCenter_ShoulderRightShoulderRight_ElbowRight"),
    *("ShoulderRight_ElbowRightElbowRight_WristRight", "ElbowRight_WristRightWristRight_HandRight"),
)
"""Angles between two bones."""
_PLANES = tuple(f"{bone}Plane{plane}" for bone in BONES for plane in ("ZXAxisX", "XYAxisY", "YZAxisZ"))
_ANGLES = (*_PLANES[:-1], "WristRight_HandRightKinectZAxis")  # the last one has another name in the file
BODY = tuple(
    f"{name}{statistic}"
    for statistic in ("avg", "stdv")
    for name in ("avgDepth", "leftShoulderAngle", "rightShoulderAngle", "leanAngle", *JOINTS, *_ANGLES)
)
PHYSIOLOGY = ("HR", "RMSSD", "SCL")
FEATURES = {Modality.FACE: FACE, Modality.BODY: BODY, Modality.PHYSIOLOGY: PHYSIOLOGY}


def load(folder: Path) -> DataSet:
    """All people of the folder; raises DataError naming file, line and column."""
    names = [name for features in FEATURES.values() for name in features]
    columns = read_columns(folder / FILE, (PERSON, CONDITION, TIME), names)
    rows = _rows(columns)
    people, repairs = assemble(rows, FEATURES, break_s=GAP_S)
    classes = tuple(CONDITIONS.values())
    repairs = (*repairs, *one_class_only(people, classes))
    return DataSet(NAME, SOURCE, classes, FEATURES, people, GAP_S, repairs)


def _rows(columns: Columns) -> Rows:
    condition = columns.parsed(CONDITION, _class_of, f"a condition; {meant('', (*CONDITIONS, RELAXING))}")
    times_s = columns.parsed(TIME, _seconds, "a time such as 20120918T131600000")
    working = np.flatnonzero(condition >= 0)
    if not len(working):
        raise DataError(f"{columns.path}: no row is of condition {', '.join(CONDITIONS)}")
    numbers = columns.numbers[working]
    numbers[:, -len(PHYSIOLOGY) :][numbers[:, -len(PHYSIOLOGY) :] == MISSING] = np.nan
    parts = np.split(numbers[:, np.newaxis], np.cumsum([len(FACE), len(BODY)]), axis=2)
    return Rows(
        where=str(columns.path),
        lines=columns.lines[working],
        people=[columns.words[PERSON][row] for row in working],
        stretches=[columns.words[CONDITION][row] for row in working],
        times_s=times_s[working],
        labels=condition[working].astype(np.int64),
        values=dict(zip(FEATURES, parts, strict=True)),
    )


def _class_of(condition: str) -> float:
    """The index of the class, -1 for relaxing; raises ValueError."""
    return -1 if condition == RELAXING else list(CONDITIONS).index(condition)


def _seconds(text: str) -> float:
    """A time of the file in seconds; raises ValueError."""
    if len(text) != TIME_LENGTH:
        raise ValueError(text)
    return (datetime.strptime(text, TIME_FORMAT) - datetime(2000, 1, 1)).total_seconds()
