"""engagement_node, in a process of its own, with feature frames from this one."""

from __future__ import annotations

import array
import math
import re
import time
from collections.abc import Callable
from itertools import groupby
from threading import Event

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from mmal_msgs.msg import Engagement, ModalityEstimate
from mmal_msgs.srv import ReloadModel
from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features.names import SIZES
from mmal_ros.model_card import make_current
from mmal_ros.model_versions import rollback, use
from mmal_ros.nodes.conversions import MODALITY_CODES, frame_to_message
from mmal_ros.nodes.engagement_node import EngagementNode
from mmal_ros.nodes.model_loading import load_beside
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, FEATURES, MODEL_INFO
from rigs.gpu import put_on_gpu
from rigs.model_sets import CHOSEN_SETS, put_on_a_failing_disk, write_model_set
from rigs.ros import NAMESPACE, latest_reports, message_of, node_process, participant, values_of, wait_until

NODE = "engagement_node"


@pytest.fixture
def ros():
    with participant() as someone:
        yield someone


@pytest.fixture
def models(tmp_path):
    write_model_set(tmp_path / "random", "1", seed=0)
    return tmp_path / "random"


def frame(modality: Modality, stamp_ns: int | None = None) -> FeatureFrame:
    values = np.random.default_rng(0).standard_normal(SIZES[modality]).astype(np.float32)
    return FeatureFrame(modality, stamp_ns or time.time_ns(), values, True, 1.0, CHOSEN_SETS[modality])


def feed(publishers, seconds: float, rate_hz: float = 20) -> None:
    """Frames of every modality at a steady rate."""
    for _ in range(round(seconds * rate_hz)):
        for modality, publisher in publishers.items():
            publisher.publish(frame_to_message(frame(modality), "test"))
        time.sleep(1 / rate_hz)


def part(message: Engagement, modality: Modality) -> ModalityEstimate:
    return message.modalities[MODALITY_CODES[modality]]


def test_estimates_come_at_a_steady_rate_while_all_sensors_are_dead(ros, models):
    """Nobody publishes features: ten times a second the node says that it does not know."""
    estimates = ros.listen(ENGAGEMENT)
    with node_process(NODE, model=models):
        ros.activate(NODE)
        wait_until(lambda: len(estimates) >= 30, 20)

    assert {message.level for message in estimates} == {Engagement.UNKNOWN}
    assert all(part.status == ModalityEstimate.MISSING for message in estimates for part in message.modalities)
    assert all(math.isnan(message.latency) for message in estimates)
    ids = [message.window_id for message in estimates]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_four_modalities_are_heard_and_the_one_that_stops_is_named(ros, models):
    """The wristband falls silent: after a second A-PHYS is missing, and the other three go on voting."""
    estimates = ros.listen(ENGAGEMENT)
    with node_process(NODE, model=models):
        ros.activate(NODE)
        publishers = {modality: ros.publisher(FEATURES[modality]) for modality in Modality}
        feed(publishers, 2)
        everyone = estimates[-1]
        del publishers[Modality.PHYSIOLOGY]
        feed(publishers, 2)
        without = estimates[-1]

    assert {one.status for one in everyone.modalities} == {ModalityEstimate.VALID}
    assert everyone.level != Engagement.UNKNOWN
    assert everyone.model_version == "random/1"
    assert np.isclose(sum(everyone.probabilities), 1, atol=1e-5)
    assert 0 <= everyone.latency < 5
    assert 0 < everyone.compute_time < 5
    assert part(without, Modality.PHYSIOLOGY).status == ModalityEstimate.MISSING
    assert part(without, Modality.FACE).status == ModalityEstimate.VALID


