"""Does anything grow in eight hours? The chain from features to a session on disk, as fast as it goes.

    python benchmarks/soak_accelerated.py [--minutes 480]

Frames of four modalities with the faults of a long day (`simulated_day.py`) go through windows, models, selector and
recorder, as in the nodes, with messages in between but no topics. Time comes in with the data. The recorder is the one
exception: it flushes once a second on the steady clock, so here it does so as often as a simulated second passes, and
the day waits where it could not keep up, instead of dropping what it never would in real time. Nothing may be
dropped. What computing takes is time of the CPU, so that it does not matter what else the machine does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from long_run import LongRun
from rclpy.serialization import serialize_message
from rich.progress import Progress
from scored_again import score_again
from simulated_day import MINUTE_NS, SOUND_RATE_HZ, Heard, Picture, SimulatedDay, Sound
from trends import Measure, Series

from mmal_ros import __version__
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Estimate, FeatureFrame
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.nodes.conversions import estimate_from_message, estimate_to_message, frame_to_message, query_to_message
from mmal_ros.nodes.recorded_topics import bag_topic, recorded_topics
from mmal_ros.nodes.session_feed import feed
from mmal_ros.nodes.topics import ENGAGEMENT, FEATURES, QUERY, Topic
from mmal_ros.paths import find_model
from mmal_ros.pipeline import EngagementPipeline
from mmal_ros.schedule import moments
from mmal_ros.selector.live import LiveSelector
from mmal_ros.selector.live_registry import make_live_policy
from mmal_ros.selector.live_vocabulary import Decision, LiveWindow
from mmal_ros.selector.live_windows import LiveWindows
from mmal_ros.selector.registry import DEFAULT
from mmal_ros.session import bag_queue, recorder
from mmal_ros.session.card import SessionCard
from mmal_ros.session.recorder import SessionRecorder
from mmal_ros.session.records import Privacy

START_NS = 1_790_000_000 * NANOSECONDS_PER_SECOND
SPEED = 40
"""About so many times as fast as real time it goes; the recorder's second is as much shorter."""
FLAGS_AN_HOUR = 12
HAND_EVERY_S, TAKEN_BACK_EVERY = 600, 3
"""Somebody flags by hand every ten minutes, and takes every third of these back."""
WARM_UP = 1 / 8
"""Of the whole time: an hour of eight."""
MEMORY = Measure("resident memory", "MB", 1.0, "MB")
HANDLES = Measure("open files", "", 0.1, "open files, threads")
THREADS = Measure("threads", "", 0.1, "open files, threads")
MEDIAN = Measure("estimate, median", "ms", 0.01, "ms of the CPU")
P99 = Measure("estimate, p99", "ms", 0.05, "ms of the CPU")
SELECTOR = Measure("selection, median", "ms", 0.1, "ms of the CPU")
QUEUE = Measure("messages for the bag, most", "", 10.0, "waiting")
CLIPS = Measure("clips to encode, most", "", 0.1, "waiting")
MEASURES = (MEMORY, HANDLES, THREADS, MEDIAN, P99, SELECTOR, QUEUE, CLIPS)


class Session:
    """What engagement_node, selector_node and recorder_node do, without their topics."""

    def __init__(self, root: Path, models: ModelSet, hours: float) -> None:
        self.now_ns = START_NS
        self.counts: Counter[str] = Counter()
        self.compute_s: list[float] = []
        self.select_s: list[float] = []
        self.most_waiting = self.most_clips = 0
        self.pipeline = EngagementPipeline(models)
        self._windows = LiveWindows(models.card)
        self._selector = LiveSelector(
            make_live_policy(DEFAULT, models.trained),
            budget=max(2, round(FLAGS_AN_HOUR * hours)),
            expected_s=3600 * hours,
            refractory_s=5.0,
        )
        topics = [bag_topic(topic, _name(topic)) for topic in recorded_topics(Privacy.CLIPS)]
        recorder.PERIOD_S = 1 / SPEED
        self.recorder = SessionRecorder(root, _card(models), topics, lambda: self.now_ns, self._on_disk)

    def hear(self, heard: Heard) -> None:
        """Something comes in."""
        if isinstance(heard, Picture):
            self.recorder.picture(heard.stamp_ns, heard.jpeg)
        elif isinstance(heard, Sound):
            self.recorder.sound(heard.stamp_ns, heard.values, SOUND_RATE_HZ)
        else:
            self._hear_frame(heard)

    def go_on(self) -> None:
        """Estimate what is due."""
        begin_s = time.thread_time()
        for estimate in self.pipeline.due_estimates(self.now_ns):
            self.compute_s.append(time.thread_time() - begin_s)
            self._publish(estimate)
            begin_s = time.thread_time()

    def keep_up(self) -> None:
        """Let the disk catch up, where the day is faster than it."""
        waiting = self.recorder.bag._messages  # how long it is tells nobody but us
        self.most_waiting = max(self.most_waiting, waiting.qsize())
        while waiting.qsize() > bag_queue.BACKLOG // 2:
            time.sleep(0.002)
        assert self.recorder._clips is not None
        clips = self.recorder._clips._waiting
        self.most_clips = max(self.most_clips, clips.qsize())
        while clips.qsize() > 1:
            time.sleep(0.01)

    def _hear_frame(self, frame: FeatureFrame) -> None:
        rejection = self.pipeline.accept(frame, self.now_ns)
        self._windows.accept(frame, self.now_ns)
        self.counts["frames"] += 1
        self.counts["frames rejected"] += rejection is not None
        self._record(FEATURES[frame.modality], frame_to_message(frame, frame.modality))

    def _publish(self, estimate: Estimate) -> None:
        message = estimate_to_message(estimate, round(self.compute_s[-1] * 1e9), self.now_ns)
        self._record(ENGAGEMENT, message)
        self.counts["estimates"] += 1
        begin_s = time.thread_time()
        window = self._windows.window(estimate_from_message(message))
        if window is None:
            return
        decisions = [*self._selector.offer(window), *self._people(window)]
        self.select_s.append(time.thread_time() - begin_s)
        for decision in decisions:
            self.counts["flags withdrawn" if decision.withdrawn else "flags"] += 1
            self._record(QUERY, query_to_message(decision))

    def _people(self, window: LiveWindow) -> Iterator[Decision]:
        """Somebody presses the button, and now and then takes it back."""
        at_s = (window.end_ns - START_NS) // NANOSECONDS_PER_SECOND
        if at_s % HAND_EVERY_S == HAND_EVERY_S // 2:
            yield self._selector.flag_by_hand(window.id, window.end_ns, "flagged by hand")
            if at_s // HAND_EVERY_S % TAKEN_BACK_EVERY == 0:
                yield self._selector.take_back(window.id)

    def _record(self, topic: Topic, message: Any) -> None:
        feed(self.recorder, topic, _name(topic), serialize_message(message), self.now_ns)

    def _on_disk(self, what: recorder.OnDisk) -> None:
        self.counts["clips"] += bool(what.clip)


