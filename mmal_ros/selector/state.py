"""What the policy sees of a window, and how its modalities vote."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray, Level
from mmal_ros.uncertainty import confidence, entropy


class StateForm(StrEnum):
    """Which state the policy sees (MMQL 2019, sec. 3.3)."""

    FIDELITY = "fidelity"
    """The paper's: 4 confidences 1 - H, with H clipped to 0-1, then 4 x 3 probabilities. 16 numbers."""
    PRODUCT = "product"
    """Ours: 4 confidences 1 - H / ln 3, then 4 x 3 probabilities, then 4 times 1 (heard) or 0. 20 numbers."""


def policy_state(probabilities: FloatArray, heard: NDArray[np.bool_], form: StateForm) -> FloatArray:
    """What the policy sees of N windows: (N, 16) or (N, 20), by `form`.

    Args:
        probabilities: (N, M, 3); what stands where a modality is not heard has no influence.
        heard: (N, M); a modality that is not heard has probabilities 1/3 and confidence 0.
        form: which numbers.
    """
    known = np.where(heard[..., None], probabilities, np.float32(1 / len(Level)))
    sure = 1 - np.clip(entropy(known), 0, 1) if form is StateForm.FIDELITY else confidence(known)
    parts = [sure, known.reshape(len(known), known.shape[1] * known.shape[2])]
    if form is StateForm.PRODUCT:
        parts.append(heard)
    return np.concatenate(parts, axis=1, dtype=np.float32)


def vote(probabilities: FloatArray, heard: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) the level that `engagement.majority_vote` gives in each window; -1 where nothing is heard.

    Args:
        probabilities: (N, M, 3).
        heard: (N, M).
    """
    peaks = np.where(heard[..., None], probabilities, -1).max(axis=1)
    votes = votes_by_level(probabilities, heard)
    tied = votes == votes.max(axis=1, keepdims=True)
    level = np.where(tied, peaks, -2).argmax(axis=1)
    return np.where(heard.any(axis=1), level, -1)


def votes_by_level(probabilities: FloatArray, heard: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, 3) how many of the modalities heard find each level likeliest."""
    likeliest = probabilities.argmax(axis=-1)[..., None] == np.arange(len(Level))
    votes: NDArray[np.int64] = (likeliest & heard[..., None]).sum(axis=1)
    return votes
