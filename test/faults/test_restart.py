"""Every node of a launch is killed in turn, as somebody who watches the topics sees it.

The launch file's processes, real ones; `rigs.launched` starts them again as `ros2 launch` does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import pytest

from mmal_msgs.msg import Engagement, ModalityEstimate
from mmal_msgs.srv import GetBudget
from mmal_ros.datatypes import Modality
from mmal_ros.nodes.conversions import to_ns
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, FEATURES, SESSION_STATUS
from mmal_ros.windowing import REACH_NS
from rigs.estimates import counts, part, went_on
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.launched import Launched
from rigs.room import room
from rigs.ros import Participant, participant

FEEDS = {
    "camera_node": (Modality.FACE, Modality.BODY),
    "microphone_node": (Modality.AUDIO,),
    "e4_node": (Modality.PHYSIOLOGY,),
}
START_TIMEOUT_S = 60.0


@dataclass
class Watched:
    """A graph and somebody who hears its topics."""

    graph: Launched
    ros: Participant

    def provoked(self, executable: str) -> str:
        """In words."""
        delay_s = self.graph.respawn_delay_s(executable)
        return f"SIGKILL, respawn after {delay_s:g} s" if delay_s else "SIGKILL, respawn at once"

    def heard(self, topic) -> list:
        return self.ros.heard[topic.name]

    def status(self, modality: Modality) -> int:
        return part(self.heard(ENGAGEMENT)[-1], modality).status

    def all_valid(self) -> bool:
        return counts(self.heard(ENGAGEMENT), *Modality)

    def said_by(self, executable: str, since: int) -> list:
        """The parts of /diagnostics of a node, in the messages from the number `since` on."""
        arrays = self.heard(DIAGNOSTICS)[since:]
        return [status for array in arrays for status in array.status if f"/{executable}: " in status.name]

    def told_ns(self, executable: str, words: str, since: int) -> list[int]:
        """When a node said something on /diagnostics, in the messages from the number `since` on."""
        return [
            to_ns(array.header.stamp)
            for array in self.heard(DIAGNOSTICS)[since:]
            for status in array.status
            if f"/{executable}: " in status.name and words in status.message
        ]


def starts_anew(estimate: Engagement, last: Engagement) -> bool:
    """Whether it comes from a process that has seen less than the one of the `last` estimate."""
    is_later = to_ns(estimate.header.stamp) > to_ns(last.header.stamp)
    return is_later and part(estimate, Modality.FACE).frames_seen < part(last, Modality.FACE).frames_seen


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    home, logs = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch, participant() as ros:
        patch.setenv("MMAL_HOME", str(home))
        for topic in (ENGAGEMENT, DIAGNOSTICS, SESSION_STATUS, *FEATURES.values()):
            ros.listen(topic)
        with room(ros) as devices, Launched(logs, record="P017", **devices) as graph:
            watched = Watched(graph, ros)
            seconds_until(watched.all_valid, START_TIMEOUT_S)
            yield watched


@pytest.mark.parametrize("executable", FEEDS)
def test_a_sensors_node_is_killed_and_the_others_are_heard_meanwhile(watched, executable):
    """One sensor is missing for some seconds and is named; ten times a second the estimates go on with the others."""
    seconds_until(watched.all_valid, START_TIMEOUT_S)
    estimates, first = watched.heard(ENGAGEMENT), FEEDS[executable][0]
    frames = watched.heard(FEATURES[first])
    said, before, came = len(watched.heard(DIAGNOSTICS)), len(estimates), len(frames)
    pids = {name: watched.graph.pid(name) for name in watched.graph.executables}
    watched.graph.kill(executable)
    detected_s = seconds_until(lambda: watched.status(first) != ModalityEstimate.VALID)
    reported_s = detected_s + seconds_until(lambda: is_named(watched, first, said))
    came = len(frames)
    back_s = reported_s + seconds_until(lambda: len(frames) > came)
    valid_s = back_s + seconds_until(watched.all_valid)
    keep(Outcome(f"{executable} is killed", watched.provoked(executable), reported_s, back_s))
    keep(Outcome(f"{executable} is killed: its modalities count again", watched.provoked(executable), None, valid_s))

    went_on(estimates[before:])
    assert_others_live(watched, executable, pids)
    for modality in FEEDS[executable]:
        assert_windows_do_not_mix(watched.heard(FEATURES[modality]), estimates[before:], modality)


def test_the_estimates_are_killed_and_are_back(watched):
    """No estimates for some seconds; they begin with empty windows, and every sensor is heard again."""
    seconds_until(watched.all_valid, START_TIMEOUT_S)
    estimates, said = watched.heard(ENGAGEMENT), len(watched.heard(DIAGNOSTICS))
    executable, last, killed_ns = "engagement_node", estimates[-1], time.time_ns()
    watched.graph.kill(executable)
    back_s = seconds_until(lambda: starts_anew(estimates[-1], last))
    before = next(n for n, estimate in enumerate(estimates) if starts_anew(estimate, last))
    told_ns = watched.told_ns("selector_node", "no estimates are coming", said)
    detected_s = (told_ns[0] - killed_ns) / 1e9 if told_ns else None  # it may be back before anybody misses it
    valid_s = back_s + seconds_until(watched.all_valid)
    keep(Outcome(f"{executable} is killed", watched.provoked(executable), detected_s, back_s))
    keep(Outcome(f"{executable} is killed: all modalities count", watched.provoked(executable), None, valid_s))

    seconds_until(lambda: len(estimates) > before + 5)
    new = estimates[before:]
    for modality in Modality:  # forgotten; the very first may be made before we hear it
        assert part(new[0], modality).frames_seen < part(estimates[before - 1], modality).frames_seen
    went_on(new)
    assert to_ns(new[0].header.stamp) > to_ns(estimates[before - 1].header.stamp)


@pytest.mark.parametrize("executable", ["selector_node", "recorder_node"])
def test_who_only_listens_is_killed_and_nobody_else_notices(watched, executable):
    """Flags or recording pause for some seconds; estimates and sensors do not."""
    seconds_until(watched.all_valid, START_TIMEOUT_S)
    estimates = watched.heard(ENGAGEMENT)
    before = len(estimates)
    session = watched.heard(SESSION_STATUS)[-1].session
    pids = {name: watched.graph.pid(name) for name in watched.graph.executables}
    watched.graph.kill(executable)
    back_s = seconds_until(lambda: watched.graph.pid(executable) != pids[executable])
    said = len(watched.heard(DIAGNOSTICS))
    if executable == "recorder_node":
        back_s += seconds_until(lambda: watched.heard(SESSION_STATUS)[-1].session not in ("", session))
    else:
        back_s += seconds_until(lambda: watched.said_by(executable, said))
        assert watched.ros.call(GetBudget, "selector/budget", GetBudget.Request()).left > 0
    keep(Outcome(f"{executable} is killed", watched.provoked(executable), None, back_s))

    went_on(estimates[before:])
    assert_others_live(watched, executable, pids)


def is_named(watched: Watched, modality: Modality, since: int) -> bool:
    """Whether engagement_node says on /diagnostics that a modality is not heard."""
    said = [s for s in watched.said_by("engagement_node", since) if s.name.endswith(f": {modality}")]
    return any(status.message in ("missing", "stale") for status in said)


def assert_others_live(watched: Watched, killed: str, pids: dict[str, int]) -> None:
    """No other process died or was started again."""
    others = {name: watched.graph.pid(name) for name in pids if name != killed}
    assert others == {name: pid for name, pid in pids.items() if name != killed}


def assert_windows_do_not_mix(frames: list, estimates: list[Engagement], modality: Modality) -> None:
    """Between what was measured before the kill and after it lies more than a window sees."""
    since_ns = to_ns(estimates[0].header.stamp) - 2 * REACH_NS
    stamps = [to_ns(frame.header.stamp) for frame in frames if to_ns(frame.header.stamp) > since_ns]
    gap_ns, end_ns = max((late - early, late) for early, late in pairwise(stamps))
    missing = [e for e in estimates if part(e, modality).status == ModalityEstimate.MISSING]
    assert missing, "it was never missing"
    assert gap_ns > REACH_NS, f"a window that ends at {end_ns} sees both"
