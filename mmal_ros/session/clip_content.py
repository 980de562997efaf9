"""What a clip is made of. Apart from its encoder, so that a recorder starts without FFmpeg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmal_ros.datatypes import FloatArray

HOLD_NS = 500_000_000
"""A picture is shown until the next one comes, but no longer than this: what nobody saw must not look seen."""


@dataclass(frozen=True, slots=True)
class ClipContent:
    """What was seen and heard; some of it may lie before or after the clip."""

    start_ns: int
    end_ns: int
    pictures: Sequence[tuple[int, bytes]]
    """(stamp, JPEG), in the order of time."""
    sound: Sequence[tuple[int, FloatArray]]
    """(stamp of the first value, mono values from -1 to 1), in the order of time."""
    rate_hz: float
    """Of the sound, in Hertz."""