class Watch:
    """Looks at this process once a simulated minute."""

    def __init__(self) -> None:
        self.series = {measure: Series(measure) for measure in MEASURES}
        self._process = psutil.Process()

    def look(self, hour: float, session: Session) -> None:
        """Take down what there is now, and begin a new minute."""
        milliseconds = 1000 * np.array(session.compute_s or [np.nan])
        values = {
            MEMORY: self._process.memory_info().rss / 1e6,
            HANDLES: self._process.num_fds(),
            THREADS: self._process.num_threads(),
            MEDIAN: float(np.median(milliseconds)),
            P99: float(np.percentile(milliseconds, 99)),
            SELECTOR: 1000 * float(np.median(session.select_s or [np.nan])),
            QUEUE: session.most_waiting,
            CLIPS: session.most_clips,
        }
        for measure, value in values.items():
            self.series[measure].add(hour, value)
        session.compute_s, session.select_s = [], []
        session.most_waiting = session.most_clips = 0


def play(session: Session, models: ModelSet, minutes: int, watch: Watch) -> None:
    """The whole day, minute by minute."""
    day = SimulatedDay(models.card, START_NS)
    length_ns = minutes * MINUTE_NS
    seconds = minute = 0
    with Progress() as progress:
        task = progress.add_task("simulated minutes", total=minutes)
        for now_ns, heard in moments(session.pipeline.stream.schedule, day, START_NS):
            session.now_ns = now_ns
            if heard is not None:
                session.hear(heard)
            session.go_on()
            since_ns = day.since_ns
            if since_ns // NANOSECONDS_PER_SECOND > seconds:
                seconds = since_ns // NANOSECONDS_PER_SECOND
                session.keep_up()
            if since_ns // MINUTE_NS > minute:
                minute = since_ns // MINUTE_NS
                watch.look(minute / 60, session)
                progress.update(task, completed=minute)
                if minute % 30 == 0:
                    progress.console.print(f"{minute / 60:g} h: {watch.series[MEMORY].values[-1]:.1f} MB")
            if since_ns >= length_ns:
                return


@contextmanager
def recorded(home: Path, models: ModelSet, hours: float) -> Iterator[Session]:
    """A session that is ended when the day is over."""
    session = Session(home / "sessions", models, hours)
    try:
        yield session
    finally:
        session.recorder.stop()
        session.recorder.join()


def main() -> None:
    """Live through the day, look whether the session is whole, and publish; exit code 1 when something is lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=480)
    parser.add_argument("--into", type=Path, metavar="DIR", help="where the results go, instead of docs/reliability")
    arguments = parser.parse_args()
    minutes = arguments.minutes
    models, watch, began_s = load_model_set(find_model("demo")), Watch(), time.monotonic()
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with recorded(home, models, minutes / 60) as session:
            play(session, models, minutes, watch)
        facts: dict[str, Any] = {
            "took (min)": round((time.monotonic() - began_s) / 60, 1),
            **session.counts,
            "clock set": session.pipeline.stream.clock_jumps,
            "bag (MB)": round(session.recorder.bag.bytes_written / 1e6),
            "dropped": session.recorder.bag.dropped,
            "problem": session.recorder.problem or "none",
        }
        facts |= score_again(home)
    title = f"{minutes / 60:g} simulated hours, from features to a session on disk"
    run = LongRun("soak_accelerated", title, WARM_UP * minutes / 60, list(watch.series.values()), facts)
    run.publish(arguments.into)
    sys.exit(bool(facts["dropped"]) or facts["problem"] != "none" or bool(run.growing()))


def _card(models: ModelSet) -> SessionCard:
    start = datetime.fromtimestamp(START_NS / NANOSECONDS_PER_SECOND, UTC)
    fields = {"name": "", "participant": "P900", "start": start, "start_ns": START_NS, "software": __version__}
    model = {"model": models.card.identity, "model_folder": str(models.folder)}
    return SessionCard.model_validate(fields | model | {"privacy": Privacy.CLIPS, "clock": "sim"})


def _name(topic: Topic) -> str:
    return f"/mmal/{topic.name}"


if __name__ == "__main__":
    main()
