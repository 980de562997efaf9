"""The vocabulary of choosing while the session runs: windows, flags, what may be spent, what a policy wishes.

Time is counted in windows that came: one second each, not overlapping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, STEPS_PER_WINDOW, FloatArray
from mmal_ros.selector.candidates import Candidates

WINDOW_NS = STEPS_PER_WINDOW * STEP_NS
RECENT = 5
"""Windows that may still be flagged, the newest one included. The recorder cuts clips from the last 12 s, and a clip
begins 4 s before its window's end, so even the oldest of them can have one."""
PERSON = "person"
"""Stands for the policy where somebody pressed a button."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveWindow:
    """One second of the session as a policy sees it. M = 4 modalities in the order of `Modality`."""

    id: int
    """That of the estimate."""
    end_ns: int
    probabilities: FloatArray
    """(M, 3) calibrated; 1/3 where the modality is not heard."""
    heard: NDArray[np.bool_]
    """(M,) whether the modality votes."""
    vector: FloatArray
    """(E,) its content, as `window_vectors` makes it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A flag that stands."""

    window_id: int
    stamp_ns: int
    """End of the window."""
    policy: str
    """Which one decided, or `PERSON`: that is never pushed out."""
    utility: float
    """What the policy expects of a label; unit of the policy."""
    reason: str
    """One phrase for a person."""


@dataclass(frozen=True, slots=True)
class Decision:
    """To ask about a window, or not to ask about it after all."""

    flag: Standing
    withdrawn: bool
    """A better one pushed it out, or somebody took it back: `flag` has the reason."""
    budget: int
    budget_left: int
    """After this decision."""


@dataclass(frozen=True, slots=True)
class Room:
    """What there is to spend when a window has come."""

    elapsed: int
    """Windows of the session before this one."""
    expected: int
    """Windows that the whole session is expected to have, 1 or more."""
    budget: int
    flags: tuple[Standing, ...]
    """Those that stand, the oldest first."""
    spoken_of_ns: tuple[int, ...]
    """Ends of all windows ever flagged, also by hand, also if withdrawn."""
    refractory_ns: int

    @property
    def left(self) -> int:
        """Labels that may still be asked for."""
        return max(0, self.budget - len(self.flags))

    @property
    def removable(self) -> tuple[Standing, ...]:
        """The flags that a better one may push out."""
        return tuple(flag for flag in self.flags if flag.policy != PERSON)

    def allows(self, window: LiveWindow) -> bool:
        """Whether something is heard in it and no flag, standing or withdrawn, is too close to it."""
        return bool(window.heard.any()) and all(
            abs(window.end_ns - stamp_ns) >= self.refractory_ns for stamp_ns in self.spoken_of_ns
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What a policy would like to flag."""

    window: LiveWindow
    """The one that just came, or one of the `RECENT` last ones."""
    utility: float
    reason: str
    instead_of: int | None = None
    """Id of the removable flag that it pushes out; None: it takes from the budget, of which something is left."""


class LivePolicy(Protocol):
    """Says what is worth a label while the session runs. One object for one session."""

    name: str

    def consider(self, window: LiveWindow, room: Room) -> Wish | None:
        """Look at every window that comes, heard or not; None: nothing is worth a flag now."""


def candidates_of(windows: Sequence[LiveWindow]) -> Candidates:
    """The windows, one or more, as criteria want them."""
    return Candidates(
        np.stack([window.probabilities for window in windows]),
        np.stack([window.heard for window in windows]),
        np.stack([window.vector for window in windows]),
        np.array([window.end_ns for window in windows]) / NANOSECONDS_PER_SECOND,
    )