def test_wrong_frames_are_rejected_counted_and_reported(ros, models):
    """NaN, a wrong length, another feature list and a stamp of tomorrow: estimates go on without them."""
    estimates, diagnostics = ros.listen(ENGAGEMENT), ros.listen(DIAGNOSTICS)
    with node_process(NODE, model=models):
        ros.activate(NODE)
        publisher = ros.publisher(FEATURES[Modality.AUDIO])
        good = frame_to_message(frame(Modality.AUDIO), "test")
        for spoil in (
            {"values": array.array("f", [math.nan] * SIZES[Modality.AUDIO])},
            {"values": array.array("f", [1.0] * 3)},
            {"feature_set": "opensmile-egemaps"},
            {"header": frame_to_message(frame(Modality.AUDIO, time.time_ns() + 86_400 * 10**9), "x").header},
            {"header": frame_to_message(frame(Modality.AUDIO, 1), "x").header},
        ):
            message = frame_to_message(frame(Modality.AUDIO), "test")
            for name, value in spoil.items():
                setattr(message, name, value)
            publisher.publish(message)
        publisher.publish(good)
        publisher.publish(good)
        wait_until(lambda: "frames rejected" in message_of(diagnostics, "audio"), 10)
        wait_until(lambda: "earlier one" in values_of(diagnostics, "audio")["frames rejected"], 10)
        count = len(estimates)
        wait_until(lambda: len(estimates) > count + 5, 5)

    said = values_of(diagnostics, "audio")["frames rejected"]
    for reason in ("NaN", "wrong length", "another feature list", "future", "too late for any window", "earlier one"):
        assert reason in said, said
    assert part(estimates[-1], Modality.AUDIO).frames_seen == 1


def test_another_model_is_taken_over_between_two_estimates_and_a_broken_one_is_refused(ros, models, tmp_path):
    """The next version is loaded without a gap; the one that is damaged changes nothing."""
    estimates = ros.listen(ENGAGEMENT)
    info = ros.listen(MODEL_INFO)
    write_model_set(tmp_path / "better", "2", seed=7)
    broken = write_model_set(tmp_path / "broken", "3", seed=8)
    (broken / "face.onnx").write_bytes(b"not a model")
    with node_process(NODE, model=models):
        ros.activate(NODE)
        wait_until(lambda: len(estimates) > 5, 10)
        refused = ros.call(ReloadModel, "model/reload", ReloadModel.Request(model=str(tmp_path / "broken")))
        taken = ros.call(ReloadModel, "model/reload", ReloadModel.Request(model=str(tmp_path / "better")))
        count = len(estimates)
        wait_until(lambda: len(estimates) > count + 5, 10)
        wait_until(lambda: info[-1].version == "2", 10)

    assert not refused.success
    assert "face.onnx" in refused.message
    assert "random/1 goes on" in refused.message
    assert taken.success
    assert estimates[-1].model_version == "better/2"
    assert info[0].provider == "CPUExecutionProvider"
    ids = [message.window_id for message in estimates]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "an estimate was missed"


def test_who_makes_another_version_live_misses_no_estimate(ros, tmp_path):
    """A therapist switches five times, by hand and by the service; the child is watched ten times a second."""
    child = tmp_path / "P017"
    for version in ("1", "2", "3"):
        write_model_set(child, version, seed=int(version))
    use(child, "1")
    estimates, info = ros.listen(ENGAGEMENT), ros.listen(MODEL_INFO)
    with node_process(NODE, model=child):
        ros.activate(NODE)
        wait_until(lambda: len(estimates) > 5, 10)
        for version in ("2", "3", "2"):
            use(child, version)
            wait_until(lambda version=version: estimates[-1].model_version == f"P017/{version}", 10)
        assert rollback(child) == "3"
        assert ros.call(ReloadModel, "model/reload", ReloadModel.Request()).message == "P017/3 runs now"
        wait_until(lambda: estimates[-1].model_version == "P017/3", 10)
        use(child, "1")
        wait_until(lambda: info[-1].version == "1" and estimates[-1].model_version == "P017/1", 10)

    ids = [message.window_id for message in estimates]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "an estimate was missed"
    versions = [message.model_version for message in estimates]
    assert [name for name, _ in groupby(versions)] == [f"P017/{v}" for v in ("1", "2", "3", "2", "3", "1")]


