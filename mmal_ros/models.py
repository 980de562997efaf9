"""A model set: one ONNX classifier per modality and a card, loaded as one thing or refused as one thing.

    models/<name>/current              which version is live (a text file; switching it is atomic)
    models/<name>/<version>/model.json the card: what it is for and not for, inputs, training, metrics, hashes
    models/<name>/<version>/face.onnx body.onnx physiology.onnx audio.onnx
    models/<name>/<version>/personal.onnx in a person's own set: see `second_opinion`
    models/<name>/<version>/selector.onnx vote_right.onnx where they were trained: see `selector.LearnedPolicy`

A classifier takes `features` (N, T, D) and `mask` (N, T), both float32 and as `windowing` makes them, and returns
`probabilities` (N, 3), calibrated. Standardisation, masking and temperature are inside the graph: one code path.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from mmal_ros.datatypes import STEPS_PER_WINDOW, FloatArray, Level, Modality
from mmal_ros.model_card import (
    CARD_NAME,
    CURRENT_NAME,
    ModelCard,
    ModelError,
    PolicyCard,
    check_features,
    read_card,
    sha256,
)
from mmal_ros.onnx_session import CPU, open_session
from mmal_ros.paths import model_folders
from mmal_ros.second_opinion import SecondOpinion
from mmal_ros.selector import MMQL, P_RIGHT, Candidates, LearnedPolicy
from mmal_ros.selector.policy import PROBABILITY_RIGHT, Q_VALUES
from mmal_ros.window_vectors import scale_of_card

INPUTS = ("features", "mask")
OUTPUT = "probabilities"
PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": CPU,
}
"""What the configuration calls them: ONNX Runtime's name."""


