"""Choosing while the session runs: windows in as they come, flags out, within a budget.

A *policy* says which of the last few windows it would like a label of, and at most which flag it would give for it.
`LiveSelector` holds what all policies share: the budget, the refractory time, what people flagged and took back. No
clock is read, so the same windows give the same flags.
"""

from __future__ import annotations

from dataclasses import replace

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.selector.live_vocabulary import PERSON, WINDOW_NS, Decision, LivePolicy, LiveWindow, Room, Standing, Wish
from mmal_ros.selector.reasons import BETTER_CAME, FROM_BEFORE, TAKEN_BACK
from mmal_ros.selector.registry import SelectorError


class LiveSelector:
    """Spends the budget of one session.

    What a person flags is never refused and never pushed out. It takes from the budget while there is some left, and
    counts on top of it afterwards. What a person takes back frees its label again and is not flagged again, nor is
    what lies within the refractory time of it.
    """

    def __init__(
        self, policy: LivePolicy, *, budget: int, expected_s: float, refractory_s: float, elapsed_s: float = 0.0
    ) -> None:
        """Begin a session.

        Args:
            policy: a fresh one.
            budget: labels that may be asked for, 0 or more.
            expected_s: how long the session is expected to be, above 0.
            refractory_s: between the ends of any two windows that a policy flags; 1 (a window's length) or more.
            elapsed_s: how long it has been going on already.

        Raises:
            SelectorError: a number is out of its range.
        """
        if budget < 0 or expected_s <= 0 or refractory_s < 1:
            raise SelectorError(
                f"a budget of {budget} labels in {expected_s} s, {refractory_s} s apart, cannot be spent; "
                "expected 0 or more labels, more than 0 s, 1 s or more apart"
            )
        self.policy = policy
        self.budget = budget
        self._expected = max(1, round(expected_s))
        self._refractory_ns = round(refractory_s * NANOSECONDS_PER_SECOND)
        self._elapsed = round(elapsed_s)
        self._flags: dict[int, Standing] = {}
        self._spoken_of: dict[int, int] = {}  # window id: its end
        self._counted_in: set[int] = set()
        self._newest_ns: int | None = None

    @property
    def flags(self) -> tuple[Standing, ...]:
        """Those that stand, the oldest first."""
        return tuple(sorted(self._flags.values(), key=lambda flag: flag.stamp_ns))

    @property
    def left(self) -> int:
        """Labels that may still be asked for."""
        return max(0, self.budget - len(self._flags))

    def offer(self, window: LiveWindow) -> list[Decision]:
        """The decisions that a new window brings: none, a flag, or a withdrawal and then a flag.

        A window that overlaps the one before is not looked at.
        """
        if self._newest_ns is not None and abs(window.end_ns - self._newest_ns) < WINDOW_NS:
            return []
        self._newest_ns = window.end_ns
        wish = self.policy.consider(window, self._room())
        self._elapsed += 1
        return [] if wish is None else self._grant(wish)

    def flag_by_hand(self, window_id: int, stamp_ns: int, reason: str) -> Decision:
        """Flag what a person wants labelled; a flag that stands on an overlapping window becomes the person's."""
        near = [flag for flag in self._flags.values() if abs(flag.stamp_ns - stamp_ns) < WINDOW_NS]
        if near:
            window_id, stamp_ns = near[0].window_id, near[0].stamp_ns
        return self._flag(Standing(window_id, stamp_ns, PERSON, 0.0, reason))

    def take_back(self, window_id: int) -> Decision:
        """Withdraw a flag for a person; raises SelectorError if none stands on that window."""
        if window_id not in self._flags:
            raise SelectorError(f"window {window_id} is not flagged; {self._which_are()}")
        return self._withdraw(window_id, TAKEN_BACK, PERSON)

    def count_in(self, window_id: int, stamp_ns: int, *, withdrawn: bool) -> None:
        """Count what a selector before this one, of the same session, flagged or withdrew.

        Whose flag it was is not known, so it is never pushed out. What this selector said itself is known already.
        """
        if window_id in self._spoken_of and window_id not in self._counted_in:
            return
        self._counted_in.add(window_id)
        self._spoken_of[window_id] = stamp_ns
        if withdrawn:
            self._flags.pop(window_id, None)
        else:
            self._flags[window_id] = Standing(window_id, stamp_ns, PERSON, 0.0, FROM_BEFORE)

    def _room(self) -> Room:
        return Room(
            elapsed=self._elapsed,
            expected=self._expected,
            budget=self.budget,
            flags=self.flags,
            spoken_of_ns=tuple(self._spoken_of.values()),
            refractory_ns=self._refractory_ns,
        )

    def _grant(self, wish: Wish) -> list[Decision]:
        decisions = [] if wish.instead_of is None else [self._withdraw(wish.instead_of, BETTER_CAME, self.policy.name)]
        flag = Standing(wish.window.id, wish.window.end_ns, self.policy.name, wish.utility, wish.reason)
        return [*decisions, self._flag(flag)]

    def _flag(self, flag: Standing) -> Decision:
        self._counted_in.discard(flag.window_id)
        self._flags[flag.window_id] = flag
        self._spoken_of[flag.window_id] = flag.stamp_ns
        return Decision(flag, False, self.budget, self.left)

    def _withdraw(self, window_id: int, reason: str, policy: str) -> Decision:
        flag = replace(self._flags.pop(window_id), reason=reason, policy=policy)
        return Decision(flag, True, self.budget, self.left)

    def _which_are(self) -> str:
        return f"flagged are {', '.join(str(flag.window_id) for flag in self.flags)}" if self._flags else "nothing is"
