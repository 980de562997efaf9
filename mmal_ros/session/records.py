"""What a session knows of windows: that somebody should label them, and what they were labelled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, STEPS_PER_WINDOW, Level

CLIP_MARGIN_NS = 3 * NANOSECONDS_PER_SECOND
"""A clip shows so much before and after its window."""
WINDOW_NS = STEPS_PER_WINDOW * STEP_NS
CLIP_LOST = ""
"""What stands for the clip of a flag when it is known that there will be none."""


class Privacy(StrEnum):
    """What of picture and sound is kept."""

    FEATURES_ONLY = "features_only"
    """None at all."""
    CLIPS = "clips"
    """A few seconds around each flagged window."""
    FULL = "full"
    """Everything, continuously: only where that was asked for."""


class LabelValue(StrEnum):
    """What a coder says of a window."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CANNOT_TELL = "cannot_tell"
    """One cannot say how engaged the person is."""
    BAD_CAPTURE = "bad_capture"
    """Nothing useful was recorded."""

    @property
    def level(self) -> Level | None:
        """The engagement that it names; None: it names none, and teaches a classifier nothing."""
        return Level[self.name] if self.name in Level.__members__ else None


@dataclass(frozen=True, slots=True)
class Flag:
    """A window that is worth a label."""

    window_id: int
    """That of the estimate it was decided on."""
    stamp_ns: int
    """End of the window, as everywhere."""
    policy: str
    """Which one decided; `person`: somebody pressed the button."""
    reason: str
    """One phrase for a person."""
    utility: float
    clip: str | None = None
    """File in the session's folder, for example `clips/17.mp4`; `CLIP_LOST`; None: none yet, or nothing was seen."""
    withdrawn: bool = False
    """A better one pushed it out, or somebody took it back; it stays in the table and is not to be labelled."""

    @property
    def start_ns(self) -> int:
        """Where the window begins."""
        return self.stamp_ns - WINDOW_NS


@dataclass(frozen=True, slots=True)
class Label:
    """What a coder said of a window. Never changed: who thinks again adds another, or a retraction."""

    window_id: int
    stamp_ns: int
    """End of the window: labels may also be of windows that were not flagged."""
    annotator: str
    """A code of the coder."""
    value: LabelValue | None
    """None: the coder takes back the last one of this window."""
    labelled_ns: int
    """When it was given."""
    note: str = ""
