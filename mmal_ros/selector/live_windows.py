"""From feature frames and estimates to the windows that live policies look at: one second each, not overlapping."""

from __future__ import annotations

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Estimate, FeatureFrame, Modality, Status
from mmal_ros.model_card import ModelCard
from mmal_ros.selector.live_vocabulary import LiveWindow
from mmal_ros.window_vectors import Vectoriser, scale_of_card
from mmal_ros.windowing import SlidingWindows

PERIOD_NS = NANOSECONDS_PER_SECOND
"""Estimates at every rate have one that ends on the full second."""


class LiveWindows:
    """Collects the feature frames of one model set's modalities; the estimates say when a window is there."""

    def __init__(self, card: ModelCard) -> None:
        """Windows have the features and the scale of this set."""
        self._windows = SlidingWindows(card.feature_sets, rate_hz=1)
        self._vectoriser = Vectoriser(scale_of_card(card))
        self._newest_ns = 0

    def accept(self, frame: FeatureFrame, now_ns: int) -> None:
        """Take a frame in; what the model set does not listen to is left out."""
        if frame.modality in self._windows.feature_sets:
            self._windows.add(frame, now_ns)

    def window(self, estimate: Estimate) -> LiveWindow | None:
        """The window of an estimate, with what has come in by now; None: it does not end on a full second."""
        if estimate.stamp_ns % PERIOD_NS:
            return None
        if estimate.stamp_ns < self._newest_ns:  # the clock was set back
            self._windows.forget()
        self._newest_ns = estimate.stamp_ns
        seen = self._windows.window(estimate.stamp_ns)
        features = {modality: values[None] for modality, values in seen.features.items()}
        mask = {modality: values[None] for modality, values in seen.mask.items()}
        return LiveWindow(
            id=estimate.window_id,
            end_ns=estimate.stamp_ns,
            probabilities=np.stack([estimate.by_modality[modality] for modality in Modality]),
            heard=np.array([estimate.status[modality] is not Status.MISSING for modality in Modality]),
            vector=self._vectoriser(features, mask)[0],
        )
