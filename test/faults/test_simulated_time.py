"""Simulated time, as of a bag that is played: estimates go by /clock, also when that is set or stands still."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Modality
from mmal_ros.features.names import SIZES
from mmal_ros.nodes.conversions import frame_to_message, to_ns, to_time
from mmal_ros.nodes.engagement_node import LEFT_OUT, SET_BACK
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, FEATURES
from rigs.estimates import counts, went_on
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.model_sets import CHOSEN_SETS, write_model_set
from rigs.ros import Participant, message_of, node_process, participant, values_of

NODE = "engagement_node"
LONG_AGO_NS = 1_000_000_000 * NANOSECONDS_PER_SECOND
"""In 2001: nobody takes it for the time of this computer."""
TICK_S = 0.01
FRAME_TICKS = 5
STANDS_STILL_S = 2.0


class SimulatedWorld:
    """Its clock is on /clock, and its sensors stamp by it."""

    def __init__(self, ros: Participant) -> None:
        self.ros = ros
        self.now_ns = LONG_AGO_NS
        self.runs = True
        self.estimates = ros.listen(ENGAGEMENT)
        self.diagnostics = ros.listen(DIAGNOSTICS)
        self._clock = ros.node.create_publisher(Clock, "/clock", QoSProfile(depth=1))
        topics = FEATURES.items()
        self._features = {m: ros.node.create_publisher(topic.type, topic.name, topic.qos) for m, topic in topics}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def set_clock(self, step_s: float) -> None:
        self.now_ns += round(step_s * NANOSECONDS_PER_SECOND)

    def publish_frames(self, stamp_ns: int) -> None:
        for modality, publisher in self._features.items():
            values = np.ones(SIZES[modality], np.float32)
            frame = FeatureFrame(modality, stamp_ns, values, True, 1.0, CHOSEN_SETS[modality])
            publisher.publish(frame_to_message(frame, "test"))

    def _run(self) -> None:
        ticks = 0
        while not self._ended.wait(TICK_S):
            ticks += 1
            if self.runs:
                self.now_ns += round(TICK_S * NANOSECONDS_PER_SECOND)
                self._clock.publish(Clock(clock=to_time(self.now_ns)))
                if ticks % FRAME_TICKS == 0:
                    self.publish_frames(self.now_ns)

    @property
    def hears_all(self) -> bool:
        return counts(self.estimates, *Modality)

    def stamps_s(self, since: int = 0) -> list[float]:
        """Of the estimates, in seconds since the world began."""
        return [(to_ns(one.header.stamp) - LONG_AGO_NS) / NANOSECONDS_PER_SECOND for one in self.estimates[since:]]

    def said(self) -> str:
        return message_of(self.diagnostics[-5:], "estimates")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    models = write_model_set(tmp_path_factory.mktemp("models") / "random", "1").parent
    with participant() as ros, node_process(NODE, model=models, use_sim_time=True):
        ros.activate(NODE)
        world = SimulatedWorld(ros)
        seconds_until(lambda: world.hears_all)
        yield world
        world.end()


def test_estimates_are_stamped_and_paced_by_the_clock_of_the_world(world):
    first = len(world.estimates)
    seconds_until(lambda: len(world.estimates) > first + 20)
    stamps_s = world.stamps_s(first)
    assert 0 < stamps_s[0] < 3600
    assert np.allclose(np.diff(stamps_s), 0.1)
    assert world.hears_all


def test_while_it_stands_still_nothing_is_estimated_and_afterwards_no_window_is_missing(world):
    """A bag that is paused."""
    world.runs = False
    time.sleep(0.5)  # what was on its way
    first = len(world.estimates)
    time.sleep(STANDS_STILL_S)
    assert len(world.estimates) == first
    world.runs = True
    back_s = seconds_until(lambda: len(world.estimates) > first + 5 and world.hears_all)
    went_on(world.estimates[first - 1 :])
    keep(Outcome("simulated time stands still", f"/clock pauses for {STANDS_STILL_S:g} s", None, back_s))


@pytest.mark.parametrize(("step_s", "word"), [(5, LEFT_OUT), (-5, SET_BACK)])
def test_it_is_set(world, step_s, word):
    """Said, and estimated again at once in the new time."""
    seconds_until(lambda: world.hears_all)
    first = len(world.estimates)
    world.set_clock(step_s)
    goes_on_s = seconds_until(lambda: any(abs(step) > abs(step_s) - 2 for step in np.diff(world.stamps_s(first - 1))))
    detected_s = goes_on_s + seconds_until(lambda: word in world.said())
    seconds_until(lambda: world.hears_all)
    keep(Outcome(f"simulated time set by {step_s:+d} s", "/clock leaps: estimates", detected_s, goes_on_s))
    (leap,) = [step for step in np.diff(world.stamps_s(first - 1)) if not np.isclose(step, 0.1)]
    assert abs(leap - step_s) < 1.5


def test_what_is_stamped_with_the_time_of_this_computer_is_rejected_and_counted(world):
    """A sensor that was not told of simulated time."""
    before = rejected(world)
    world.publish_frames(time.time_ns())
    detected_s = seconds_until(lambda: rejected(world) > before)
    assert world.hears_all
    how = "a frame of each modality stamped by the computer, under /clock"
    keep(Outcome("sensor without simulated time", how, detected_s, None, "those messages, counted"))


def rejected(world: SimulatedWorld) -> int:
    """Frames of FACE stamped in the future, as /diagnostics counts them."""
    said = values_of(world.diagnostics, "face").get("frames rejected", "")
    return sum(int(part.split()[0]) for part in said.split(", ") if "stamped in the future" in part)
