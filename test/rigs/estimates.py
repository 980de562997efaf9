"""What somebody who listens to the estimates can say of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mmal_msgs.msg import Engagement, ModalityEstimate
from mmal_ros.datatypes import Modality
from mmal_ros.nodes.conversions import MODALITY_CODES


def part(estimate: Engagement, modality: Modality) -> ModalityEstimate:
    """What an estimate has of a modality."""
    return estimate.modalities[MODALITY_CODES[modality]]


def counts(estimates: Sequence[Engagement], *modalities: Modality) -> bool:
    """Whether each of them is valid in the newest estimate."""
    return bool(estimates) and all(part(estimates[-1], m).status == ModalityEstimate.VALID for m in modalities)


def went_on(estimates: Sequence[Engagement]) -> None:
    """Each window has its estimate."""
    assert len(estimates) > 1
    leaps = [(early, late) for early, late in pairwise(estimates) if late.window_id != early.window_id + 1]
    assert not leaps, f"an estimate was missed: {leaps}"
