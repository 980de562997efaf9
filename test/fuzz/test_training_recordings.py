"""Labelled recordings and arrays of windows for `mmal train`: read, or refused with one `DataError`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example
from hypothesis import strategies as st

from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.features.recording import write_recording
from mmal_ros.training.data import load_data_set
from mmal_ros.training.people import DataError
from rigs.fuzzing import fuzz
from rigs.mutation import LARGE_NUMBERS, damaged_bytes, damaged_text, odd_words

LABELS = (
    "person,recording,start_s,end_s,level\nC1,monday,0.0,3.0,low\nC1,monday,3,6.0,high\nC2,tuesday.npz,1,7,medium\n"
)
LAYOUT = """name: our-study
source: Doe et al., 2025
file: study.npz
person: child
time: second
label: engagement
classes: [low, medium, high]
modalities:
  face: [faces]
  physiology: [wrists]
"""
COUNT = 12
ARRAYS = {
    "child": np.array(["P0", "P1"] * (COUNT // 2)),
    "second": np.arange(COUNT, dtype=np.float64),
    "engagement": np.array(["low", "medium", "high"] * (COUNT // 3)),
    "faces": np.ones((COUNT, 10, 3), np.float32),
    "wrists": np.ones((COUNT, 10, 2), np.float32),
}
OTHERS = st.one_of(
    st.sampled_from(
        [
            np.zeros(0), np.float64(np.nan), np.array("x"), np.zeros(COUNT), np.full(COUNT, np.nan), np.zeros((2, 2)),
            np.full(COUNT, np.inf), np.full(COUNT, 1e308), np.zeros((COUNT, 0)), np.zeros((COUNT, 10, 0), np.float32),
            np.zeros(COUNT, "<M8[ns]"), np.zeros(COUNT, "V3"), np.full(COUNT, 1 << 63, np.uint64), np.array(1 + 2j),
            np.zeros((COUNT, 3, 2)), np.full((COUNT, 10, 3), 1e300), np.zeros(COUNT, [("a", "f4")]),
            np.array(["@"] * COUNT), np.array([b"\xff"] * COUNT), np.array([""] * COUNT),
        ]
    ),
    odd_words().map(lambda word: np.array([word.encode("utf-8", "replace").decode()] * COUNT)),
    st.sampled_from([n for n in LARGE_NUMBERS if abs(n) < 1e300]).map(lambda n: np.full(COUNT, float(n))),
)  # fmt: skip


def _load(path: Path) -> None:
    try:
        data = load_data_set(str(path))
    except DataError as error:
        assert str(error)
        return
    for person in data.people:
        assert all(np.isfinite(values).all() for values in person.features.values())
        assert np.isfinite(person.times_s).all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, start_s in (("monday", 10**9), ("tuesday", 10**9 + 86_400)):
        start_ns = start_s * 10**9
        values = np.ones(len(FEATURE_SETS["e4"][1]), np.float32)
        frames = [
            (at, FeatureFrame(Modality.PHYSIOLOGY, at, values, True, 1.0, "e4"))
            for at in range(start_ns, start_ns + 8 * 10**9, 250_000_000)
        ]
        write_recording(tmp_path / f"{name}.npz", start_ns, frames)
    return tmp_path


@fuzz(damaged_text(LABELS))
@example(LABELS.replace("monday", "m" * 5000).encode())  # longer than a file's name may be
@example(LABELS.replace("monday", "mon\0day").encode())
@example(LABELS.replace("6.0", "1e308").encode())
def test_a_damaged_table_of_labels_of_recordings(folder, content):
    (folder / "labels.csv").write_bytes(content)
    _load(folder)


@fuzz(st.data(), few=40)
def test_an_archive_of_windows_with_damaged_bytes(tmp_path, data):
    (tmp_path / "study.yaml").write_text(LAYOUT)
    np.savez(tmp_path / "study.npz", **ARRAYS)
    content = (tmp_path / "study.npz").read_bytes()
    (tmp_path / "study.npz").write_bytes(data.draw(damaged_bytes(content)))
    _load(tmp_path / "study.yaml")


@fuzz(st.dictionaries(st.sampled_from(list(ARRAYS)), OTHERS, min_size=1, max_size=2))
def test_an_archive_of_windows_whose_arrays_are_of_another_kind(tmp_path, others):
    (tmp_path / "study.yaml").write_text(LAYOUT)
    np.savez(tmp_path / "study.npz", **(ARRAYS | others))
    _load(tmp_path / "study.yaml")
