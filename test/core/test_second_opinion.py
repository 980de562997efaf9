"""A person's own model set: a second opinion beside the modalities, and what it is asked about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from mmal_ros.datatypes import STEP_NS, STEPS_PER_WINDOW, Estimate, FloatArray, Modality, Window
from mmal_ros.engagement import EngagementEstimator, majority_vote
from mmal_ros.features.names import SIZES
from mmal_ros.model_card import CARD_NAME, ModelError, read_card, sha256
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.selector import Candidates, make_selector
from rigs.model_sets import add_policies, add_second_opinion, edit_card, linear, write_model_set

FACE, BODY, PHYSIOLOGY, AUDIO = Modality
SIZE = sum(SIZES.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_model_set(tmp_path / "P017")
    add_second_opinion(folder)
    return folder


def window_of(random: np.random.Generator, heard: float = 0.7) -> Window:
    """A window in which each step of each modality is measured with this probability."""
    mask = {m: (random.random(STEPS_PER_WINDOW) < heard).astype(np.float32) for m in Modality}
    values = {m: random.standard_normal((STEPS_PER_WINDOW, SIZES[m])).astype(np.float32) for m in Modality}
    return Window(
        id=1,
        start_ns=0,
        end_ns=STEPS_PER_WINDOW * STEP_NS,
        features={m: values[m] * mask[m][:, None] for m in Modality},
        mask=mask,
        coverage={m: float(mask[m].mean()) for m in Modality},
        newest_ns={m: STEPS_PER_WINDOW * STEP_NS if mask[m].any() else None for m in Modality},
        frames_seen=dict.fromkeys(Modality, 10),
    )


def windows_of(count: int, seed: int = 0) -> list[Window]:
    random = np.random.default_rng(seed)
    return [window_of(random, heard=random.choice([0.0, 0.5, 0.9])) for _ in range(count)]


def votes_of(estimate: Estimate) -> list[FloatArray]:
    return [estimate.by_modality[m] for m in Modality if estimate.confidence[m] > 0]


# --- the estimate ------------------------------------------------------------------------------------------------


def test_the_level_is_the_likeliest_of_the_average_also_against_the_vote(folder: Path) -> None:
    models = load_model_set(folder)
    estimator, against = EngagementEstimator(models), 0
    for window in windows_of(200):
        estimate = estimator.estimate(window)
        if not (votes := votes_of(estimate)):
            continue
        assert models.personal is not None
        opinion = models.personal(window.features, window.mask)
        np.testing.assert_allclose(estimate.probabilities, (np.mean(votes, axis=0) + opinion) / 2, atol=1e-6)
        assert estimate.level == estimate.probabilities.argmax()
        against += estimate.level is not majority_vote(votes)
    assert against > 10, "or this proves little"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_its_share_may_be_nothing_or_everything(tmp_path: Path, share: float) -> None:
    folder = write_model_set(tmp_path / "P017")
    add_second_opinion(folder, share)
    models = load_model_set(folder)
    window = window_of(np.random.default_rng(3), heard=1.0)
    estimate = EngagementEstimator(models).estimate(window)
    assert models.personal is not None
    opinion = models.personal(window.features, window.mask)
    expected = opinion if share else np.mean(votes_of(estimate), axis=0, dtype=np.float32)
    assert np.array_equal(estimate.probabilities, expected)


def test_when_nothing_can_be_heard_a_second_opinion_guesses_nothing_either(folder: Path) -> None:
    window = window_of(np.random.default_rng(0), heard=0.0)
    for estimate in (
        EngagementEstimator(load_model_set(folder)).estimate(window),
        *EngagementEstimator(load_model_set(folder)).estimate_batch([window]),
    ):
        assert estimate.level is None
        assert estimate.probabilities.tolist() == [pytest.approx(1 / 3)] * 3


def test_a_batch_gives_bitwise_what_single_windows_give(folder: Path) -> None:
    estimator = EngagementEstimator(load_model_set(folder))
    windows = windows_of(150, seed=5)
    for batch, window in zip(estimator.estimate_batch(windows), windows, strict=True):
        single = estimator.estimate(window)
        assert batch.level is single.level
        assert np.array_equal(batch.probabilities, single.probabilities)


# --- what it sees ------------------------------------------------------------------------------------------------


def test_the_second_opinion_sees_windows_by_the_scale_of_the_card(folder: Path) -> None:
    """Doubling features, mean and deviation changes nothing; doubling the features alone does."""
    add_second_opinion(folder, scale=0.2)
    random = np.random.default_rng(0)
    mean = random.standard_normal(SIZES[AUDIO])
    edit_card(folder, lambda card: card["modalities"]["audio"].update(mean=mean.tolist()))
    window = window_of(random, heard=1.0)
    before = _opinion(load_model_set(folder), window)
    doubled = window.features | {AUDIO: 2 * window.features[AUDIO]}
    assert not np.allclose(_opinion(load_model_set(folder), window, doubled), before, atol=1e-3)
    edit_card(
        folder,
        lambda card: card["modalities"]["audio"].update(mean=(2 * mean).tolist(), deviation=[2.0] * SIZES[AUDIO]),
    )
    np.testing.assert_allclose(_opinion(load_model_set(folder), window, doubled), before, atol=1e-5)


def _opinion(models: ModelSet, window: Window, features: dict[Modality, FloatArray] | None = None) -> FloatArray:
    assert models.personal is not None
    return models.personal(window.features if features is None else features, window.mask)


# --- on disk -----------------------------------------------------------------------------------------------------


def test_a_card_from_before_there_were_second_opinions_still_loads(folder: Path) -> None:
    """Such a card has none of the three fields."""
    card = json.loads((folder / CARD_NAME).read_text())
    for field in ("personal", "selector", "vote_right"):
        card.pop(field, None)
    (folder / CARD_NAME).write_text(json.dumps(card))
    models = load_model_set(folder)
    assert models.personal is None
    assert models.trained == {}
    assert models.card.personal is models.card.selector is models.card.vote_right is None


def test_the_trained_criteria_of_a_set_make_its_selectors(folder: Path) -> None:
    add_policies(folder)
    trained = load_model_set(folder).trained
    random = np.random.default_rng(0)
    candidates = Candidates(
        random.dirichlet([1, 1, 1], (50, 4)).astype(np.float32),
        np.ones((50, 4), bool),
        random.standard_normal((50, SIZE)).astype(np.float32),
        np.arange(50.0),
    )
    for name in ("mmql", "p-right"):
        assert len(make_selector(name, trained).select(candidates, 5, np.random.default_rng(0))) == 5


def _opinion_that_is(**properties: Any) -> Callable[[Path], None]:
    return lambda folder: add_second_opinion(folder, **properties)


def _put(folder: Path, name: str, data: bytes) -> None:
    """Another file in the place of this part, with the hash in the card following: only its content is wrong then."""
    path = folder / f"{name}.onnx"
    path.write_bytes(data)
    edit_card(folder, lambda card: card[name].update(sha256=sha256(path)))


def _beyond() -> bytes:
    """A selector that loads: it takes numbers 98 and 99 of a state that has 20."""
    inputs = [helper.make_tensor_value_info("state", TensorProto.FLOAT, ["windows", 20])]
    outputs = [helper.make_tensor_value_info("q_values", TensorProto.FLOAT, ["windows", 2])]
    places = helper.make_tensor("places", TensorProto.INT64, [2], [98, 99])
    node = helper.make_node("Gather", ["state", "places"], ["q_values"], axis=1)
    graph = helper.make_graph([node], "policy", inputs, outputs, [places])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


DAMAGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "opinion missing": (lambda f: (f / "personal.onnx").unlink(), ["personal.onnx", "not there"]),
    "opinion changed afterwards": (lambda f: (f / "personal.onnx").write_bytes(b"x"), ["personal.onnx", "SHA-256"]),
    "opinion truncated": (
        lambda f: _put(f, "personal", (f / "personal.onnx").read_bytes()[:300]),
        ["personal.onnx", "cannot load"],
    ),
    "opinion of other features": (_opinion_that_is(size=377), ["personal.onnx", "[377]", "[378]"]),
    "opinion of two classes": (_opinion_that_is(classes=2), ["personal.onnx", "[2]", "[3]"]),
    "opinion of another input": (_opinion_that_is(inputs="x"), ["personal.onnx", "inputs", "vector"]),
    "opinion gives NaN": (_opinion_that_is(scale=np.nan), ["personal.onnx", "no probabilities"]),
    "share above all": (
        lambda f: edit_card(f, lambda card: card["personal"].update(share=1.5)),
        ["personal.share", "less than or equal to 1"],
    ),
    "deviation of nothing": (
        lambda f: edit_card(f, lambda card: card["modalities"]["audio"]["deviation"].__setitem__(2, 0.0)),
        ["modalities.audio.deviation.2", "greater than 0"],
    ),
    "mean of too few": (
        lambda f: edit_card(f, lambda card: card["modalities"]["audio"]["mean"].pop()),
        ["audio has 24 features, 23 means, 24 deviations"],
    ),
    "selector changed afterwards": (lambda f: (f / "selector.onnx").write_bytes(b"x"), ["selector.onnx", "SHA-256"]),
    "control in the place of the selector": (
        lambda f: _put(f, "selector", (f / "vote_right.onnx").read_bytes()),
        ["selector.onnx", "gives 'probability_right'", "expected 'q_values'"],
    ),
    "selector of another form": (
        lambda f: edit_card(f, lambda card: card["selector"].update(form="fidelity")),
        ["selector.onnx", "'product'", "'fidelity'"],
    ),
    "selector does not run": (lambda f: _put(f, "selector", _beyond()), ["selector.onnx", "loads but does not run"]),
    "selector gives NaN": (
        lambda f: _put(f, "selector", linear(20, "state", "q_values", classes=2, scale=np.nan).SerializeToString()),
        ["selector.onnx", "no utility"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_refused_with_the_reason(folder: Path, damage: str) -> None:
    add_policies(folder)
    load_model_set(folder)
    spoil, reasons = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(ModelError) as refusal:
        load_model_set(folder)
    for words in reasons:
        assert words in str(refusal.value)


def test_a_card_with_every_part_survives_being_written_and_read(folder: Path) -> None:
    add_policies(folder)
    card = read_card(folder)
    assert [part.file for part in card.parts] == [
        *(f"{modality}.onnx" for modality in Modality),
        *("personal.onnx", "selector.onnx", "vote_right.onnx"),
    ]
    assert load_model_set(folder).card == card
