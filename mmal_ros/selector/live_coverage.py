"""The live selector that is used unless another is named: per slice of the session the window that covers most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmal_ros.selector.candidates import Criterion
from mmal_ros.selector.coverage import IDENTICAL, Distances
from mmal_ros.selector.live_memory import Memory
from mmal_ros.selector.live_slices import Slice, Slices
from mmal_ros.selector.live_vocabulary import RECENT, WINDOW_NS, LiveWindow, Room, Wish, candidates_of
from mmal_ros.selector.reasons import LIKE_MUCH, OFTEN_WRONG, TYPICAL, UNLIKE, doubt

REACH = 0.1
"""As in `SlicedCoverage`: so many of the distances are shorter than the one at which likeness has fallen to 1/e."""
ABOUT_AS_MUCH = 0.95
"""As in `SlicedCoverage`: share of the most that is covered."""
WAITS = 1 / 3
"""Share of a slice in which it only looks: what is flagged at its very beginning is nearly always pushed out."""
BETTER_BY = 1.1
"""What pushes out a flag covers so many times as much. Every flag costs a clip: with both numbers about two are made
per label, and 2 % less is covered than off-line (benchmarks/bench_selector.py); without them more than three."""


class LiveCoverage:
    """`SlicedCoverage` while the session runs.

    In the slice that is running it flags the one of the last few windows that most of what was seen is like and no
    flag is like, and a better one pushes it out. With no label left, which is so beyond the expected end of the
    session, it pushes out the flag without which least would be uncovered.
    """

    def __init__(self, criterion: Criterion | None = None, name: str = "sliced-coverage") -> None:
        """`criterion` decides between windows that cover about as much; None: the one that covers most."""
        self.name = name
        self._criterion = criterion
        self._slices = Slices()
        self._recent: list[LiveWindow] = []
        self._memory: Memory | None = None
        self._in_slice: tuple[Slice, int] | None = None  # the slice that has been spoken in, and of which window

    def consider(self, window: LiveWindow, room: Room) -> Wish | None:
        """See `LivePolicy.consider`."""
        memory = self._remember(window, room)
        running = self._slices.at(room)
        if running.first == room.elapsed:
            self._recent = [recent for recent in self._recent if recent is window]
        candidates = [recent for recent in self._recent if room.allows(recent)]
        if not candidates or not room.budget or room.elapsed - running.first < int(running.length * WAITS):
            return None
        kept = [flag.window_id for flag in room.flags if flag.window_id in memory]
        rival = self._own_flag(running, room)
        if rival is None and not room.left:
            rival = _least_missed(memory, [flag.window_id for flag in room.removable if flag.window_id in memory], kept)
        if not _may_speak(rival, room):
            return None
        wish = self._best(candidates, rival, [flag for flag in kept if flag != rival], memory, running.first)
        if wish is not None:
            self._in_slice = running, wish.window.id
        return wish

    def _remember(self, window: LiveWindow, room: Room) -> Memory:
        """Take the window in, and what people flagged since the last one; forget what can no longer matter."""
        memory = self._memory = self._memory or Memory(len(window.vector))
        fresh = [recent for recent in self._recent if 0 < window.end_ns - recent.end_ns < RECENT * WINDOW_NS]
        if window.heard.any():
            memory.add(room.elapsed, window.id, window.vector)
            fresh.append(window)
        self._recent = fresh
        for flag in room.flags:
            for near in (recent for recent in fresh if abs(recent.end_ns - flag.stamp_ns) < WINDOW_NS):
                if flag.window_id not in memory:
                    memory.same(flag.window_id, near.id)
        memory.watch_only([*(recent.id for recent in fresh), *(flag.window_id for flag in room.flags)])
        return memory

    def _own_flag(self, running: Slice, room: Room) -> int | None:
        """The window that was flagged in this slice, if its flag stands."""
        if self._in_slice is None or self._in_slice[0] != running:
            return None
        return next((flag.window_id for flag in room.flags if flag.window_id == self._in_slice[1]), None)

    def _best(
        self, candidates: Sequence[LiveWindow], rival: int | None, others: Sequence[int], memory: Memory, begin: int
    ) -> Wish | None:
        """The candidate that covers most of what `others` do not; None: not so much more than the rival."""
        away = memory.away([*(candidate.id for candidate in candidates), *([] if rival is None else [rival])])
        nearest = memory.away(others).min(axis=0) if others else np.full(away.shape[1], np.inf)
        scale = scale_of(away)
        covered = newly(away, nearest, scale)
        gains = covered.sum(axis=1)
        own = gains[: len(candidates)]
        if rival is not None and own.max() <= BETTER_BY * gains[-1]:
            return None
        chosen = self._choice(candidates, own)
        reason = why(away[chosen], covered[chosen], memory.before(begin), scale)
        if chosen != own.argmax():  # the criterion decided
            reason += f"; {doubt(candidates[chosen].probabilities, candidates[chosen].heard, OFTEN_WRONG)}"
        return Wish(candidates[chosen], float(gains[chosen]) * memory.every, reason, rival)

    def _choice(self, candidates: Sequence[LiveWindow], gains: Distances) -> int:
        """Of those that cover about as much the one that the criterion puts highest, the earliest of equals."""
        if self._criterion is None:
            return int(gains.argmax())
        utility = self._criterion(candidates_of(candidates))
        return int(np.where(gains >= ABOUT_AS_MUCH * gains.max(), utility, -np.inf).argmax())


def scale_of(away: Distances) -> float:
    """The distance at which likeness has fallen to 1/e, of what is compared: (n, S)."""
    return max(float(np.quantile(away, REACH)), IDENTICAL)


def newly(away: Distances, nearest: Distances, scale: float) -> Distances:
    """(n, S) how far, 0-1, each of n windows covers each of S that at `nearest` (S,) are not covered yet."""
    added: Distances = np.maximum(np.exp(-away / scale) - np.exp(-nearest / scale), 0)
    return added


def why(away: Distances, covered: Distances, earlier: NDArray[np.bool_], scale: float) -> str:
    """Why a window was chosen for what it covers.

    Args:
        away: (S,) its distances to the windows seen.
        covered: (S,) how far it covers each of them that was not covered.
        earlier: (S,) which of them were before its slice.
        scale: the distance at which likeness has fallen to 1/e.
    """
    if not earlier.any():
        return TYPICAL
    if away[earlier].min() > scale:
        return UNLIKE
    return LIKE_MUCH if covered[earlier].sum() > covered[~earlier].sum() else TYPICAL


def _may_speak(rival: int | None, room: Room) -> bool:
    """Whether there is a label left, or a flag that may be pushed out for it."""
    return bool(room.left) if rival is None else rival in {flag.window_id for flag in room.removable}


def _least_missed(memory: Memory, removable: Sequence[int], flagged: Sequence[int]) -> int | None:
    """Which of the removable flags covers least that no other flag covers; None: there is none.

    Args:
        memory: watches them.
        removable: those of `flagged` that may be pushed out.
        flagged: all flags.
    """
    if not removable:
        return None
    away = memory.away(flagged)
    scale = scale_of(away)
    missed = [
        newly(away[place], np.delete(away, place, axis=0).min(axis=0, initial=np.inf), scale).sum()
        for place in map(list(flagged).index, removable)
    ]
    return removable[int(np.argmin(missed))]