def test_a_live_version_that_is_broken_is_refused_until_a_good_one_is_live(ros, tmp_path):
    """Somebody copied half a version and made it live with an editor: the old one goes on, and diagnostics say why."""
    child = tmp_path / "P017"
    write_model_set(child, "2", seed=2)
    (child / "2" / "face.onnx").write_bytes(b"half a")
    write_model_set(child, "1", seed=1)
    estimates, diagnostics = ros.listen(ENGAGEMENT), ros.listen(DIAGNOSTICS)
    with node_process(NODE, model=child) as process:
        ros.activate(NODE)
        wait_until(lambda: "estimates" in latest_reports(diagnostics), 10)
        make_current(child, "2")
        wait_until(lambda: "face.onnx" in values_of(diagnostics, "estimates").get("refused", ""), 10)
        assert "another model set was refused" in message_of(diagnostics, "estimates")
        make_current(child, "1")
        wait_until(lambda: values_of(diagnostics, "estimates")["refused"] == "", 10)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert "P017/1 goes on" in log
    assert {message.model_version for message in estimates} == {"P017/1"}


def test_while_a_model_is_loaded_the_executor_does_other_work():
    """A model that takes as long as it likes to load: estimates of the same executor go on."""
    with participant() as someone:
        node, done, ticks = someone.node, Event(), []
        models = object()

        def load():
            assert done.wait(20), "nobody else was served meanwhile"
            return models

        async def take_over():
            timer.cancel()
            found.append(await load_beside(node, load))

        def tick():
            ticks.append(len(found))
            if len(ticks) > 20:
                done.set()

        found = []
        timer = node.create_timer(0.01, take_over, callback_group=MutuallyExclusiveCallbackGroup())
        node.create_timer(0.01, tick)
        wait_until(lambda: found, 20)
    assert found == [models]
    assert ticks[:20] == [0] * 20


def test_a_model_that_is_not_there_is_an_error_that_says_so(ros, tmp_path):
    """Configuring fails; the node stays, unconfigured, and its log names the folder."""
    with node_process(NODE, model=tmp_path / "nowhere") as process:
        assert not ros.change_state(NODE, Transition.TRANSITION_CONFIGURE)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert "nowhere is no model set" in log


def test_a_model_that_cannot_be_read_is_one_sentence(ros, models):
    put_on_a_failing_disk(models / "1" / "face.onnx")
    with node_process(NODE, model=models) as process:
        assert not ros.change_state(NODE, Transition.TRANSITION_CONFIGURE)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert re.search(r"face\.onnx cannot be read \(Input/output error; look at its disk.*\)$", log, re.MULTILINE)
    assert "Traceback" not in log


def test_a_gpu_that_is_not_there_is_reported_and_replaced(ros, models):
    """CUDA was asked for on a machine without: the node runs on the CPU and says so; there is no GPU in CI."""
    diagnostics = ros.listen(DIAGNOSTICS)
    with node_process(NODE, model=models, providers="[cuda, cpu]") as process:
        ros.activate(NODE)
        wait_until(lambda: "estimates" in latest_reports(diagnostics), 10)
        process.terminate()
        _, log = process.communicate(timeout=20)
    values = values_of(diagnostics, "estimates")
    assert values["provider"] in ("CPUExecutionProvider", "CUDAExecutionProvider")
    if values["provider"] == "CPUExecutionProvider":
        assert "runs on CPUExecutionProvider, not on CUDAExecutionProvider" in log


