"""Small, valid, deterministic model sets on disk, and the ways in which a model set goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mmal_ros.datatypes import STEPS_PER_WINDOW, Level, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.model_card import (
    CARD_NAME,
    OPSET,
    ModalityCard,
    ModelCard,
    PersonalCard,
    PolicyCard,
    make_current,
    read_card,
    sha256,
    write_card,
)

CHOSEN_SETS = {
    Modality.FACE: "mediapipe-face",
    Modality.BODY: "mediapipe-pose",
    Modality.PHYSIOLOGY: "e4",
    Modality.AUDIO: "spectral",
}
HIDDEN = 8
IR_VERSION = 8  # of ONNX 1.12, which brought opset 17


def write_model_set(
    model_folder: Path, version: str = "1", *, seed: int = 0, feature_sets: Mapping[Modality, str] | None = None
) -> Path:
    """Write models/<name>/<version> with one classifier per modality, make it current; returns the version's folder."""
    chosen = CHOSEN_SETS if feature_sets is None else feature_sets
    folder = model_folder / version
    folder.mkdir(parents=True)
    for offset, (modality, feature_set) in enumerate(chosen.items()):
        size = len(FEATURE_SETS[feature_set][1])
        onnx.save(classifier(size, seed=seed + offset), folder / f"{modality}.onnx")
    parts = {modality: _part(folder, modality, feature_set) for modality, feature_set in chosen.items()}
    write_card(
        folder,
        ModelCard(
            purpose="For tests only: random weights, it knows nothing about anybody.",
            name=model_folder.name,
            version=version,
            created="2026-01-01",
            modalities=parts,
        ),
    )
    make_current(model_folder, version)
    return folder


def add_second_opinion(folder: Path, share: float = 0.5, **properties: Any) -> None:
    """Make a version a person's own: with a second opinion of random weights on the vector of its modalities."""
    card = read_card(folder)
    size = sum(len(part.features) for part in card.modalities.values())
    path = folder / "personal.onnx"
    onnx.save(linear(**{"size": size, "inputs": "vector", "output": "probabilities"} | properties), path)
    card.personal = PersonalCard(file=path.name, sha256=sha256(path), share=share)
    write_card(folder, card)


def add_policies(folder: Path) -> None:
    """Give a version both trained criteria, of random weights, on the state of 20 numbers."""
    card = read_card(folder)
    for name, output, classes in (("selector", "q_values", 2), ("vote_right", "probability_right", 1)):
        path = folder / f"{name}.onnx"
        onnx.save(linear(20, "state", output, classes=classes), path)
        setattr(card, name, PolicyCard(file=path.name, sha256=sha256(path), form="product"))
    write_card(folder, card)


