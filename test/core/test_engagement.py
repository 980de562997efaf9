"""From a window to an estimate: who votes, who wins, who is named missing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmal_ros.datatypes import STEP_NS, STEPS_PER_WINDOW, Estimate, FloatArray, Level, Modality, Status, Window
from mmal_ros.engagement import EngagementEstimator, majority_vote, status_of
from mmal_ros.features.names import SIZES
from mmal_ros.model_card import ModelError
from mmal_ros.models import PROVIDERS, ModelSet, load_model_set
from mmal_ros.uncertainty import confidence
from rigs.gpu import put_on_gpu
from rigs.model_sets import write_model_set

END_NS = 1_800_000_000_000_000_000
LOW, MEDIUM, HIGH = Level
FACE, BODY, PHYSIOLOGY, AUDIO = Modality


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelSet:
    folder = tmp_path_factory.mktemp("models") / "demo"
    write_model_set(folder)
    return load_model_set(folder)


def says(low: float, medium: float, high: float) -> FloatArray:
    return np.array([low, medium, high], np.float32)


def window_of(measured: Mapping[Modality, int], seed: int = 0, age_ns: int = 0) -> Window:
    """A window in which each modality has so many of its newest steps measured; the others never came."""
    random = np.random.default_rng(seed)
    mask = {m: np.zeros(STEPS_PER_WINDOW, np.float32) for m in Modality}
    for modality, steps in measured.items():
        mask[modality][STEPS_PER_WINDOW - steps :] = 1
    values = {m: random.standard_normal((STEPS_PER_WINDOW, SIZES[m])).astype(np.float32) for m in Modality}
    return Window(
        id=END_NS // STEP_NS,
        start_ns=END_NS - STEPS_PER_WINDOW * STEP_NS,
        end_ns=END_NS,
        features={m: values[m] * mask[m][:, None] for m in Modality},
        mask=mask,
        coverage={m: float(mask[m].mean()) for m in Modality},
        newest_ns={m: END_NS - age_ns if measured.get(m) else None for m in Modality},
        frames_seen={m: 5 * measured.get(m, 0) for m in Modality},
    )


def same(one: Estimate, other: Estimate) -> bool:
    """Bitwise equal in everything."""
    return (
        np.array_equal(one.probabilities, other.probabilities)
        and all(np.array_equal(one.by_modality[m], other.by_modality[m]) for m in Modality)
        and all(
            getattr(one, name) == getattr(other, name)
            for name in ("window_id", "stamp_ns", "level", "confidence", "status", "age_ns", "frames_seen")
        )
    )


# --- the vote ----------------------------------------------------------------------------------------------------


def test_three_against_one() -> None:
    assert majority_vote([says(0.5, 0.3, 0.2), says(0, 0, 1), says(0.4, 0.3, 0.3), says(0.6, 0.2, 0.2)]) is LOW


def test_two_against_two_goes_to_the_level_somebody_is_surest_of() -> None:
    timid = [says(0.5, 0.2, 0.3), says(0.45, 0.2, 0.35)]
    assert majority_vote([*timid, says(0.2, 0.2, 0.6), says(0.3, 0.3, 0.4)]) is HIGH
    assert majority_vote([*timid, says(0.3, 0.22, 0.48), says(0.3, 0.3, 0.4)]) is LOW


def test_a_level_without_a_vote_does_not_win_a_tie() -> None:
    """Medium is nobody's first choice although its summed probability is the highest."""
    assert majority_vote([says(0.51, 0.49, 0), says(0, 0.48, 0.52)]) is HIGH


def test_nobody_there_is_no_level() -> None:
    assert majority_vote([]) is None


@given(st.lists(st.permutations([0.2, 0.3, 0.5]), min_size=1, max_size=4), st.randoms())
def test_the_vote_does_not_depend_on_the_order_of_modalities(rows: list[list[float]], random: Any) -> None:
    votes = [says(*row) for row in rows]
    shuffled = list(votes)
    random.shuffle(shuffled)
    winner = majority_vote(votes)
    assert winner is majority_vote(shuffled)
    counts = Counter(int(np.argmax(row)) for row in votes)
    assert counts[winner] == max(counts.values())


# --- who can be heard --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coverage", "age_ms", "status"),
    [
        (1.0, 0, Status.VALID),
        (0.5, 500, Status.VALID),
        (0.5, 501, Status.STALE),
        (0.8, 700, Status.STALE),
        (0.4, 0, Status.MISSING),
        (0.0, None, Status.MISSING),
    ],
)
def test_valid_stale_and_missing(coverage: float, age_ms: int | None, status: Status) -> None:
    assert status_of(coverage, None if age_ms is None else age_ms * 1_000_000) is status


def test_all_four_are_heard(models: ModelSet) -> None:
    window = window_of(dict.fromkeys(Modality, 10), age_ns=20_000_000)
    estimate = EngagementEstimator(models).estimate(window)
    votes = [models.classifiers[m](window.features[m], window.mask[m]) for m in Modality]
    assert estimate.level is majority_vote(votes)
    assert np.array_equal(estimate.probabilities, np.mean(votes, axis=0, dtype=np.float32))
    for modality, vote in zip(Modality, votes, strict=True):
        assert np.array_equal(estimate.by_modality[modality], vote)
        assert estimate.confidence[modality] == float(confidence(vote))
        assert estimate.status[modality] is Status.VALID
        assert estimate.age_ns[modality] == 20_000_000
        assert estimate.frames_seen[modality] == 50
    assert (estimate.window_id, estimate.stamp_ns) == (window.id, END_NS)
    assert estimate.model_version == "demo/1"


