"""What live policies see of a second: the estimate's probabilities and the content of the same second."""

from __future__ import annotations

import numpy as np
import pytest

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, Estimate, FeatureFrame, Modality, Status
from mmal_ros.features.names import SIZES
from mmal_ros.model_card import read_card
from mmal_ros.selector.live_windows import LiveWindows
from mmal_ros.window_vectors import scale_of_card, window_vectors
from mmal_ros.windowing import SlidingWindows
from rigs.model_sets import CHOSEN_SETS, write_model_set

END_NS = 1_800_000_001 * NANOSECONDS_PER_SECOND


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return read_card(write_model_set(tmp_path_factory.mktemp("models") / "random"))


def estimate(end_ns: int = END_NS, missing: Modality | None = None) -> Estimate:
    """Every modality rather finds medium."""
    return Estimate(
        window_id=end_ns // STEP_NS,
        stamp_ns=end_ns,
        level=None,
        probabilities=np.full(3, 1 / 3, np.float32),
        by_modality={m: np.array([0.2, 0.5, 0.3], np.float32) for m in Modality},
        confidence=dict.fromkeys(Modality, 0.1),
        status={m: Status.MISSING if m is missing else Status.VALID for m in Modality},
        age_ns=dict.fromkeys(Modality, 0),
        frames_seen=dict.fromkeys(Modality, 1),
        model_version="random/1",
    )


def frames(end_ns: int = END_NS, seed: int = 0) -> list[FeatureFrame]:
    """Ten of each modality in the second that ends then."""
    generator = np.random.default_rng(seed)
    return [
        FeatureFrame(m, end_ns - step * STEP_NS, generator.normal(size=SIZES[m]).astype(np.float32), True, 1.0, name)
        for m, name in CHOSEN_SETS.items()
        for step in range(10)
    ]


def test_the_content_is_that_of_the_second_in_the_scale_of_the_model_set(card) -> None:
    live, by_hand = LiveWindows(card), SlidingWindows(CHOSEN_SETS, 1)
    for frame in frames():
        live.accept(frame, END_NS)
        by_hand.add(frame, END_NS)
    expected = by_hand.window(END_NS)
    (vector,) = window_vectors(
        {m: values[None] for m, values in expected.features.items()},
        {m: values[None] for m, values in expected.mask.items()},
        scale_of_card(card),
    )
    found = live.window(estimate(missing=Modality.AUDIO))
    assert (found.vector == vector).all()
    assert np.abs(vector).sum() > 0
    assert (found.id, found.end_ns) == (END_NS // STEP_NS, END_NS)
    assert found.heard.tolist() == [True, True, True, False]
    assert found.probabilities.tolist() == [pytest.approx([0.2, 0.5, 0.3])] * 4


def test_only_full_seconds_are_windows(card) -> None:
    live = LiveWindows(card)
    ends = [END_NS + step * STEP_NS for step in range(21)]
    assert [end for end in ends if live.window(estimate(end))] == [END_NS, END_NS + 10 * STEP_NS, END_NS + 20 * STEP_NS]


def test_a_clock_that_is_set_back_does_not_deafen_it(card) -> None:
    """An hour back: frames of the new time count as before."""
    live, early_ns = LiveWindows(card), END_NS - 3600 * NANOSECONDS_PER_SECOND
    live.window(estimate(END_NS))
    live.window(estimate(early_ns))
    for frame in frames(early_ns + NANOSECONDS_PER_SECOND):
        live.accept(frame, early_ns + NANOSECONDS_PER_SECOND)
    assert np.abs(live.window(estimate(early_ns + NANOSECONDS_PER_SECOND)).vector).sum() > 0


def test_a_modality_that_the_model_set_lacks_is_not_listened_to(tmp_path) -> None:
    face = {Modality.FACE: CHOSEN_SETS[Modality.FACE]}
    live = LiveWindows(read_card(write_model_set(tmp_path / "face", feature_sets=face)))
    for frame in frames():
        live.accept(frame, END_NS)
    assert live.window(estimate()).vector.shape == (SIZES[Modality.FACE],)