def linear(
    size: int, inputs: str, output: str, *, classes: int = len(Level), seed: int = 0, scale: float = 1.0
) -> onnx.ModelProto:
    """One row of numbers in, softmax of a linear layer out; random weights of `scale`."""
    random = np.random.default_rng(seed)
    weights = {"V": random.standard_normal((size, classes)) * 5, "C": random.standard_normal(classes)}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", [inputs, "V", "C"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [output], axis=-1),
        ],
        "linear",
        [helper.make_tensor_value_info(inputs, TensorProto.FLOAT, ["N", size])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array((values * scale).astype(np.float32), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _part(folder: Path, modality: Modality, feature_set: str) -> ModalityCard:
    names = list(FEATURE_SETS[feature_set][1])
    file = f"{modality}.onnx"
    return ModalityCard(
        file=file,
        sha256=sha256(folder / file),
        feature_set=feature_set,
        features=names,
        mean=[0.0] * len(names),
        deviation=[1.0] * len(names),
        temperature=1.0,
    )


def classifier(
    size: int,
    *,
    seed: int = 0,
    opset: int = OPSET,
    steps: int = STEPS_PER_WINDOW,
    classes: int = len(Level),
    batch: str | int = "N",
    output: str = "probabilities",
    scale: float = 0.3,
) -> onnx.ModelProto:
    """An LSTM over masked features, averaged over the steps, as the deployed ones are; random weights of `scale`."""
    random = np.random.default_rng(seed)
    weights = {
        "W": random.standard_normal((1, 4 * HIDDEN, size)),
        "R": random.standard_normal((1, 4 * HIDDEN, HIDDEN)),
        "B": random.standard_normal((1, 8 * HIDDEN)),
        "V": random.standard_normal((HIDDEN, classes)) * 5,  # or every answer would be about the same
        "C": random.standard_normal(classes),
    }
    constants = [numpy_helper.from_array((values * scale).astype(np.float32), name) for name, values in weights.items()]
    constants += [numpy_helper.from_array(np.array([axis]), f"axis{axis}") for axis in (1, 2)]
    nodes = [
        helper.make_node("Unsqueeze", ["mask", "axis2"], ["column"]),
        helper.make_node("Mul", ["features", "column"], ["heard"]),
        helper.make_node("Transpose", ["heard"], ["by_step"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["by_step", "W", "R", "B"], ["states"], hidden_size=HIDDEN),
        helper.make_node("Squeeze", ["states", "axis1"], ["hidden"]),
        helper.make_node("ReduceMean", ["hidden"], ["mean"], axes=[0], keepdims=0),
        helper.make_node("Gemm", ["mean", "V", "C"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [output], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, steps, size]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, [batch, steps]),
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, classes])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)


# --- what goes wrong ---------------------------------------------------------------------------------------------


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the card as somebody with an editor would."""
    card = json.loads((folder / CARD_NAME).read_text())
    change(card)
    (folder / CARD_NAME).write_text(json.dumps(card))


def replace_graph(folder: Path, content: onnx.ModelProto | bytes, modality: Modality = Modality.AUDIO) -> None:
    """Put another ONNX file in place, with the hash in the card following: only its content is wrong then."""
    data = content if isinstance(content, bytes) else content.SerializeToString()
    path = folder / f"{modality}.onnx"
    path.write_bytes(data)
    edit_card(folder, lambda card: card["modalities"][modality].update(sha256=sha256(path)))


def _swap_two_features(card: dict[str, Any]) -> None:
    names = card["modalities"]["audio"]["features"]
    names[3], names[4] = names[4], names[3]


def _audio(change: Mapping[str, object]) -> Callable[[Path], None]:
    return lambda folder: edit_card(folder, lambda card: card["modalities"]["audio"].update(change))


def _card(change: Mapping[str, object]) -> Callable[[Path], None]:
    return lambda folder: edit_card(folder, lambda card: card.update(change))


def _graph(**properties: Any) -> Callable[[Path], None]:
    size = {"size": 24} | properties
    return lambda folder: replace_graph(folder, classifier(**size))


def _truncated(folder: Path) -> None:
    replace_graph(folder, (folder / "audio.onnx").read_bytes()[:300])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no card": lambda folder: (folder / CARD_NAME).unlink(),
    "card is not JSON": lambda folder: (folder / CARD_NAME).write_text('{"purpose": "half a'),
    "unknown field": _card({"colour": "green"}),
    "field missing": lambda folder: edit_card(folder, lambda card: card.pop("purpose")),
    "no modality": _card({"modalities": {}}),
    "other classes": _card({"classes": ["low", "high"]}),
    "other step": _card({"step_ms": 50}),
    "card of another opset": _card({"opset": 18}),
    "wrong hash": _audio({"sha256": "0" * 64}),
    "file changed afterwards": lambda folder: (folder / "face.onnx").write_bytes(b"something else"),
    "file missing": lambda folder: (folder / "body.onnx").unlink(),
    "file outside the folder": _audio({"file": "../audio.onnx"}),
    "other feature order": lambda folder: edit_card(folder, _swap_two_features),
    "feature missing": lambda folder: edit_card(folder, lambda card: card["modalities"]["audio"]["features"].pop()),
    "other feature set": _audio({"feature_set": "opensmile-egemaps"}),
    "unknown feature set": _audio({"feature_set": "opensmile-is09"}),
    "feature set of another modality": _audio({"feature_set": "e4"}),
    "no temperature": _audio({"temperature": 0}),
    "truncated": _truncated,
    "file of an unknown opset": _graph(opset=99),
    "more features": _graph(size=25),
    "fewer steps": _graph(steps=9),
    "two classes": _graph(classes=2),
    "output of another name": _graph(output="logits_"),
    "fixed batch": _graph(batch=1),
    "gives NaN": _graph(scale=np.nan),
}
"""What happens to a model set, by name: each takes the version's folder and spoils it."""


def put_on_a_failing_disk(path: Path) -> None:
    """What it becomes is a file, and no byte of it can be read, not even by root."""
    path.unlink()
    path.symlink_to("/proc/self/mem")
