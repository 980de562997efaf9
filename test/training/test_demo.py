"""The demo model set is made from nothing but seeds, by the code that also runs live and trains for anybody."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mmal_ros.datatypes import Modality
from mmal_ros.features.recording import read_recording
from mmal_ros.models import load_model_set
from mmal_ros.paths import find_model
from mmal_ros.selector import MMQL, P_RIGHT
from mmal_ros.sensors.synthetic import EngagementScript
from mmal_ros.training import demo
from mmal_ros.training.sessions import FEATURE_SETS, fingerprint, recorded

SEED, DURATION_S = 3, 8.0
PEOPLE = demo.People(train=range(SEED, SEED + 2), test=range(SEED + 2, SEED + 3), duration_s=DURATION_S)


@pytest.fixture(scope="module")
def session_file(tmp_path_factory):
    return recorded(SEED, DURATION_S, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def cache(session_file, tmp_path_factory):
    """What an interrupted run left: everybody is simulated already (all are the same person, for the test's sake)."""
    folder = tmp_path_factory.mktemp("synthetic")
    (folder / fingerprint()).mkdir()
    for seed in PEOPLE.everybody:
        shutil.copy(session_file, folder / fingerprint() / session_file.name.replace(f"{SEED:04d}", f"{seed:04d}"))
    return folder


def test_every_modality_is_in_the_recording(session_file):
    recording = read_recording(session_file)
    assert {m: str(columns["feature_set"]) for m, columns in recording.arrays.items()} == FEATURE_SETS
    for columns in recording.arrays.values():
        assert columns["valid"].mean() > 0.8


def test_an_interrupted_run_goes_on_where_it_was(session_file):
    before = session_file.stat().st_mtime_ns
    assert recorded(SEED, DURATION_S, session_file.parent) == session_file
    assert session_file.stat().st_mtime_ns == before


def test_simulated_people_are_read_as_anybody_is(cache):
    data = demo.simulated(PEOPLE, cache, jobs=1)
    assert data.codes == ("S03", "S04", "S05")
    assert data.feature_sets == FEATURE_SETS
    assert data.modalities == tuple(Modality)
    for seed, person in zip(PEOPLE.everybody, data.people, strict=True):
        script = EngagementScript.random(seed, DURATION_S)
        assert person.labels.tolist() == [int(script.level_at(time_s)) for time_s in person.times_s]
        assert len(person) >= 5


def test_what_comes_with_the_package_is_of_these_people_and_beats_the_constant():
    models = load_model_set(find_model("demo"))
    training, metrics = models.card.training, models.card.metrics
    people = demo.People()
    assert training["people"] == {"train": [*map(demo.code, people.train)], "test": [*map(demo.code, people.test)]}
    assert training["seed"] == demo.SEED
    assert models.card.purpose == demo.PURPOSE
    assert models.card.feature_sets == FEATURE_SETS
    assert set(models.trained) == {MMQL, P_RIGHT}
    assert metrics["vote"]["macro_f1"] > metrics["constant"]["macro_f1"] + 0.2
    assert np.isfinite([metrics[modality]["accuracy"] for modality in Modality]).all()
