"""MigrAVE: faces of people who play with a robot, frame by frame with their engagement (migrave_models, AGPL-3.0).

`migrave_engagement_p1_p2.csv` has two people and three classes, -1, 0 and +1: `migrave-engagement`. `migrave_all.csv`
has four people and two classes, 0 and 1: `migrave-engagement-binary`. One row is one picture and one window (T = 1);
FACE: 18 action units (0 or 1), gaze and head pose of OpenFace.

**Numbers.** In the three-class file a number of gaze or pose that was written without a decimal point lost it (a table
program took 11.535 for 11,535): it is divided by 1000, unless it is 0. Checked: what is repaired lies as near to the
rows around it as the rest; the rule errs for 4 of 2,171 numbers that were whole by chance (1216 in line 823). Action
units have no point by nature and stay as they are. Where all eight numbers of gaze are 0 (9 % and 32 % of the rows),
the eyes were not found: the gaze is missing there, which the rule of `data.missing` bridges. A 0 would tell the
tracker's success, and that is no feature (docs/features.md).

**Time.** There is none: `timestamp` and `session_num` are 0 in every row. Rows stand person by person and class by
class; rows beside one another are near copies, so their order is that of time within such a run. What lay between
two runs is not known, nor whether a run was put together of several. Blocks are therefore the runs of one person and
class, and a "second" of `times_s` is one row. The distance between two rows levels out after 20 to 30 rows in the
three-class file and after about 10 in most runs of the other, whose runs are as short as 31 rows: `gap_s`.

**What that means.** Block and class are one, as nowhere else as badly: a person's posture or light of that run tells
the class. And with two people, leaving one out trains on one. Read figures of these sets as "does it break", not as
"how good is it".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import Modality
from mmal_ros.training.data.columns import Columns, read_columns
from mmal_ros.training.data.errors import meant
from mmal_ros.training.data.rows import Rows, assemble, numbered, one_class_only
from mmal_ros.training.people import DataSet

SOURCE = "MigrAVE, github.com/migrave/migrave_models"
PERSON, LABEL = "participant", "engagement"
UNITS = tuple(f"of_AU{n:02d}_c" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45))
GAZE = (
    *(f"of_gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),
    *("of_gaze_angle_x", "of_gaze_angle_y"),
)
POSE = tuple(f"of_pose_{kind}{axis}" for kind in "TR" for axis in "xyz")
FEATURES = {Modality.FACE: (*UNITS, *GAZE, *POSE)}
LOST_POINT = 1000


def load(folder: Path) -> DataSet:
    """Two people, three classes; raises DataError naming file, line and column."""
    names = {-1: "disengaged", 0: "neutral", 1: "engaged"}
    columns = _read(folder / "migrave_engagement_p1_p2.csv", (*GAZE, *POSE))
    repair = _restore_points(columns)
    return _data_set("migrave-engagement", columns, names, 20, (repair,))


def load_binary(folder: Path) -> DataSet:
    """Four people, two classes; raises DataError naming file, line and column."""
    names = {0: "not engaged", 1: "engaged"}
    return _data_set("migrave-engagement-binary", _read(folder / "migrave_all.csv", ()), names, 10, ())


def _read(path: Path, as_words: tuple[str, ...]) -> Columns:
    return read_columns(path, (PERSON, LABEL, *as_words), FEATURES[Modality.FACE])


def _restore_points(columns: Columns) -> str:
    """Divide what lost its decimal point, in place; returns what was done."""
    restored = 0
    for number, name in enumerate((*GAZE, *POSE), len(UNITS)):
        pointless = np.array(["." not in word for word in columns.words[name]]) & (columns.numbers[:, number] != 0)
        columns.numbers[pointless, number] /= LOST_POINT
        restored += int(pointless.sum())
    return f"{restored} numbers without a decimal point were divided by {LOST_POINT}"


def _data_set(name: str, columns: Columns, names: Mapping[int, str], gap_s: float, done: tuple[str, ...]) -> DataSet:
    labels = columns.parsed(LABEL, lambda word: _class_of(word, names), f"a class; {meant('', map(str, names))}")
    unseen = _forget_unseen_gaze(columns)
    order = list(zip(columns.words[PERSON], labels.tolist(), strict=True))
    row = np.arange(len(labels), dtype=np.float64)
    rows = Rows(
        where=str(columns.path),
        lines=columns.lines,
        people=columns.words[PERSON],
        stretches=numbered(order, row, break_s=np.inf).tolist(),
        times_s=row,
        labels=labels.astype(np.int64),
        values={Modality.FACE: columns.numbers[:, np.newaxis]},
    )
    people, held = assemble(rows, FEATURES, break_s=np.inf)
    classes = tuple(names.values())
    repairs = (*done, f"{unseen} rows had no gaze", *held, *one_class_only(people, classes))
    return DataSet(name, SOURCE, classes, FEATURES, people, gap_s, repairs, timed=False)


def _class_of(word: str, names: Mapping[int, str]) -> float:
    """The index of the class; raises ValueError."""
    return list(names).index(int(float(word)))


def _forget_unseen_gaze(columns: Columns) -> int:
    """Mark gaze that is 0 throughout as missing, in place; returns in how many rows."""
    gaze: NDArray[np.float64] = columns.numbers[:, len(UNITS) : len(UNITS) + len(GAZE)]
    unseen = (gaze == 0).all(axis=1)
    gaze[unseen] = np.nan
    return int(unseen.sum())
