"""Whether what comes in can be used later: by a clock that only goes on, and with something for the clips."""

from __future__ import annotations

from time import monotonic

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.features.recording import LONGEST_NS
from mmal_ros.session.card import SessionCard
from mmal_ros.session.records import Privacy

NOTHING_COMES_S = 10.0
"""After the start something should have been seen or heard."""
JUMP_NS = NANOSECONDS_PER_SECOND
"""Less is how a clock is kept right."""
BEFORE_START = "the clock was set back to before the start, so flags are passed over; begin a new session"
TIME_REPEATS = "the clock was set back by {:.0f} s: until it has caught up, nothing can be learned from what comes"
SET_FORWARD = "the clock was set forward by more than a week, so what comes is lost; begin a new session"
NOTHING_COMES = (
    "neither picture nor sound comes, so no clips are made; were camera and microphone launched with features_only?"
)


class Inflow:
    """Of one session, from its beginning on."""

    def __init__(self, card: SessionCard) -> None:
        self.seen_or_heard = False
        """Whether a picture or sound has come."""
        self._start_ns = self._latest_ns = card.start_ns
        self._set_back_ns = 0  # by the last step; not what is left of it: one sentence, and not another every second
        self._began_s = monotonic()
        self._is_expected = card.privacy is not Privacy.FEATURES_ONLY and _is_watched(card.devices)

    def note_time(self, now_ns: int) -> None:
        """Once a second, so that a clock that is set back is noticed; what is lost anyway repeats nothing."""
        if now_ns - self._start_ns <= LONGEST_NS:
            self._latest_ns = max(self._latest_ns, now_ns)
        back_ns = self._latest_ns - now_ns
        self._set_back_ns = max(self._set_back_ns, back_ns) if back_ns > JUMP_NS else 0

    def problem(self, now_ns: int) -> str:
        """Empty: all is well; else one sentence."""
        if now_ns < self._start_ns:
            return BEFORE_START
        if now_ns - self._start_ns > LONGEST_NS:
            return SET_FORWARD
        if self._set_back_ns:
            return TIME_REPEATS.format(self._set_back_ns / NANOSECONDS_PER_SECOND)
        waits = self._is_expected and not self.seen_or_heard and monotonic() - self._began_s > NOTHING_COMES_S
        return NOTHING_COMES if waits else ""


def _is_watched(devices: dict[str, str]) -> bool:
    """Whether picture or sound should come, as far as the card knows."""
    return not devices or any(devices.get(sensor, "none") != "none" for sensor in ("camera", "microphone"))