def test_a_gpu_that_fails_and_has_no_substitute_is_told_and_estimates_go_on_when_it_works(ros, models, capfd):
    """Who forbade the CPU gets no estimate of half the model, and a node that lives; the GPU is a stand-in."""
    estimates, diagnostics = ros.listen(ENGAGEMENT), ros.listen(DIAGNOSTICS)
    told = {"model": str(models), "allow_fallback": False}
    node = EngagementNode(
        namespace=NAMESPACE, parameter_overrides=[Parameter(name, value=value) for name, value in told.items()]
    )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        gpu = put_on_gpu(node._pipeline.estimator.models.classifiers[Modality.FACE], works=True)
        face = ros.publisher(FEATURES[Modality.FACE])

        def watched_until(condition: Callable[[], object]) -> None:
            """Spins; what a callback raises, which would end a process, ends the test."""
            deadline = time.monotonic() + 20
            while not condition():
                assert time.monotonic() < deadline
                face.publish(frame_to_message(frame(Modality.FACE), "test"))
                executor.spin_once(0.02)

        assert node.trigger_activate() is TransitionCallbackReturn.SUCCESS
        watched_until(lambda: estimates and estimates[-1].level != Engagement.UNKNOWN)
        gpu.works = False
        watched_until(lambda: "face.onnx failed on CUDAExecutionProvider" in message_of(diagnostics, "estimates"))
        report, count, later_s = latest_reports(diagnostics)["estimates"], len(estimates), time.monotonic() + 1.5
        watched_until(lambda: time.monotonic() > later_s)
        assert len(estimates) == count, "something was estimated all the same"
        gpu.works = True
        watched_until(lambda: latest_reports(diagnostics)["estimates"].level != DiagnosticStatus.ERROR)
        watched_until(lambda: len(estimates) > count + 5)
    finally:
        executor.shutdown()
        node.destroy_node()
    assert report.level == DiagnosticStatus.ERROR
    assert report.message.startswith("nothing is estimated: ")
    assert report.message.endswith("; set allow_fallback to go on on the CPU")
    assert capfd.readouterr().err.count("nothing is estimated") == 1


def test_a_model_that_is_loaded_when_the_node_was_configured_anew_is_not_taken(ros, models, tmp_path):
    """Between two children: what was asked for the first must not estimate the second."""
    for name, seed in (("late", 1), ("next", 2)):
        write_model_set(tmp_path / name, "1", seed=seed)
    node = EngagementNode(namespace=NAMESPACE, parameter_overrides=[Parameter("model", value=str(models))])
    executor, loading, go_on, real = SingleThreadedExecutor(), Event(), Event(), node._load
    executor.add_node(node)

    def slow(path):
        if path == tmp_path / "late":
            loading.set()
            assert go_on.wait(30)
        return real(path)

    def spin_until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            executor.spin_once(0.02)

    client = ros.node.create_client(ReloadModel, f"{NAMESPACE}/model/reload")
    try:
        node._load = slow
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        spin_until(client.service_is_ready)
        answer = client.call_async(ReloadModel.Request(model=str(tmp_path / "late")))
        spin_until(loading.is_set)
        assert node.trigger_cleanup() is TransitionCallbackReturn.SUCCESS
        node.set_parameters([Parameter("model", value=str(tmp_path / "next"))])
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        go_on.set()
        spin_until(answer.done)
        assert not answer.result().success
        assert answer.result().message.endswith("is not configured any more, or anew")
        assert node._pipeline.estimator.models.card.identity == "next/1"
    finally:
        go_on.set()
        ros.node.destroy_client(client)
        executor.shutdown()
        node.destroy_node()


def assert_no_more_come(estimates: list[Engagement]) -> None:
    time.sleep(0.3)
    count = len(estimates)
    time.sleep(0.7)
    assert len(estimates) == count


def test_a_node_that_is_shut_down_is_silent(ros, models):
    estimates = ros.listen(ENGAGEMENT)
    with node_process(NODE, model=models):
        ros.activate(NODE)
        wait_until(lambda: len(estimates) > 3, 10)
        assert ros.change_state(NODE, Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert_no_more_come(estimates)


def test_a_node_can_be_deactivated_and_activated_again(ros, models):
    """Between two sessions the node rests: no estimates, and afterwards they go on."""
    estimates = ros.listen(ENGAGEMENT)
    with node_process(NODE, model=models):
        ros.activate(NODE)
        wait_until(lambda: len(estimates) > 3, 10)
        assert ros.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
        assert_no_more_come(estimates)
        count = len(estimates)
        assert ros.change_state(NODE, Transition.TRANSITION_CLEANUP)
        ros.activate(NODE)
        wait_until(lambda: len(estimates) > count + 3, 10)
