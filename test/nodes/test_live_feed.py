"""What the live page knows of a graph and can ask of it: over real topics, with the real nodes in other processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mmal_msgs.msg import ModelInfo, Query, SessionStatus
from mmal_msgs.srv import FlagNow
from mmal_ros.datatypes import STEP_NS, Estimate, Level, Modality, Status
from mmal_ros.nodes import live_feed
from mmal_ros.nodes.conversions import estimate_to_message, to_time
from mmal_ros.nodes.live_feed import GraphFeed, graph_feed
from mmal_ros.nodes.topics import ENGAGEMENT, FLAG_NOW, MODEL_INFO, QUERY, SESSION_STATUS
from mmal_ros.session.folder import sessions_in
from rigs.ros import NAMESPACE, Participant, node_process, participant, wait_until

LATEST_S = 20.0


@pytest.fixture
def ros() -> Iterator[Participant]:
    with participant() as started:
        yield started


@pytest.fixture
def feed() -> Iterator[GraphFeed]:
    with graph_feed(NAMESPACE) as listening:
        yield listening


def estimate(stamp_ns: int, level: Level | None = Level.HIGH) -> Estimate:
    """Nobody hears the voice, and the face is only being held."""
    status = dict.fromkeys(Modality, Status.VALID) | {Modality.AUDIO: Status.MISSING, Modality.FACE: Status.STALE}
    return Estimate(
        window_id=stamp_ns // STEP_NS,
        stamp_ns=stamp_ns,
        level=level,
        probabilities=np.array([0.1, 0.2, 0.7], np.float32),
        by_modality={modality: np.array([0.2, 0.3, 0.5], np.float32) for modality in Modality},
        confidence=dict.fromkeys(Modality, 0.5),
        status=status,
        age_ns=dict.fromkeys(Modality, 0),
        frames_seen=dict.fromkeys(Modality, 1),
        model_version="demo/2",
    )


def query(stamp_ns: int, action: int = Query.FLAGGED, left: int = 19) -> Query:
    message = Query(window_id=stamp_ns // STEP_NS, action=action, reason="no modality is sure", policy="mmql")
    message.header.stamp = to_time(stamp_ns)
    message.budget, message.budget_left = 20, left
    return message


def now_ns() -> int:
    return time.time_ns() // STEP_NS * STEP_NS


def test_before_anything_was_said_nothing_is_made_up(feed):
    assert feed.state() == {
        "level": None,
        "probabilities": None,
        "modalities": {},
        "age_s": None,
        "model": None,
        "budget": None,
        "budget_left": None,
        "flags": [],
        "session": None,
    }


def test_the_newest_estimate_is_told_with_its_age(ros, feed):
    publisher = ros.publisher(ENGAGEMENT)
    publisher.publish(estimate_to_message(estimate(now_ns() - 30 * STEP_NS), 0, now_ns()))
    wait_until(lambda: feed.state()["level"], LATEST_S)
    told = feed.state()
    assert told["level"] == "high"
    assert told["probabilities"] == pytest.approx([0.1, 0.2, 0.7])
    assert {name: one["status"] for name, one in told["modalities"].items()} == {
        "face": "stale",
        "body": "valid",
        "physiology": "valid",
        "audio": "missing",
    }
    assert 3 <= told["age_s"] < 3 + LATEST_S
    publisher.publish(estimate_to_message(estimate(now_ns(), level=None), 0, now_ns()))
    wait_until(lambda: feed.state()["level"] is None, LATEST_S)


def test_flags_come_and_go_and_the_budget_with_them(ros, feed):
    publisher, begin_ns = ros.publisher(QUERY), now_ns()
    publisher.publish(query(begin_ns + STEP_NS, left=18))
    publisher.publish(query(begin_ns, left=17))
    wait_until(lambda: len(feed.state()["flags"]) == 2, LATEST_S)
    told = feed.state()
    assert [flag["window_id"] for flag in told["flags"]] == [str(begin_ns // STEP_NS + n) for n in (0, 1)]  # by time
    assert (told["budget"], told["budget_left"]) == (20, 17)
    assert told["flags"][0]["reason"] == "no modality is sure"
    publisher.publish(query(begin_ns, Query.WITHDRAWN, left=18))
    wait_until(lambda: len(feed.state()["flags"]) == 1, LATEST_S)
    assert feed.state()["budget_left"] == 18


def test_what_was_said_before_the_page_was_opened_is_known(ros):
    """Flags, model and session are kept for who comes late."""
    publishers = {topic.name: ros.node.create_publisher(topic.type, topic.name, topic.qos) for topic in LATE}
    publishers[QUERY.name].publish(query(now_ns()))
    publishers[MODEL_INFO.name].publish(ModelInfo(name="P017", version="3"))
    publishers[SESSION_STATUS.name].publish(SessionStatus(participant="P017", problem="the disk is full"))
    with graph_feed(NAMESPACE) as feed:
        wait_until(lambda: feed.state()["flags"] and feed.state()["model"] and feed.state()["session"], LATEST_S)
        told = feed.state()
    assert told["model"] == "P017/3"
    assert (told["session"]["participant"], told["session"]["problem"]) == ("P017", "the disk is full")
    assert told["session"]["recording"] is False


LATE = (QUERY, MODEL_INFO, SESSION_STATUS)


def test_a_new_session_begins_without_the_flags_of_the_one_before(ros, feed):
    flags, status = ros.publisher(QUERY), ros.publisher(SESSION_STATUS)
    flags.publish(query(now_ns() - 100 * STEP_NS))
    flags.publish(query(now_ns() + STEP_NS))
    wait_until(lambda: len(feed.state()["flags"]) == 2, LATEST_S)
    status.publish(SessionStatus(recording=True, session="one", started=to_time(now_ns() - STEP_NS)))
    wait_until(lambda: len(feed.state()["flags"]) == 1, LATEST_S)


def test_a_page_opened_in_the_second_session_does_not_show_the_flags_of_the_first(ros, feed):
    """Who comes late is told the status first, and then every query that was ever said, the old ones too."""
    status, flags = ros.publisher(SESSION_STATUS), ros.publisher(QUERY)
    status.publish(SessionStatus(recording=True, session="two", started=to_time(now_ns())))
    wait_until(lambda: (feed.state()["session"] or {}).get("session") == "two", LATEST_S)
    flags.publish(query(now_ns() - 100 * STEP_NS))
    flags.publish(query(now_ns() + 10 * STEP_NS))
    wait_until(lambda: feed.state()["flags"], LATEST_S)
    assert len(feed.state()["flags"]) == 1


def test_nobody_there_to_ask_is_a_sentence(feed, monkeypatch):
    monkeypatch.setattr(live_feed, "ANSWER_TIMEOUT_S", 0.3)
    assert feed.flag("now") == (False, "selector_node is not running in this graph.")
    assert feed.stop_session() == (False, "recorder_node is not running in this graph.")


def test_a_node_that_does_not_answer_is_given_up(ros, feed, monkeypatch):
    monkeypatch.setattr(live_feed, "ANSWER_TIMEOUT_S", 3.0)

    def hang(request: Any, response: Any) -> Any:
        time.sleep(5)
        return response

    ros.node.create_service(*FLAG_NOW, hang)
    done, sentence = feed.flag("now")
    assert not done
    assert "did not answer within 3 s" in sentence


@pytest.mark.slow
def test_a_session_from_the_page(ros, feed, tmp_path):
    """Start, flag, take back, stop, with the real recorder and the real selector."""
    publisher = ros.node.create_publisher(ENGAGEMENT.type, ENGAGEMENT.name, ENGAGEMENT.qos)
    timer = ros.node.create_timer(
        0.1, lambda: publisher.publish(estimate_to_message(estimate(now_ns()), 0, time.time_ns()))
    )
    with node_process("recorder_node", sessions=tmp_path), node_process("selector_node", model="demo"):
        for node in ("recorder_node", "selector_node"):
            ros.activate(node)
        wait_until(lambda: feed.state()["budget_left"] == 20, LATEST_S)  # asked for, before any flag
        assert feed.start_session("Anna Smith", "clips")[0] is False
        done, sentence = feed.start_session("P017", "features_only")
        assert done, sentence
        wait_until(lambda: feed.state()["session"]["recording"], LATEST_S)
        wait_until(lambda: feed.flag("waves at the robot")[0], LATEST_S)
        mine = wait_for_flag(feed, "waves at the robot")
        assert mine["policy"] == "person"
        assert feed.unflag(int(mine["window_id"]))[0]
        wait_until(lambda: mine["window_id"] not in [f["window_id"] for f in feed.state()["flags"]], LATEST_S)
        assert feed.stop_session()[0]
        wait_until(lambda: not feed.state()["session"]["recording"], LATEST_S)
        assert feed.stop_session() == (False, "no session is being recorded")
    ros.node.destroy_timer(timer)
    (session,) = sessions_in(tmp_path)
    assert session.card().participant == "P017"


def wait_for_flag(feed: GraphFeed, reason: str) -> dict[str, Any]:
    wait_until(lambda: any(flag["reason"] == reason for flag in feed.state()["flags"]), LATEST_S)
    return next(flag for flag in feed.state()["flags"] if flag["reason"] == reason)


def test_asking_needs_no_reason(ros, feed):
    """The node says what it is then."""
    asked: list[str] = []

    def answer(request: FlagNow.Request, response: FlagNow.Response) -> FlagNow.Response:
        asked.append(request.reason)
        response.success, response.message = True, "10:00:00 is flagged"
        return response

    ros.node.create_service(*FLAG_NOW, answer)
    wait_until(lambda: feed.flag("")[0], LATEST_S)
    assert asked[-1] == ""
