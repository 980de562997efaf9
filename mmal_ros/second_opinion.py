"""The second opinion of a person's model set: what her labels alone say of a window."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import STEPS_PER_WINDOW, FloatArray, Level, Modality
from mmal_ros.model_card import ModelError
from mmal_ros.onnx_session import open_session
from mmal_ros.window_vectors import Scale, Vectoriser

VECTOR, PROBABILITIES = "vector", "probabilities"


class SecondOpinion:
    """A classifier of whole windows, in an ONNX file, and its weight beside the modalities.

    The graph takes `vector` (N, E), float32, as `window_vectors` makes it, and gives `probabilities` (N, 3). It runs on
    the CPU: trees gain nothing elsewhere.
    """

    def __init__(self, path: Path, scale: Scale, share: float) -> None:
        """Load, check and try out the graph.

        Args:
            path: the file.
            scale: what the vectors are standardised by.
            share: weight (0-1) of this opinion beside the mean of the modalities.

        Raises:
            ModelError: the graph does not fit.
        """
        self.path = path
        self._vectors = Vectoriser(scale)
        self._rest, self._share = np.float32(1 - share), np.float32(share)
        self._session = open_session(path)
        self._check_graph()
        self._try_out(scale)

    def __call__(self, features: Mapping[Modality, FloatArray], mask: Mapping[Modality, FloatArray]) -> FloatArray:
        """Probabilities (3,) of one window, (T, D) and (T,) per modality."""
        only: FloatArray = self.batch({m: features[m][None] for m in features}, {m: mask[m][None] for m in mask})[0]
        return only

    def batch(self, features: Mapping[Modality, FloatArray], mask: Mapping[Modality, FloatArray]) -> FloatArray:
        """Probabilities (N, 3) of N windows, (N, T, D) and (N, T) per modality: bitwise what N single calls give."""
        result: FloatArray = self._session.run([PROBABILITIES], {VECTOR: self._vectors(features, mask)})[0]
        return result

    def beside(self, mean: FloatArray, opinion: FloatArray) -> FloatArray:
        """The average, (3,), of the modalities' mean and this opinion."""
        return self._rest * mean + self._share * opinion

    def _check_graph(self) -> None:
        found = {node.name: node.shape[1:] for node in self._session.get_inputs()}
        if found != {VECTOR: [self._vectors.size]}:
            expected = f"'{VECTOR}' [{self._vectors.size}]"
            raise ModelError(f"{self.path}: its inputs are {found}, expected {expected} after the batch axis")
        outputs = {node.name: node.shape[1:] for node in self._session.get_outputs()}
        if outputs != {PROBABILITIES: [len(Level)]}:
            raise ModelError(f"{self.path}: its outputs are {outputs}, expected '{PROBABILITIES}' [{len(Level)}]")

    def _try_out(self, scale: Scale) -> None:
        """Ask once about the mean: a graph that loads can still fail."""
        try:
            found = self(
                {m: np.tile(mean, (STEPS_PER_WINDOW, 1)) for m, mean in scale.mean.items()},
                {m: np.ones(STEPS_PER_WINDOW, np.float32) for m in scale.mean},
            )
        except Exception as error:  # ONNX Runtime raises a dozen types of its own
            raise ModelError(f"{self.path}: it loads but does not run: {error}") from error
        if not np.isfinite(found).all() or abs(float(found.sum()) - 1) > 1e-4:
            raise ModelError(f"{self.path}: what it gives are no probabilities: {found}")
