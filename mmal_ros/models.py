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
import logging
import os.path
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
    readable,
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
REMEDY = "set allow_fallback to go on on the CPU"
log = logging.getLogger(__name__)


class Classifier:
    """One ONNX classifier, on the first execution provider of the list that really works."""

    def __init__(self, path: Path, size: int, providers: Sequence[str], *, allow_fallback: bool = True) -> None:
        """Load, check and try out the graph; a GPU that fails is left as in `answer`. Raises ModelError."""
        self.path = path
        self.fell_back = False
        """Whether a GPU failed and the CPU goes on in its place."""
        self._size = size
        self._session = self._first_session(providers, allow_fallback)
        self._check_graph()
        self._features = np.zeros((1, STEPS_PER_WINDOW, size), np.float32)
        self._mask = np.zeros((1, STEPS_PER_WINDOW), np.float32)
        self._bind()
        self._try_out(allow_fallback)

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

    def answer(self, features: FloatArray, mask: FloatArray, *, allow_fallback: bool) -> FloatArray:
        """Probabilities of one window, (T, D) and (T,), or of many, (N, T, D) and (N, T), whatever becomes of a GPU.

        One that fails is left for the CPU when `allow_fallback`, with an error in the log.

        Raises:
            ModelError: it failed, and there is nothing to fall back to.
        """
        try:
            return self(features, mask) if features.ndim == 2 else self.batch(features, mask)
        except Exception as error:  # ONNX Runtime raises a dozen types of its own
            failed = f"{self.path} failed on {self.provider}"
            if self.provider == CPU:
                raise ModelError(f"{failed}: {error}") from error
            if not allow_fallback:
                raise ModelError(f"{failed}: {error}; {REMEDY}") from error
            log.error("%s and goes on on the CPU: %s", failed, error)
        self._session, self.fell_back = self._open(["cpu"]), True
        self._bind()
        return self.answer(features, mask, allow_fallback=False)

    def _first_session(self, providers: Sequence[str], allow_fallback: bool) -> onnxruntime.InferenceSession:
        try:
            return self._open(providers)
        except ModelError as error:
            self._open(["cpu"])  # raises where it is the file's fault, and not that of a GPU without memory
            if not allow_fallback:
                raise ModelError(f"{error}; {REMEDY}") from error
            log.error("a model goes on without %s: %s", providers[0], error)
        session = self._first_session(providers[1:] or ["cpu"], allow_fallback)
        self.fell_back = session.get_providers()[0] == CPU
        return session

    def _try_out(self, allow_fallback: bool) -> None:
        """Run once on zeros: a graph that loads can still fail, and the first run is the slow one."""
        zeros = np.zeros_like(self._features[0]), np.zeros_like(self._mask[0])
        probabilities = self.answer(*zeros, allow_fallback=allow_fallback)
        if not np.isfinite(probabilities).all() or abs(float(probabilities.sum()) - 1) > 1e-4:
            raise ModelError(f"{self.path}: what it gives are no probabilities: {probabilities}")

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


def load_model_set(path: Path, providers: Sequence[str] = ("cpu",), *, allow_fallback: bool = True) -> ModelSet:
    """Load the model set in `path`: a version's folder, or a model's, whose `current` names the version.

    Args:
        path: the folder.
        providers: execution providers in the order of preference, keys of `PROVIDERS`.
        allow_fallback: go on on the CPU, with an error in the log, when a GPU fails as it is tried out.

    Raises:
        ModelError: anything does not fit, or cannot be read; nothing is loaded then.
    """
    unknown = [name for name in providers if name not in PROVIDERS]
    if unknown or not providers:
        raise ModelError(f"unknown execution provider {unknown}; choose from {list(PROVIDERS)}, best first")
    folder = resolve_version(path)
    card = read_card(folder)
    check_features(folder, card)
    _check_files(folder, card)
    classifiers = {
        modality: Classifier(folder / part.file, len(part.features), providers, allow_fallback=allow_fallback)
        for modality, part in card.modalities.items()
    }
    return ModelSet(folder, card, classifiers, _personal(folder, card), _trained(folder, card))


def resolve_version(path: Path) -> Path:
    """The folder of the version that `path` means; raises ModelError."""
    current = path / CURRENT_NAME
    with readable(path):
        if (path / CARD_NAME).is_file():
            return path
        if current.is_file():
            return _live_version(current)
        hint = _suggestion(path)
    raise ModelError(f"{path} is no model set: neither {CARD_NAME} nor {CURRENT_NAME} is in it{hint}")


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
    """Those that can be looked at: nobody need be told that a neighbour cannot."""
    return sorted(found.name for found in folder.glob("*") if os.path.isfile(found / CURRENT_NAME))


def _check_files(folder: Path, card: ModelCard) -> None:
    for part in card.parts:
        path = folder / part.file
        with readable(path):
            is_there = path.parent == folder and path.is_file()
        if not is_there:
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
    """As `Classifier._try_out`: a graph that loads can still fail."""
    unsure = np.full((1, len(Modality), len(Level)), 1 / len(Level), np.float32)
    heard = np.ones(unsure.shape[:2], np.bool_)
    try:
        utility = policy(Candidates(unsure, heard, np.zeros((1, 1), np.float32), np.zeros(1)))
    except Exception as error:
        raise ModelError(f"{policy.path}: it loads but does not run: {error}") from error
    if not np.isfinite(utility).all():
        raise ModelError(f"{policy.path}: what it gives is no utility: {utility}")
