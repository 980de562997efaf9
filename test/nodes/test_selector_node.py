"""selector_node, in a process of its own, with estimates from this one; seconds pass as fast as they are published."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from std_msgs.msg import Header

from mmal_msgs.msg import Engagement, FeatureFrame, ModelInfo, Query, Recorded, SessionStatus, SignalChunk
from mmal_msgs.srv import FlagNow, GetBudget, Unflag
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, Estimate, Level, Modality, Status
from mmal_ros.datatypes import FeatureFrame as Frame
from mmal_ros.features.names import SIZES
from mmal_ros.nodes.conversions import (
    estimate_to_message,
    frame_to_message,
    to_ns,
    to_time,
)
from mmal_ros.nodes.topics import (
    DIAGNOSTICS,
    ENGAGEMENT,
    FEATURES,
    MODEL_INFO,
    QUERY,
    RECORDED,
    SESSION_STATUS,
    SIGNALS,
)
from rigs.model_sets import CHOSEN_SETS, put_on_a_failing_disk, write_model_set
from rigs.ros import latest_reports, message_of, node_process, participant, values_of, wait_until

NODE = "selector_node"
FIRST_S = 1_800_000_000
"""The second in which sessions of these tests begin: estimates bring their own time."""


@pytest.fixture
def ros():
    with participant() as someone:
        yield someone


@pytest.fixture
def models(tmp_path):
    write_model_set(tmp_path / "random", "1", seed=0)
    return tmp_path / "random"


def estimate(second: int, steps: int = 0) -> Engagement:
    """The face is sure of high, the voice of low; the wristband is not worn."""
    stamp_ns = (FIRST_S + second) * NANOSECONDS_PER_SECOND + steps * STEP_NS
    low, high = np.array([0.8, 0.1, 0.1], np.float32), np.array([0.1, 0.1, 0.8], np.float32)
    by_modality = dict.fromkeys(Modality, high) | {Modality.AUDIO: low}
    return estimate_to_message(
        Estimate(
            window_id=stamp_ns // STEP_NS,
            stamp_ns=stamp_ns,
            level=Level.HIGH,
            probabilities=high,
            by_modality=by_modality,
            confidence=dict.fromkeys(Modality, 0.5),
            status=dict.fromkeys(Modality, Status.VALID) | {Modality.PHYSIOLOGY: Status.MISSING},
            age_ns=dict.fromkeys(Modality, 0),
            frames_seen=dict.fromkeys(Modality, 1),
            model_version="random/1",
        ),
        compute_ns=1,
        now_ns=stamp_ns,
    )


def tell(publisher, seconds: Iterable[int]) -> None:
    """Estimates of these seconds, one each, slowly enough that a queue of ten loses none."""
    for second in seconds:
        publisher.publish(estimate(second))
        time.sleep(0.01)


def status(recording: bool, session: str = "") -> SessionStatus:
    return SessionStatus(recording=recording, session=session, participant="P017", started=to_time(time.time_ns()))


def budget(ros) -> GetBudget.Response:
    return ros.call(GetBudget, "selector/budget", GetBudget.Request())


def flag_now(ros, reason: str = "") -> FlagNow.Response:
    return ros.call(FlagNow, "selector/flag_now", FlagNow.Request(reason=reason))


def window_of(second: int) -> int:
    return (FIRST_S + second) * 10


def test_a_session_is_flagged_within_its_budget_and_people_have_the_last_word(ros, models):
    """A minute with six labels, one in the middle of each slice; the therapist takes one back and flags another."""
    queries = ros.listen(QUERY)
    with node_process(NODE, model=models, policy="evenly-in-time", budget=6, expected_duration_min=1.0):
        ros.activate(NODE)
        engagement = ros.publisher(ENGAGEMENT)
        tell(engagement, range(1, 58))
        wait_until(lambda: len(queries) == 6, 10)
        spent = budget(ros)
        unknown = ros.call(Unflag, "selector/unflag", Unflag.Request(window_id=7))
        taken_back = ros.call(Unflag, "selector/unflag", Unflag.Request(window_id=window_of(6)))
        tell(engagement, [58])
        engagement.publish(estimate(58, steps=3))
        time.sleep(0.2)
        flagged = flag_now(ros, "tears")
        wait_until(lambda: len(queries) == 8, 10)
        late = ros.node.create_subscription(QUERY.type, QUERY.name, (again := []).append, QUERY.qos)
        wait_until(lambda: len(again) == 8, 10)
        ros.node.destroy_subscription(late)

    assert [query.window_id for query in queries[:6]] == [window_of(second) for second in (6, 16, 26, 36, 46, 56)]
    assert [query.budget_left for query in queries] == [5, 4, 3, 2, 1, 0, 1, 0]
    assert {(query.budget, query.policy, query.reason) for query in queries[:6]} == {
        (6, "evenly-in-time", "in the middle of this stretch of time")
    }
    assert {to_ns(query.header.stamp) // STEP_NS == query.window_id for query in queries} == {True}
    assert (spent.budget, spent.left, spent.policy) == (6, 0, "evenly-in-time")
    assert list(spent.flagged) == [query.window_id for query in queries[:6]]
    assert not unknown.success
    assert "window 7 is not flagged; flagged are" in unknown.message
    assert taken_back.success
    assert (queries[6].action, queries[6].window_id, queries[6].policy) == (Query.WITHDRAWN, window_of(6), "person")
    assert flagged.success
    assert flagged.window_id == window_of(58) + 3, "not the newest estimate"
    assert (queries[7].action, queries[7].reason, queries[7].policy) == (Query.FLAGGED, "tears", "person")


@pytest.mark.slow
def test_content_decides_and_the_reason_says_so(ros, models):
    """In real time, slices of five seconds: in the second one the child does what it never did before."""
    queries = ros.listen(QUERY)
    with node_process(NODE, model=models, budget=12, expected_duration_min=1.0, refractory_s=1.0):
        ros.activate(NODE)
        engagement = ros.publisher(ENGAGEMENT)
        features = {modality: ros.publisher(FEATURES[modality]) for modality in Modality}
        begin_ns = (time.time_ns() // NANOSECONDS_PER_SECOND + 1) * NANOSECONDS_PER_SECOND
        live = [feature_message(begin_ns, step, features) for step in range(81)]
        for step, messages in enumerate(live):
            time.sleep(max(0.0, (begin_ns + step * STEP_NS - time.time_ns()) / NANOSECONDS_PER_SECOND))
            for modality, message in messages.items():
                features[modality].publish(message)
            if step % 10 == 0 and step:
                time.sleep(0.03)
                engagement.publish(real_estimate(begin_ns + step * STEP_NS))
        wait_until(lambda: len(queries) >= 2, 10)

    flagged = [query for query in queries if query.action == Query.FLAGGED]
    assert flagged[0].reason == "typical of this stretch of time"
    assert flagged[-1].reason == "unlike earlier moments"
    assert {query.policy for query in queries} == {"sliced-coverage"}


def feature_message(begin_ns: int, step: int, features) -> dict[Modality, FeatureFrame]:
    """One frame of every modality; after five seconds everything is different."""
    random = np.random.default_rng(step)
    values = {m: (random.normal(size=SIZES[m]) * 0.1 + (3 if step > 50 else 0)).astype(np.float32) for m in features}
    stamp_ns = begin_ns + step * STEP_NS
    return {m: frame_to_message(Frame(m, stamp_ns, values[m], True, 1.0, CHOSEN_SETS[m]), "test") for m in features}


def real_estimate(end_ns: int) -> Engagement:
    message = estimate(0)
    message.header, message.window_id = Header(stamp=to_time(end_ns)), end_ns // STEP_NS
    return message


def test_only_while_a_session_is_recorded_and_every_session_has_the_whole_budget(ros, models):
    queries = ros.listen(QUERY)
    with node_process(NODE, model=models, policy="evenly-in-time", budget=6, expected_duration_min=1.0):
        ros.activate(NODE)
        engagement, sessions = ros.publisher(ENGAGEMENT), ros.publisher(SESSION_STATUS)
        sessions.publish(status(recording=False))
        time.sleep(0.3)
        tell(engagement, range(1, 20))
        refused = flag_now(ros)
        assert queries == []
        sessions.publish(status(recording=True, session="first"))
        time.sleep(0.3)
        tell(engagement, range(20, 37))
        wait_until(lambda: len(queries) == 2, 10)
        sessions.publish(status(recording=True, session="first"))
        time.sleep(0.3)
        same = budget(ros)
        sessions.publish(status(recording=True, session="second"))
        time.sleep(0.3)
        fresh = budget(ros)

    assert not refused.success
    assert refused.message == "no session is being recorded; start one first"
    assert (same.left, fresh.left, list(fresh.flagged)) == (4, 6, [])


def test_what_was_before_the_session_is_not_flagged_in_it(ros, models):
    """The recorder would not take it: a flag of a person would be lost while she believes it was heard."""
    queries = ros.listen(QUERY)
    begun = status(recording=True, session="first")
    begun.started = to_time((FIRST_S + 10) * NANOSECONDS_PER_SECOND)
    with node_process(NODE, model=models, policy="evenly-in-time", budget=6, expected_duration_min=0.1):
        ros.activate(NODE)
        engagement, sessions = ros.publisher(ENGAGEMENT), ros.publisher(SESSION_STATUS)
        sessions.publish(begun)
        time.sleep(0.3)
        tell(engagement, range(1, 10))
        early = flag_now(ros)
        assert queries == []
        tell(engagement, range(10, 12))
        wait_until(lambda: flag_now(ros).success, 10)

    assert not early.success
    assert early.message == "the session has only begun; try again in a moment"


def test_a_node_that_was_started_again_knows_what_is_flagged(ros, models):
    """The recorder says, to whoever comes late, what it has on disk: of this session, and of an earlier one."""
    recorded, sessions = (
        ros.node.create_publisher(topic.type, topic.name, topic.qos) for topic in (RECORDED, SESSION_STATUS)
    )
    for session, second, withdrawn in [
        ("today", 3, 0),
        ("today", 9, 0),
        ("today", 9, 1),
        ("old", 5, 0),
        ("today", 14, 0),
    ]:
        recorded.publish(Recorded(session=session, window_id=window_of(second), withdrawn=bool(withdrawn)))
    sessions.publish(status(recording=True, session="today"))
    with node_process(NODE, model=models, policy="evenly-in-time", budget=6, expected_duration_min=1.0):
        ros.activate(NODE)
        engagement = ros.publisher(ENGAGEMENT)
        time.sleep(0.5)
        tell(engagement, [20])
        time.sleep(0.3)
        found = budget(ros)
    assert list(found.flagged) == [window_of(3), window_of(14)]
    assert found.left == 4


@pytest.mark.parametrize("listens", [True, False])
def test_the_wristbands_button_flags_what_is_happening_now(ros, models, listens):
    queries = ros.listen(QUERY)
    tag = SignalChunk(name="tag", unit="1", channels=1, values=[1.0])
    with node_process(NODE, model=models, policy="evenly-in-time", tag_button=str(listens).lower()):
        ros.activate(NODE)
        engagement = ros.publisher(ENGAGEMENT)
        button = ros.node.create_publisher(SIGNALS["tag"].type, SIGNALS["tag"].name, SIGNALS["tag"].qos)
        time.sleep(1.0)
        button.publish(tag)  # nothing is known of this moment yet
        time.sleep(0.5)
        tell(engagement, [1])
        time.sleep(0.3)
        button.publish(tag)
        if listens:
            wait_until(lambda: len(queries) == 1, 10)
            assert (queries[0].window_id, queries[0].reason) == (window_of(1), "wristband button")
        time.sleep(0.3)
    assert len(queries) == listens


def test_without_estimates_nothing_can_be_flagged_and_diagnostics_say_so(ros, models):
    diagnostics = ros.listen(DIAGNOSTICS)
    with node_process(NODE, model=models):
        assert ros.change_state(NODE, Transition.TRANSITION_CONFIGURE)
        asleep = flag_now(ros)
        assert ros.change_state(NODE, Transition.TRANSITION_ACTIVATE)
        refused = flag_now(ros)
        wait_until(lambda: message_of(diagnostics, "flags"), 10)
        complaint = message_of(diagnostics, "flags")
        engagement = ros.publisher(ENGAGEMENT)
        wait_until(lambda: tell(engagement, [1]) or message_of(diagnostics, "flags") == "ok", 20)
        values = values_of(diagnostics, "flags")
    assert asleep.message == "selector_node is not active; activate it first"
    assert refused.message == "no estimates are coming; is engagement_node active?"
    assert not asleep.success
    assert not refused.success
    assert complaint == "no estimates are coming"
    assert (values["policy"], values["model"], values["budget left"]) == ("sliced-coverage", "random/1", "20")


def test_it_follows_the_model_set_in_use_and_says_when_it_cannot(ros, models, tmp_path):
    """engagement_node reloads: a version beside the running one is found, a child's from elsewhere is not."""
    write_model_set(models, "2", seed=3)
    write_model_set(tmp_path / "better", "7", seed=4)
    diagnostics = ros.listen(DIAGNOSTICS)
    with node_process(NODE, model=models / "1") as process:
        ros.activate(NODE)
        engagement, info = ros.publisher(ENGAGEMENT), ros.publisher(MODEL_INFO)
        told = {"random/2": "random/2", "better/7": "better/7", "P018/3": "another"}
        for identity, words in told.items():
            name, _, version = identity.partition("/")
            info.publish(ModelInfo(name=name, version=version))
            wait_until(lambda words=words: said(diagnostics, words), 30)
        tell(engagement, [1])
        complaint = message_of(diagnostics, "flags")
        found = values_of(diagnostics, "flags")["model"]
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert complaint == "another model runs, but windows are still chosen as with better/7"
    assert found == "better/7"
    assert "P018" not in log
    assert f"{complaint}: version 3, which is in use, is neither in {tmp_path} nor among" in log


