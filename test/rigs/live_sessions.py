"""Sessions as the live graph leaves them: frames that come late and out of step, estimates made of what was there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from pathlib import Path

import numpy as np
from rclpy.serialization import serialize_message

from mmal_ros import __version__
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.models import ModelSet
from mmal_ros.nodes.conversions import estimate_to_message, frame_to_message
from mmal_ros.pipeline import EngagementPipeline
from mmal_ros.session.card import SessionCard, write_session_card
from mmal_ros.session.folder import SessionFolder, new_session
from mmal_ros.session.records import Privacy
from rigs.session_bag import Message, write_bag
from rigs.sessions import START_NS

RATES_HZ = dict(zip(Modality, (29.3, 14.7, 10, 10), strict=True))
DELAYS_MS = dict(zip(Modality, (30, 45, 15, 10), strict=True))
TIMER_NS = 10_000_000
Arrival = tuple[int, FeatureFrame]


def record_live(
    root: Path,
    models: ModelSet,
    seconds: float = 20,
    *,
    before_s: float = 0,
    missed: Callable[[FeatureFrame], bool] = lambda frame: False,
    rate_hz: float = 10,
    estimates: bool = True,
    flawed: Callable[[FeatureFrame], Iterable[FeatureFrame]] = lambda frame: (),
) -> SessionFolder:
    """A session of the real pipeline.

    Args:
        root: folder of the sessions.
        models: that estimate.
        seconds: how long it is.
        before_s: how long the estimates ran before recording began.
        missed: which frames the recorder does not hear, though the estimates do.
        rate_hz: estimates per second.
        estimates: whether they are recorded.
        flawed: what comes besides a frame, just after it, and is refused by whoever estimates.
    """
    folder = new_session(root, "P017", START_NS)
    arrivals = list(merge(*(_arrivals(m, models.card.feature_sets, seconds, before_s) for m in Modality), key=_time))
    arrivals = [(now_ns, f) for now_ns, frame in arrivals for f in (frame, *flawed(frame))]
    frames = [_frame_message(now_ns, f) for now_ns, f in arrivals if now_ns >= START_NS and not missed(f)]
    made = list(_estimate_messages(models, arrivals, rate_hz)) if estimates else []
    write_bag(folder, [frames, [message for message in made if message.log_ns >= START_NS]])
    card = SessionCard(
        name=folder.name,
        participant="P017",
        start=START_NS / NANOSECONDS_PER_SECOND,
        start_ns=START_NS,
        privacy=Privacy.FEATURES_ONLY,
        model=models.card.identity,
        rate_hz=rate_hz,
        software=__version__,
    )
    write_session_card(folder.path, card)
    return folder


def _arrivals(
    modality: Modality, feature_sets: dict[Modality, str], seconds: float, before_s: float
) -> Iterator[Arrival]:
    """Frames with stamps that jitter; they come late, now and then later than an estimate waits."""
    random = np.random.default_rng([17, list(Modality).index(modality)])
    size, now_ns = len(FEATURE_SETS[feature_sets[modality]][1]), 0
    for number in range(round((before_s + seconds) * RATES_HZ[modality])):
        since_s = number / RATES_HZ[modality] - before_s
        stamp_ns = START_NS + round((since_s + random.uniform(0, 0.003)) * NANOSECONDS_PER_SECOND)
        delay_ms = DELAYS_MS[modality] * random.uniform(0.5, 1.5) + (150 if random.random() < 0.05 else 0)
        now_ns = max(now_ns + 1, stamp_ns + round(delay_ms * 1e6))  # in the order in which they were sent
        valid = not 5 <= since_s < 8 or modality is not Modality.FACE
        values = random.normal(size=size).astype(np.float32) * valid
        yield now_ns, FeatureFrame(modality, stamp_ns, values, valid, 1.0, feature_sets[modality])


def _estimate_messages(models: ModelSet, arrivals: list[Arrival], rate_hz: float) -> Iterator[Message]:
    """What engagement_node publishes, woken by frames and by a timer."""
    pipeline = EngagementPipeline(models, rate_hz=rate_hz)
    timer = ((now_ns, None) for now_ns in range(arrivals[0][0], arrivals[-1][0], TIMER_NS))
    for now_ns, frame in merge(arrivals, timer, key=_time):
        if frame is not None:
            pipeline.accept(frame, now_ns)
        for estimate in pipeline.due_estimates(now_ns):
            data = serialize_message(estimate_to_message(estimate, 1_000_000, now_ns))
            yield Message(now_ns + 2_000_000, estimate.stamp_ns, "/mmal/engagement", data)


def _frame_message(now_ns: int, frame: FeatureFrame) -> Message:
    data = serialize_message(frame_to_message(frame, "sensor"))
    return Message(now_ns, frame.stamp_ns, f"/mmal/features/{frame.modality}", data)


def _time(entry: tuple[int, object]) -> int:
    return entry[0]
