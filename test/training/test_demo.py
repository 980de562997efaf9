"""The demo model set is made from nothing but seeds, by the code that also runs live."""

from __future__ import annotations

import numpy as np
import pytest

from mmal_ros.datatypes import Level, Modality
from mmal_ros.model_card import read_card
from mmal_ros.models import load_model_set
from mmal_ros.sensors.synthetic import EngagementScript
from mmal_ros.training import demo
from mmal_ros.training.sessions import FEATURE_SETS, START_NS, labelled_windows, recorded, stacked

SEED, DURATION_S = 3, 8.0


@pytest.fixture(scope="module")
def session_file(tmp_path_factory):
    return recorded(SEED, DURATION_S, tmp_path_factory.mktemp("cache"))


def test_every_modality_is_heard_and_every_window_has_its_truth(session_file):
    session = labelled_windows(session_file, SEED, DURATION_S)
    assert len(session.windows) == len(session.levels) >= 14
    script = EngagementScript.random(SEED, DURATION_S)
    for window, level in zip(session.windows, session.levels, strict=True):
        assert level == script.level_at((window.end_ns - START_NS) / 1e9 - 0.5)
    for modality in Modality:
        assert np.mean([window.coverage[modality] for window in session.windows[3:]]) > 0.8


def test_an_interrupted_run_goes_on_where_it_was(session_file):
    before = session_file.stat().st_mtime_ns
    assert recorded(SEED, DURATION_S, session_file.parent) == session_file
    assert session_file.stat().st_mtime_ns == before


def test_a_modality_that_is_missing_is_not_learned_from(session_file):
    session = labelled_windows(session_file, SEED, DURATION_S)
    features, mask, levels = stacked([session], Modality.FACE, least_coverage=0.5)
    assert len(features) == len(mask) == len(levels) == sum(w.coverage[Modality.FACE] >= 0.5 for w in session.windows)
    assert mask.mean(axis=1).min() >= 0.5


def test_the_model_set_that_is_written_is_one_that_the_runtime_loads(tmp_path, session_file):
    plan = demo.Plan(train=range(3, 4), calibrate=range(3, 4), test=range(3, 4), duration_s=DURATION_S)
    sessions = {SEED: labelled_windows(session_file, SEED, DURATION_S)}
    folder = tmp_path / "demo" / "7"
    networks = {modality: demo.train(modality, plan, sessions) for modality in FEATURE_SETS}
    models = demo.write_demo(folder, networks, plan)
    metrics = demo.measure(models, list(sessions.values()))
    card = models.card
    assert load_model_set(folder).card == card == read_card(folder)
    assert card.identity == "demo/7"
    assert "not for" in (folder / "model.json").read_text().splitlines()[1]
    assert set(metrics) >= {*Modality, "vote", "constant"}
    assert 0 <= metrics["vote"]["accuracy"] <= 1


def test_scores_compare_with_what_a_constant_gets():
    truth = np.array([Level.LOW, Level.LOW, Level.HIGH, Level.MEDIUM])
    assert demo._scores(truth, np.zeros(4, int)) == {"accuracy": 0.5, "macro_f1": pytest.approx(0.222, abs=1e-3)}