def test_a_model_set_in_use_that_cannot_be_read_here_ends_nothing(ros, models, tmp_path):
    """A name too long for a folder, and a disk that fails: who dies of it would, started again, hear it again."""
    put_on_a_failing_disk(write_model_set(tmp_path / "failing", "1", seed=5) / "audio.onnx")
    diagnostics = ros.listen(DIAGNOSTICS)
    with node_process(NODE, model=models) as process:
        ros.activate(NODE)
        info = ros.publisher(MODEL_INFO)
        for name in ("é" * 300, "failing"):
            info.publish(ModelInfo(name=name, version="1"))
            wait_until(lambda: said(diagnostics, "another"), 10)
            info.publish(ModelInfo(name="random", version="1"))
            wait_until(lambda: not said(diagnostics, "another"), 10)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert "cannot be read (File name too long)" in log
    assert re.search(r"audio\.onnx cannot be read \(Input/output error; look at its disk.*\)$", log, re.MULTILINE)
    assert "Traceback" not in log


def test_a_model_set_that_cannot_be_read_is_refused_in_one_sentence(ros, models):
    put_on_a_failing_disk(models / "1" / "face.onnx")
    with node_process(NODE, model=models) as process:
        assert not ros.change_state(NODE, Transition.TRANSITION_CONFIGURE)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert re.search(r"face\.onnx cannot be read \(Input/output error; look at its disk.*\)$", log, re.MULTILINE)
    assert "Traceback" not in log


