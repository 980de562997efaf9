"""What every selector keeps to, whichever way it chooses."""

from __future__ import annotations

import numpy as np
import pytest

from mmal_ros.datatypes import Level, Modality
from mmal_ros.selector import Candidates, Selector, margin
from mmal_ros.training.pool_selection import SELECTORS, make_selector

TRAINED = {"mmql": margin, "mmql-content": margin, "p-right": lambda candidates: 0.1 + margin(candidates)}
"""Stand for policies: one that never asks of its own accord, one that asks about some."""
RANDOM = {"random", "p-right", "badge", "k-centre"}
"""Those whose first choice depends on the seed in any session."""
SESSIONS = (
    *("calm", "whole modality silent", "some windows silent", "all silent"),
    *("identical", "few kinds", "two windows", "one window"),
)


@pytest.fixture(params=sorted(SELECTORS))
def selector(request: pytest.FixtureRequest) -> Selector:
    return make_selector(request.param, TRAINED)


def session(kind: str = "calm", count: int = 60, size: int = 12) -> Candidates:
    """A session whose features drift; each modality sees a part of them."""
    generator = np.random.default_rng(count)
    count = {"one window": 1, "two windows": 2}.get(kind, count)
    drift = np.cumsum(generator.normal(size=(count, size)), axis=0)
    features = (drift / max(1.0, drift.std()) + 0.1 * generator.normal(size=(count, size))).astype(np.float32)
    probabilities = generator.dirichlet(np.ones(len(Level)), (count, len(Modality))).astype(np.float32)
    if kind == "identical":
        features[:], probabilities[:] = features[0], probabilities[0]
    if kind == "few kinds":
        features, probabilities = features[np.arange(count) % 3], probabilities[np.arange(count) % 3]
    heard = np.ones((count, len(Modality)), bool)
    if kind == "whole modality silent":
        heard[:, 0] = False
    if kind == "some windows silent":
        heard[::3] = False
    if kind == "all silent":
        heard[:] = False
    probabilities[~heard] = 1 / len(Level)
    features[~heard.any(axis=1)] = 0
    return Candidates(probabilities, heard, features, 0.67 * np.arange(count))


def chosen(selector: Selector, candidates: Candidates, budget: int, seed: int = 0) -> list[int]:
    rows = selector.select(candidates, budget, np.random.default_rng(seed))
    assert rows.dtype == np.int64
    return rows.tolist()


@pytest.mark.parametrize("kind", SESSIONS)
@pytest.mark.parametrize("budget", [0, 1, 5, 20, 59, 60, 1000])
def test_the_budget_is_spent_to_the_last_label_and_no_window_is_asked_about_twice(
    selector: Selector, kind: str, budget: int
) -> None:
    candidates = session(kind)
    rows = chosen(selector, candidates, budget)
    assert len(rows) == len(set(rows)) == min(budget, len(candidates))
    assert set(rows) <= set(range(len(candidates)))


@pytest.mark.parametrize("kind", SESSIONS)
def test_the_same_seed_gives_the_same_windows(selector: Selector, kind: str) -> None:
    assert chosen(selector, session(kind), 10, seed=3) == chosen(selector, session(kind), 10, seed=3)


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_another_seed_may_give_others(name: str) -> None:
    selector = make_selector(name, TRAINED)
    assert len({tuple(chosen(selector, session(), 5, seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize("name", ["evenly-in-time", "sliced-coverage", "sliced-coverage-mmql"])
def test_what_is_not_random_ignores_the_seed(name: str) -> None:
    selector = make_selector(name, TRAINED)
    assert len({tuple(chosen(selector, session(), 5, seed)) for seed in range(5)}) == 1


def test_windows_in_which_nothing_is_heard_wait_for_the_others(selector: Selector) -> None:
    candidates = session("some windows silent")
    assert candidates.heard[chosen(selector, candidates, 40)].any(axis=1).all()


def test_what_is_asked_about_does_not_depend_on_what_stands_in_a_modality_that_is_not_heard(selector: Selector) -> None:
    candidates = session("whole modality silent")
    garbled = candidates.probabilities.copy()
    garbled[:, 0] = [0.0, 0.0, 1.0]
    other = Candidates(garbled, candidates.heard, candidates.features, candidates.times_s)
    assert chosen(selector, candidates, 10) == chosen(selector, other, 10)


def test_candidates_are_left_as_they_were(selector: Selector) -> None:
    candidates, before = session(), session()
    chosen(selector, candidates, 10)
    for field in ("probabilities", "heard", "features", "times_s"):
        assert (getattr(candidates, field) == getattr(before, field)).all()


@pytest.mark.timeout(20)
def test_a_long_session_with_all_378_features_is_no_trouble(selector: Selector) -> None:
    candidates = session(count=2500, size=378)
    assert len(set(chosen(selector, candidates, 20))) == 20
