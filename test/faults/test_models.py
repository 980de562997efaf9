"""A model goes wrong before a session and in the middle of one: what the graph's user sees."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mmal_ros.model_card import make_current
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, MODEL_INFO
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.launched import Launched
from rigs.model_sets import DAMAGES, write_model_set
from rigs.ros import latest_reports, message_of, participant, values_of

START_TIMEOUT_S = 60.0
NOTHING = dict.fromkeys(("camera", "microphone", "wristband"), "none")
CHOSEN = {
    "file missing": "body.onnx",
    "truncated": "audio.onnx",
    "file changed afterwards": "face.onnx",
    "wrong hash": "audio.onnx",
    "other feature order": "audio",
    "other feature set": "audio",
    "card of another opset": "opset",
    "file of an unknown opset": "audio.onnx",
    "gives NaN": "audio.onnx",
    "no card": "2",
}
"""Damage: what the reason has to name."""


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


def said(ros) -> dict[str, str]:
    """The values of the estimates' newest report."""
    arrays = ros.heard[DIAGNOSTICS.name][-20:]
    return values_of(arrays, "estimates") if "estimates" in latest_reports(arrays) else {}


@pytest.mark.parametrize("damage", CHOSEN)
def test_a_model_that_goes_wrong_is_refused_and_the_one_before_goes_on(ros, graph, child, damage):
    """Somebody makes a damaged version live in the middle of a session, and then takes it back."""
    estimates, diagnostics = ros.heard[ENGAGEMENT.name], ros.heard[DIAGNOSTICS.name]
    version = f"2-{list(CHOSEN).index(damage)}"
    DAMAGES[damage](write_model_set(child, version, seed=2))  # which makes it live, too
    before, reason = len(estimates), CHOSEN[damage]
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


def test_a_model_that_is_damaged_at_the_start_is_refused_and_no_device_is_opened(tmp_path):
    """The launch stays up and says why; nothing is estimated with half a model."""
    DAMAGES["file missing"](write_model_set(tmp_path / "P018"))
    with participant() as ros, Launched(tmp_path, model=str(tmp_path / "P018"), **NOTHING | BAND) as graph:
        estimates = ros.listen(ENGAGEMENT)
        refused_s = seconds_until(
            lambda: "body.onnx is named by the card but not there" in graph.log("engagement_node")
        )
        seconds_until(lambda: "e4_node" in graph.executables)
        assert "wristband: synthetic" not in graph.log("e4_node")
        assert not estimates
    keep(Outcome("model: file missing at the start", "launched with it", refused_s, None))


BAND = {"wristband": "synthetic"}


def test_a_gpu_that_is_not_there_is_said_and_the_cpu_is_used(tmp_path):
    """Asked for CUDA on a machine without: never silently, and not at all where that is not accepted."""
    write_model_set(tmp_path / "P019")
    pytest.importorskip("onnxruntime")
