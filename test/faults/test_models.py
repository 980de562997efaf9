"""A model goes wrong before a session and in the middle of one: what the graph's user sees."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition

from mmal_ros.model_card import make_current
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, MODEL_INFO
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.launched import Launched
from rigs.model_sets import DAMAGES, write_model_set
from rigs.ros import NAMESPACE, latest_reports, message_of, node_process, participant, values_of

START_TIMEOUT_S = 60.0
NOTHING = dict.fromkeys(("camera", "microphone", "wristband"), "none")
CHOSEN = {
    "file missing": "body.onnx",
    "truncated": "audio.onnx",
    "other feature order": "audio",
    "file of an unknown opset": "audio.onnx",
}
"""Damage: what the reason has to name."""
MORE = {
    "file changed afterwards": "face.onnx",
    "wrong hash": "audio.onnx",
    "other feature set": "audio",
    "card of another opset": "opset",
    "gives NaN": "audio.onnx",
    "no card": "no-card",
}
DAMAGED = [*CHOSEN, *(pytest.param(damage, marks=pytest.mark.soak) for damage in MORE)]


def test_a_model_that_is_damaged_at_the_start_is_refused_and_no_device_is_opened(tmp_path):
    """The launch stays up and says why; nothing is estimated with half a model."""
    DAMAGES["file missing"](write_model_set(tmp_path / "P018"))
    reason = "body.onnx is named by the card but not there"
    asked = NOTHING | {"model": str(tmp_path / "P018"), "wristband": "synthetic"}
    with participant() as ros, Launched(tmp_path, **asked) as graph:
        diagnostics, estimates = ros.listen(DIAGNOSTICS), ros.listen(ENGAGEMENT)
        seconds_until(lambda: reason in graph.log("engagement_node"), START_TIMEOUT_S)
        said_s = seconds_until(lambda: reason in complaint(diagnostics, "/mmal/engagement_node: node"))
        seconds_until(lambda: ros.node.count_publishers("e4/acc"))  # it is configured
        assert "wristband: synthetic" not in graph.log("e4_node")
        assert not estimates
    keep(Outcome("model: file missing at the start", "launched with it", said_s))


def test_a_node_whose_model_was_refused_says_what_to_type_when_it_is_mended(tmp_path):
    """It is configured and activated by hand then; nobody else does."""
    model = tmp_path / "P020"
    node = f"{NAMESPACE}/engagement_node"
    with participant() as ros:
        estimates = ros.listen(ENGAGEMENT)
        with node_process("engagement_node", model=model, activates_itself=True) as process:
            said = (line for line in process.stderr if "stays unconfigured" in line)
            typed = re.findall(r"`ros2 lifecycle set (\S+) (\w+)`", next(said))
            assert typed == [(node, "configure"), (node, "activate")]
            write_model_set(model)
            assert ros.change_state("engagement_node", Transition.TRANSITION_CONFIGURE)
            assert ros.change_state("engagement_node", Transition.TRANSITION_ACTIVATE)
            seconds_until(lambda: estimates)


def test_a_gpu_that_is_not_there_is_said_and_the_cpu_is_used(tmp_path):
    """Asked for CUDA on a machine without: never silently, and not at all where that is not accepted."""
    write_model_set(tmp_path / "P019")
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    asked = {"model": tmp_path / "P019", "providers": "[cuda, cpu]", "activates_itself": True}
    with participant() as ros:
        diagnostics, info, estimates = (ros.listen(topic) for topic in (DIAGNOSTICS, MODEL_INFO, ENGAGEMENT))
        began_s = time.monotonic()
        with node_process("engagement_node", **asked):
            seconds_until(lambda: "on CPUExecutionProvider, not on CUDA" in message_of(diagnostics, "estimates"))
            detected_s = time.monotonic() - began_s
            seconds_until(lambda: estimates and info)
            assert latest_reports(diagnostics)["estimates"].level == DiagnosticStatus.WARN
            assert info[-1].provider == "CPUExecutionProvider"
    keep(
        Outcome("GPU asked for and not there", "`providers: [cuda, cpu]`; from the start of the node", detected_s, None)
    )
    with participant() as ros, node_process("engagement_node", allow_fallback=False, **asked) as process:
        estimates = ros.listen(ENGAGEMENT)
        seconds_until(lambda: ros.node.count_publishers("/diagnostics"))
        assert any("set allow_fallback to accept that" in line for line in process.stderr)
        assert not estimates


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    """A participant's model, version 1 of it live."""
    folder = tmp_path_factory.mktemp("models") / "P017"
    write_model_set(folder, "1", seed=1)
    return folder


@pytest.fixture(scope="module")
def ros():
    with participant() as someone:
        for topic in (ENGAGEMENT, DIAGNOSTICS, MODEL_INFO):
            someone.listen(topic)
        yield someone


@pytest.fixture(scope="module")
def graph(ros, child, tmp_path_factory):
    with Launched(tmp_path_factory.mktemp("graph"), model=str(child), **NOTHING) as graph:
        seconds_until(lambda: ros.heard[ENGAGEMENT.name], START_TIMEOUT_S)
        seconds_until(lambda: "refused" in said(ros))
        yield graph


def complaint(arrays: list, name: str) -> str:
    """What the newest status of this name says."""
    return next((s.message for array in reversed(arrays) for s in array.status if s.name == name), "")


def said(ros) -> dict[str, str]:
    """The values of the estimates' newest report."""
    arrays = ros.heard[DIAGNOSTICS.name][-20:]
    return values_of(arrays, "estimates") if "estimates" in latest_reports(arrays) else {}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_model_that_goes_wrong_is_refused_and_the_one_before_goes_on(ros, graph, child, damage):
    """Somebody makes a damaged version live in the middle of a session, and then takes it back."""
    estimates, diagnostics = ros.heard[ENGAGEMENT.name], ros.heard[DIAGNOSTICS.name]
    version = damage.replace(" ", "-")
    DAMAGES[damage](write_model_set(child, version, seed=2))  # which makes it live, too
    before, reason = len(estimates), (CHOSEN | MORE)[damage]
    make_current(child, version)
    detected_s = seconds_until(lambda: reason in said(ros)["refused"])
    assert "another model set was refused" in message_of(diagnostics[-20:], "estimates")
    make_current(child, "1")
    recovered_s = seconds_until(lambda: message_of(diagnostics[-20:], "estimates") == "ok")
    keep(Outcome(f"model: {damage}", "made live under a running graph", detected_s, recovered_s))

    during = estimates[before:]
    assert {message.model_version for message in during} == {"P017/1"}
    assert all(late.window_id == early.window_id + 1 for early, late in pairwise(during)), "an estimate was missed"
    assert reason in graph.log("engagement_node")
