"""Why a window is worth a label, in one phrase for a person; every phrase is read off the numbers that decided."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray, Modality
from mmal_ros.uncertainty import confidence

PLAIN = {
    Modality.FACE: "face",
    Modality.BODY: "body",
    Modality.PHYSIOLOGY: "wristband",
    Modality.AUDIO: "voice",
}
"""What a modality is called where a person reads it."""
NAMES = tuple(PLAIN[modality] for modality in Modality)
SURE = 0.6
"""A modality is sure that gives one of three levels at least this probability."""

UNLIKE = "unlike earlier moments"
LIKE_MUCH = "like much of what came before, and not asked about yet"
TYPICAL = "typical of this stretch of time"
MIDDLE = "in the middle of this stretch of time"
AT_RANDOM = "picked at random"
NOBODY_SURE = "no modality is sure"
OFTEN_WRONG = "all agree, but such answers are often wrong"
AMONG_UNSURE = "among the least sure moments so far"
BY_HAND = "flagged by hand"
WRISTBAND_BUTTON = "wristband button"
FROM_BEFORE = "flagged before the selector was started again"
BETTER_CAME = "a better moment came"
TAKEN_BACK = "taken back by hand"


def doubt(probabilities: FloatArray, heard: NDArray[np.bool_], otherwise: str) -> str:
    """What makes the answer to one window doubtful.

    In this order: two modalities that find different levels likeliest, the surest such pair; nobody is sure; somebody
    is not sure, the least sure one.

    Args:
        probabilities: (4, 3), in the order of `Modality`.
        heard: (4,); what is not heard is not spoken of.
        otherwise: where all agree and are sure.
    """
    voices = np.flatnonzero(heard).tolist()
    if pair := _surest_opponents(probabilities, voices):
        return f"{NAMES[pair[0]]} and {NAMES[pair[1]]} disagree"
    peaks = {voice: float(probabilities[voice].max()) for voice in voices}
    unsure = [voice for voice in voices if peaks[voice] < SURE]
    if not unsure:
        return otherwise
    if len(unsure) == len(voices) > 1:
        return NOBODY_SURE
    return f"{NAMES[min(unsure, key=lambda voice: peaks[voice])]} is not sure"


def _surest_opponents(probabilities: FloatArray, voices: list[int]) -> tuple[int, int] | None:
    """Of the pairs that find different levels likeliest the one whose less sure member is surest."""
    levels, sureness = probabilities.argmax(axis=1), confidence(probabilities)
    opponents = [(a, b) for a, b in combinations(voices, 2) if levels[a] != levels[b]]
    return max(opponents, key=lambda pair: min(sureness[pair[0]], sureness[pair[1]]), default=None)
