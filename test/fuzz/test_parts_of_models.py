"""What a model set holds besides its classifiers, damaged: one `ModelError`, or finite numbers."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmal_ros.datatypes import Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.model_card import CARD_NAME, GroupCard, ModelError, read_card, sha256, write_card
from mmal_ros.models import load_model_set
from mmal_ros.training.export.groups import export_group, read_group
from mmal_ros.training.group.models import GroupModel
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.people import PersonWindows
from mmal_ros.window_vectors import Scale
from rigs.fuzzing import fuzz
from rigs.model_sets import CHOSEN_SETS, add_policies, add_second_opinion, edit_card, write_model_set
from rigs.mutation import damaged_bytes, odd_words

GROUP = "group.npz"
SIZES = {modality: len(FEATURE_SETS[name][1]) for modality, name in CHOSEN_SETS.items()}
NOBODY = PersonWindows("", {}, {}, np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
Content = dict[str, NDArray[Any]]
Damage = Callable[[Content], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_model_set(tmp_path_factory.mktemp("models") / "P017", feature_sets=CHOSEN_SETS)
    add_second_opinion(folder)
    add_policies(folder)
    torch.manual_seed(0)
    scale = Scale(
        {modality: np.zeros(size, np.float32) for modality, size in SIZES.items()},
        {modality: np.ones(size, np.float32) for modality, size in SIZES.items()},
    )
    networks = {modality.value: EngagementLSTM(size) for modality, size in SIZES.items()}
    export_group(GroupModel(networks, scale, True, 2.0, (), NOBODY), folder / GROUP)
    card = read_card(folder)
    card.group = GroupCard(file=GROUP, sha256=sha256(folder / GROUP), centred=True, persistence_s=2.0)
    write_card(folder, card)
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "1"))


def _replace(model: Path, part: str, content: bytes) -> None:
    """With the right hash: only the content is wrong then."""
    name = json.loads((model / CARD_NAME).read_text())[part]["file"]
    (model / name).write_bytes(content)
    edit_card(model, lambda card: card[part].update(sha256=sha256(model / name)))


def _use(model: Path) -> None:
    try:
        group = read_group(load_model_set(model))
    except ModelError as error:
        assert str(error)
        return
    features = {m: np.zeros((1, 10, size), np.float32) for m, size in SIZES.items()}
    for modality, network in group.networks.items():
        found = network(torch.from_numpy(features[Modality(modality)]), torch.ones(1, 10))
        assert torch.isfinite(found).all()
    scale = group.scale
    assert all(scale.mean[m].shape == scale.deviation[m].shape == (size,) for m, size in SIZES.items())
    assert all(np.isfinite(scale.mean[m]).all() and (scale.deviation[m] > 0).all() for m in SIZES)


@fuzz(st.data(), few=40)
def test_a_damaged_graph_of_a_person_or_policy(model, made, data):
    part, name = data.draw(
        st.sampled_from(
            [("personal", "personal.onnx"), ("selector", "selector.onnx"), ("vote_right", "vote_right.onnx")]
        )
    )
    (model / CARD_NAME).write_bytes((made / CARD_NAME).read_bytes())
    _replace(model, part, data.draw(damaged_bytes((made / name).read_bytes())))
    _use(model)
    shutil.copy(made / name, model / name)


@fuzz(st.data(), few=40)
def test_a_group_with_damaged_bytes(model, made, data):
    (model / CARD_NAME).write_bytes((made / CARD_NAME).read_bytes())
    _replace(model, "group", data.draw(damaged_bytes((made / GROUP).read_bytes())))
    _use(model)


def _all(value: float) -> Damage:
    return lambda content: content.update({name: np.full_like(array, value) for name, array in content.items()})


def _one(name: str, array: NDArray[Any]) -> Damage:
    return lambda content: content.update({name: array})


ARRAYS = st.one_of(
    st.sampled_from(
        [
            np.zeros(0), np.float32(np.nan), np.array("x"), np.zeros(24, np.float32), np.full(24, np.nan, np.float32),
            np.full(24, 1e300), np.zeros((2, 24)), np.zeros(24, "<M8[ns]"), np.zeros(24, "V3"), np.array(1 + 2j),
            np.full(24, 1 << 63, np.uint64), np.zeros(24, [("a", "f4")]), np.array(["a"] * 24), np.ones(24, np.int8),
        ]
    ),
    odd_words().map(lambda word: np.array(word.encode("utf-8", "replace").decode())),
)  # fmt: skip


@st.composite
def damages(draw: st.DrawFn, names: list[str]) -> Damage:
    """What happens to the arrays of a group."""
    name = draw(st.sampled_from(names))
    return draw(st.just(lambda content: content.pop(name)) | ARRAYS.map(lambda array: _one(name, array)))


NAMES = [f"scale/{m}/{of}" for m in SIZES for of in ("mean", "deviation")] + [
    f"{m}/{part}" for m, size in SIZES.items() for part in EngagementLSTM(size).state_dict()
]


@fuzz(damages(NAMES), few=40)
@example(_one("scale/audio/mean", np.zeros(3, np.float32)))
@example(_one("scale/audio/deviation", np.zeros(24, np.float32)))  # what is divided by it is infinite
@example(_one("scale/audio/mean", np.full(24, np.nan, np.float32)))
@example(_all(np.nan))
@example(_one("audio/temperature", np.float32(0)))
@example(_one("audio/temperature", np.zeros(0)))  # neither true nor false
def test_a_group_whose_arrays_are_of_another_kind(model, made, damage):
    with np.load(made / GROUP) as file:
        content: Content = {name: file[name] for name in file.files}
    damage(content)
    file = io.BytesIO()
    np.savez(file, **content)
    (model / CARD_NAME).write_bytes((made / CARD_NAME).read_bytes())
    _replace(model, "group", file.getvalue())
    _use(model)