def test_the_wristband_is_off_and_the_microphone_just_came_on(models: ModelSet) -> None:
    window = window_of({FACE: 10, BODY: 5, AUDIO: 4})
    estimate = EngagementEstimator(models).estimate(window)
    assert estimate.status == {
        FACE: Status.VALID,
        BODY: Status.VALID,
        PHYSIOLOGY: Status.MISSING,
        AUDIO: Status.MISSING,
    }
    for missing in (PHYSIOLOGY, AUDIO):
        assert estimate.by_modality[missing].tolist() == [pytest.approx(1 / 3)] * 3
        assert estimate.confidence[missing] == 0
    voting = [estimate.by_modality[FACE], estimate.by_modality[BODY]]
    assert np.array_equal(estimate.probabilities, np.mean(voting, axis=0, dtype=np.float32))
    assert estimate.level is majority_vote(voting)
    assert (estimate.age_ns[PHYSIOLOGY], estimate.age_ns[AUDIO]) == (None, 0)


def test_a_stale_modality_still_votes(models: ModelSet) -> None:
    window = window_of({AUDIO: 10}, age_ns=600_000_000)
    estimate = EngagementEstimator(models).estimate(window)
    assert estimate.status[AUDIO] is Status.STALE
    assert estimate.level is majority_vote([estimate.by_modality[AUDIO]])


def test_when_nothing_can_be_heard_nothing_is_guessed(models: ModelSet) -> None:
    estimate = EngagementEstimator(models).estimate(window_of({}))
    assert estimate.level is None
    assert estimate.probabilities.tolist() == [pytest.approx(1 / 3)] * 3
    assert set(estimate.status.values()) == {Status.MISSING}
    assert set(estimate.confidence.values()) == {0.0}


def test_a_model_set_without_a_wristband_names_it_missing(tmp_path: Path) -> None:
    write_model_set(tmp_path / "voice", feature_sets={AUDIO: "spectral"})
    estimate = EngagementEstimator(load_model_set(tmp_path / "voice")).estimate(window_of({AUDIO: 10}))
    assert estimate.status[AUDIO] is Status.VALID
    assert estimate.status.keys() == estimate.by_modality.keys() == estimate.frames_seen.keys() == set(Modality)


def test_what_an_estimate_says_cannot_be_changed_by_the_next_one(models: ModelSet) -> None:
    estimator = EngagementEstimator(models)
    first = estimator.estimate(window_of(dict.fromkeys(Modality, 10), seed=1))
    kept = {modality: values.copy() for modality, values in first.by_modality.items()}
    estimator.estimate(window_of(dict.fromkeys(Modality, 10), seed=2))
    assert all(np.array_equal(first.by_modality[m], kept[m]) for m in Modality)


def test_a_batch_gives_bitwise_what_single_windows_give(models: ModelSet) -> None:
    random = np.random.default_rng(5)
    windows = [window_of({m: int(random.integers(0, 11)) for m in Modality}, seed=i) for i in range(70)]
    windows.append(window_of({}))
    estimator = EngagementEstimator(models)
    batch = estimator.estimate_batch(windows)
    assert len(batch) == len(windows)
    assert all(same(one, estimator.estimate(window)) for one, window in zip(batch, windows, strict=True))
    assert len({estimate.level for estimate in batch}) == 4, "all three levels and none occur, or this proves little"
    assert estimator.estimate_batch([]) == []


# --- a GPU that fails while running ------------------------------------------------------------------------------


@pytest.fixture
def gpu_models(models: ModelSet) -> ModelSet:
    """The model set with FACE on a GPU that will fail."""
    again = load_model_set(models.folder)
    put_on_gpu(again.classifiers[FACE])
    assert again.providers[FACE] == PROVIDERS["cuda"]
    return again


def test_a_gpu_that_fails_is_left_for_the_cpu_loudly(
    models: ModelSet, gpu_models: ModelSet, caplog: pytest.LogCaptureFixture
) -> None:
    estimator = EngagementEstimator(gpu_models)
    window = window_of(dict.fromkeys(Modality, 10))
    with caplog.at_level(logging.ERROR):
        estimate = estimator.estimate(window)
    assert same(estimate, EngagementEstimator(models).estimate(window))
    assert gpu_models.providers[FACE] == PROVIDERS["cpu"]
    assert estimator.fallbacks == 1
    assert "face.onnx failed on CUDAExecutionProvider" in caplog.text
    assert "CUDA error 719" in caplog.text
    estimator.estimate(window)
    assert estimator.fallbacks == 1, "it stays on the CPU"


def test_a_gpu_that_fails_in_a_batch_is_left_for_the_cpu_too(models: ModelSet, gpu_models: ModelSet) -> None:
    estimator = EngagementEstimator(gpu_models)
    windows = [window_of(dict.fromkeys(Modality, 10), seed=i) for i in range(3)]
    batch = estimator.estimate_batch(windows)
    assert all(same(*pair) for pair in zip(batch, EngagementEstimator(models).estimate_batch(windows), strict=True))
    assert estimator.fallbacks == 1


def test_a_gpu_that_fails_is_an_error_where_no_fallback_is_allowed(gpu_models: ModelSet) -> None:
    estimator = EngagementEstimator(gpu_models, allow_fallback=False)
    window = window_of({FACE: 10})
    with pytest.raises(ModelError, match=r"face\.onnx failed on CUDAExecutionProvider: CUDA error 719"):
        estimator.estimate(window)
    with pytest.raises(ModelError, match=r"face\.onnx failed on CUDAExecutionProvider: CUDA error 719"):
        estimator.estimate_batch([window])
    assert gpu_models.providers[FACE] == PROVIDERS["cuda"]
