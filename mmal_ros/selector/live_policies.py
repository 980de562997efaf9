"""Live policies that look at each window on its own, and what the paper does."""

from __future__ import annotations

import numpy as np

from mmal_ros.selector.candidates import Criterion
from mmal_ros.selector.live_slices import Slice, Slices
from mmal_ros.selector.live_vocabulary import LiveWindow, Room, Standing, Wish, candidates_of
from mmal_ros.selector.reasons import AMONG_UNSURE, AT_RANDOM, MIDDLE, OFTEN_WRONG, doubt


class LiveFirstAsked:
    """The first windows that a policy asks about, until the budget is spent (MMQL 2019, algorithm 2, as they come)."""

    def __init__(self, criterion: Criterion, name: str) -> None:
        """`criterion` asks where it is above 0."""
        self.name = name
        self._criterion = criterion

    def consider(self, window: LiveWindow, room: Room) -> Wish | None:
        """See `LivePolicy.consider`."""
        if not room.left or not room.allows(window):
            return None
        utility = float(self._criterion(candidates_of([window]))[0])
        return Wish(window, utility, doubt(window.probabilities, window.heard, OFTEN_WRONG)) if utility > 0 else None


class LiveBest:
    """The windows that a criterion puts highest, as many as the budget has labels.

    Labels become free evenly over the expected session: at every moment about the best so far are flagged, a better
    one pushes out the lowest, and hardly any is pushed out that would have stayed.
    """

    def __init__(self, criterion: Criterion, name: str, seed: int, otherwise: str = AMONG_UNSURE) -> None:
        """Equal ones are put in a random order by `seed`; `otherwise` is the reason where nothing is in doubt."""
        self.name = name
        self._criterion = criterion
        self._otherwise = otherwise
        self._random = np.random.default_rng(seed)
        self._lots: dict[int, float] = {}

    def consider(self, window: LiveWindow, room: Room) -> Wish | None:
        """See `LivePolicy.consider`."""
        lot = self._random.random()  # drawn for every window: what people flag changes no later lot
        if not room.budget or not room.allows(window):
            return None
        utility = float(self._criterion(candidates_of([window]))[0])
        rival = None if self._label_is_free(room) else min(room.removable, key=self._rank, default=None)
        if rival is None and not self._label_is_free(room):
            return None
        if rival is not None and (utility, lot) <= self._rank(rival):
            return None
        self._lots = {flag.window_id: self._lots.get(flag.window_id, 0.0) for flag in room.flags} | {window.id: lot}
        reason = doubt(window.probabilities, window.heard, self._otherwise)
        return Wish(window, utility, reason, None if rival is None else rival.window_id)

    def _label_is_free(self, room: Room) -> bool:
        due = -(-room.budget * (room.elapsed + 1) // room.expected)
        return room.left > 0 and len(room.flags) < due

    def _rank(self, flag: Standing) -> tuple[float, float]:
        return flag.utility, self._lots.get(flag.window_id, 0.0)


class LiveRandom:
    """Any windows, all alike: moments drawn beforehand.

    Beyond the expected end, each window replaces a random flag as often as keeps all alike (reservoir sampling, Vitter
    1985, algorithm R).
    """

    name = "random"

    def __init__(self, seed: int) -> None:
        """The same seed gives the same moments."""
        self._random = np.random.default_rng(seed)
        self._moments: list[int] | None = None  # those to come, the next one last

    def consider(self, window: LiveWindow, room: Room) -> Wish | None:
        """See `LivePolicy.consider`."""
        if self._moments is None:
            drawn = self._random.permutation(room.expected)[: room.budget]
            self._moments = sorted(drawn[drawn >= room.elapsed].tolist(), reverse=True)
        if not room.allows(window):
            return None
        if self._moments and self._moments[-1] <= room.elapsed:
            if room.left:
                self._moments.pop()
                return Wish(window, 0.0, AT_RANDOM)
            return None
        return self._late(window, room) if room.elapsed >= room.expected else None

    def _late(self, window: LiveWindow, room: Room) -> Wish | None:
        if self._random.random() >= room.budget / (room.elapsed + 1) or not room.removable:
            return None
        replaced = room.removable[self._random.integers(len(room.removable))]
        return Wish(window, 0.0, AT_RANDOM, replaced.window_id)


class LiveEvenlyInTime:
    """The middle of each slice of the session, or the next window that can be flagged.

    With no label left the flag goes that leaves the smallest gap.
    """

    name = "evenly-in-time"

    def __init__(self) -> None:
        self._slices = Slices()
        self._spoken_in: Slice | None = None

    def consider(self, window: LiveWindow, room: Room) -> Wish | None:
        """See `LivePolicy.consider`."""
        running = self._slices.at(room)
        if running == self._spoken_in or room.elapsed - running.first < running.length // 2 or not room.allows(window):
            return None
        rival = None if room.left else _most_crowded(room)
        if rival is None and not room.left:
            return None
        self._spoken_in = running
        return Wish(window, 0.0, MIDDLE, rival)


def _most_crowded(room: Room) -> int | None:
    """The removable flag, but for the first and the last one, whose neighbours in time are closest to each other."""
    stamps_ns = [flag.stamp_ns for flag in room.flags]
    gaps = {
        flag.window_id: after - before
        for flag, before, after in zip(room.flags[1:-1], stamps_ns, stamps_ns[2:], strict=False)
        if flag in room.removable
    }
    return min(gaps, key=lambda window_id: gaps[window_id], default=None)