def said(diagnostics, word: str) -> bool:
    """Whether the node says that it has this model set, or begins to complain with this word."""
    if "flags" not in latest_reports(diagnostics):
        return False
    return word in (values_of(diagnostics, "flags")["model"], message_of(diagnostics, "flags").split(" ")[0])


def test_a_policy_that_the_model_set_cannot_serve_is_refused_in_one_sentence(ros, models):
    with node_process(NODE, model=models, policy="fidelity") as process:
        assert not ros.change_state(NODE, Transition.TRANSITION_CONFIGURE)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert "policy 'fidelity' needs the trained criterion 'mmql', which this model set lacks" in log


def test_it_can_rest_and_go_on(ros, models):
    """Deactivated it flags nothing; configured anew it has the whole budget."""
    queries = ros.listen(QUERY)
    with node_process(NODE, model=models, policy="evenly-in-time", budget=6, expected_duration_min=1.0):
        ros.activate(NODE)
        engagement = ros.publisher(ENGAGEMENT)
        tell(engagement, range(1, 10))
        wait_until(lambda: len(queries) == 1, 10)
        assert ros.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
        tell(engagement, range(10, 30))
        time.sleep(0.3)
        assert len(queries) == 1
        assert ros.change_state(NODE, Transition.TRANSITION_CLEANUP)
        ros.activate(NODE)
        engagement = ros.publisher(ENGAGEMENT)
        tell(engagement, range(30, 40))
        wait_until(lambda: len(queries) == 2, 10)
    assert queries[1].budget_left == 5