class Classifier:
    """One ONNX classifier, on the first execution provider of the list that really works."""

    def __init__(self, path: Path, size: int, providers: Sequence[str]) -> None:
        """Load and check the graph; raises ModelError."""
        self.path = path
        self._size = size
        self._session = self._open(providers)
        self._check_graph()
        self._features = np.zeros((1, STEPS_PER_WINDOW, size), np.float32)
        self._mask = np.zeros((1, STEPS_PER_WINDOW), np.float32)
        self._bind()

    @property
    def provider(self) -> str:
        """The execution provider in use, by ONNX Runtime's name."""
        name: str = self._session.get_providers()[0]
        return name

    def __call__(self, features: FloatArray, mask: FloatArray) -> FloatArray:
        """Probabilities (3,) of one window, (T, D) and (T,); the fast path of the live graph."""
        self._features[0], self._mask[0] = features, mask
        if self._output is None:
            only: FloatArray = self.batch(self._features, self._mask)[0]
            return only
        self._session.run_with_iobinding(self._binding)
        result: FloatArray = self._output[0].copy()
        return result

    def batch(self, features: FloatArray, mask: FloatArray) -> FloatArray:
        """Probabilities (N, 3) of N windows, (N, T, D) and (N, T): bitwise what N single calls give on the CPU."""
        result: FloatArray = self._session.run([OUTPUT], {"features": features, "mask": mask})[0]
        return result

    def try_out(self) -> None:
        """Run once on zeros: a graph that loads can still fail, and the first run is the slow one."""
        try:
            probabilities = self(np.zeros_like(self._features[0]), np.zeros_like(self._mask[0]))
        except Exception as error:  # ONNX Runtime raises a dozen types of its own
            raise ModelError(f"{self.path}: it loads but does not run: {error}") from error
        if not np.isfinite(probabilities).all() or abs(float(probabilities.sum()) - 1) > 1e-4:
            raise ModelError(f"{self.path}: what it gives are no probabilities: {probabilities}")

    def fall_back_to_cpu(self) -> None:
        """Leave a provider that failed while running."""
        self._session = self._open(["cpu"])
        self._bind()

    def _open(self, providers: Sequence[str]) -> onnxruntime.InferenceSession:
        available = onnxruntime.get_available_providers()  # asking for another only makes it warn
        chosen = [PROVIDERS[name] for name in providers if PROVIDERS[name] in available]
        return open_session(self.path, chosen or [CPU])

    def _check_graph(self) -> None:
        expected = {"features": [STEPS_PER_WINDOW, self._size], "mask": [STEPS_PER_WINDOW]}
        found = {node.name: node.shape[1:] for node in self._session.get_inputs()}
        if found != expected:
            raise ModelError(f"{self.path}: its inputs are {found}, expected {expected} after the batch axis")
        outputs = {node.name: node.shape[1:] for node in self._session.get_outputs()}
        if outputs != {OUTPUT: [len(Level)]}:
            raise ModelError(f"{self.path}: its outputs are {outputs}, expected {{'{OUTPUT}': [{len(Level)}]}}")
        if any(isinstance(node.shape[0], int) for node in self._session.get_inputs()):
            raise ModelError(f"{self.path}: its batch axis is fixed; export it with a free one")

    def _bind(self) -> None:
        """Bind the input and output buffers once, so that a live window costs two small copies and one call."""
        self._output: FloatArray | None = None
        if self.provider != PROVIDERS["cpu"]:
            return
        self._output = np.zeros((1, len(Level)), np.float32)
        self._binding = self._session.io_binding()
        for name, buffer in zip(INPUTS, (self._features, self._mask), strict=True):
            self._binding.bind_input(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        self._binding.bind_output(OUTPUT, "cpu", 0, np.float32, self._output.shape, self._output.ctypes.data)


@dataclass(frozen=True, slots=True)
class ModelSet:
    """The classifiers of one version and what their card says."""

    folder: Path
    card: ModelCard
    classifiers: Mapping[Modality, Classifier]
    personal: SecondOpinion | None
    """Only in a person's own model set."""
    trained: Mapping[str, LearnedPolicy]
    """The trained criteria that are there, by the names of `selector.make_selector`."""

    @property
    def providers(self) -> dict[Modality, str]:
        """The execution provider in use for each modality."""
        return {modality: classifier.provider for modality, classifier in self.classifiers.items()}


def load_model_set(path: Path, providers: Sequence[str] = ("cpu",)) -> ModelSet:
    """Load the model set in `path`: a version's folder, or a model's, whose `current` names the version.

    Args:
        path: the folder.
        providers: execution providers in the order of preference, keys of `PROVIDERS`.

    Raises:
        ModelError: anything does not fit; nothing is loaded then.
    """
    unknown = [name for name in providers if name not in PROVIDERS]
    if unknown or not providers:
        raise ModelError(f"unknown execution provider {unknown}; choose from {list(PROVIDERS)}, best first")
    folder = resolve_version(path)
    card = read_card(folder)
    check_features(folder, card)
    _check_files(folder, card)
    classifiers = {
        modality: Classifier(folder / part.file, len(part.features), providers)
        for modality, part in card.modalities.items()
    }
    for classifier in classifiers.values():
        classifier.try_out()
    return ModelSet(folder, card, classifiers, _personal(folder, card), _trained(folder, card))


def resolve_version(path: Path) -> Path:
    """The folder of the version that `path` means; raises ModelError."""
    if (path / CARD_NAME).is_file():
        return path
    current = path / CURRENT_NAME
    if current.is_file():
        return _live_version(current)
    raise ModelError(f"{path} is no model set: neither {CARD_NAME} nor {CURRENT_NAME} is in it{_suggestion(path)}")


def _live_version(current: Path) -> Path:
    """The folder that `current` names: one beside it, and nothing elsewhere."""
    try:
        name = current.read_text().strip()
        folder = current.parent / name
        is_there = folder.name == name and (folder / CARD_NAME).is_file()
    except (OSError, ValueError) as error:
        raise ModelError(f"{current} cannot be read ({error}); `mmal models use` writes it anew") from error
    if not is_there:
        raise ModelError(f"{current} names version '{name[:80]}', which is not there")
    return folder


def _suggestion(path: Path) -> str:
    """What was meant, perhaps: a model set beside `path`, or one that comes with the package."""
    packaged = {name: name for folder in model_folders() for name in _model_sets(folder)}
    known = packaged | {name: str(path.parent / name) for name in _model_sets(path.parent)}
    if close := difflib.get_close_matches(path.name, known, n=1):
        return f"; did you mean {known[close[0]]}?"
    return f"; these come with the package: {', '.join(packaged)}" if packaged else ""


def _model_sets(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.glob("*") if (found / CURRENT_NAME).is_file())


def _check_files(folder: Path, card: ModelCard) -> None:
    for part in card.parts:
        path = folder / part.file
        if path.parent != folder or not path.is_file():
            raise ModelError(f"{path} is named by the card but not there")
        if sha256(path) != part.sha256:
            raise ModelError(f"{path} is not the file that the card describes: its SHA-256 differs")


def _personal(folder: Path, card: ModelCard) -> SecondOpinion | None:
    if card.personal is None:
        return None
    return SecondOpinion(folder / card.personal.file, scale_of_card(card), card.personal.share)


def _trained(folder: Path, card: ModelCard) -> dict[str, LearnedPolicy]:
    described = {MMQL: (card.selector, Q_VALUES), P_RIGHT: (card.vote_right, PROBABILITY_RIGHT)}
    return {name: _policy(folder, part, output) for name, (part, output) in described.items() if part is not None}


def _policy(folder: Path, part: PolicyCard, output: str) -> LearnedPolicy:
    policy = LearnedPolicy(folder / part.file)
    if (policy.form, policy.output) != (part.form, output):
        raise ModelError(
            f"{policy.path}: it gives '{policy.output}' for the state '{policy.form}', "
            f"expected '{output}' for '{part.form}'"
        )
    _try_out(policy)
    return policy


def _try_out(policy: LearnedPolicy) -> None:
    """As `Classifier.try_out`: a graph that loads can still fail."""
    unsure = np.full((1, len(Modality), len(Level)), 1 / len(Level), np.float32)
    heard = np.ones(unsure.shape[:2], np.bool_)
    try:
        utility = policy(Candidates(unsure, heard, np.zeros((1, 1), np.float32), np.zeros(1)))
    except Exception as error:
        raise ModelError(f"{policy.path}: it loads but does not run: {error}") from error
    if not np.isfinite(utility).all():
        raise ModelError(f"{policy.path}: what it gives is no utility: {utility}")
