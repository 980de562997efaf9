"""All nodes in one process: started together, stopped without a trace, and a refusal that leaves nothing behind."""

from __future__ import annotations

import threading

import psutil
import pytest

from mmal_msgs.msg import Engagement, ModalityEstimate
from mmal_ros.nodes import graph as graph_module
from mmal_ros.nodes.graph import Graph, GraphError, GraphSettings
from mmal_ros.nodes.spinning import shut_down
from mmal_ros.sensors.specs import Sensor
from mmal_ros.session.folder import sessions_in
from rigs.model_sets import write_model_set
from rigs.ros import wait_until


@pytest.fixture
def models(tmp_path):
    write_model_set(tmp_path / "random")
    return str(tmp_path / "random")


def test_a_simulated_person_is_heard_by_all_four_modalities(models):
    """Camera, microphone and wristband are synthetic; everything else is what runs beside a robot."""
    heard: list[Engagement] = []
    settings = GraphSettings(
        sources=dict.fromkeys(Sensor, "synthetic:3"),
        engagement={"model": models},
        sensors={Sensor.MICROPHONE: {"feature_set": "spectral"}},
    )
    me = psutil.Process()
    with Graph(settings, heard.append) as graph:
        wait_until(lambda: heard and all(part.status == ModalityEstimate.VALID for part in heard[-1].modalities), 60)
        assert graph.recordings_ended() == [False, False, False]
    wait_until(lambda: not [child for child in me.children() if "spawn_main" in " ".join(child.cmdline())], 10)
    assert [thread.name for thread in threading.enumerate() if thread.name in ("executor", "vision")] == []


def test_a_run_can_follow_another_in_the_same_process(models):
    """The second graph begins as freshly as the first."""
    for _ in range(2):
        heard: list[Engagement] = []
        settings = GraphSettings(sources={Sensor.WRISTBAND: "synthetic"}, engagement={"model": models})
        with Graph(settings, heard.append):
            wait_until(lambda heard=heard: heard and heard[-1].level != Engagement.UNKNOWN, 30)


def test_a_node_that_fails_to_end_keeps_no_other_from_it(models, monkeypatch):
    """A recorder that is ended completes its session, whatever becomes of the others."""
    ended = []

    def end(node):
        ended.append(node.get_name())
        shut_down(node)
        if ended == ["e4_node"]:
            raise RuntimeError("it will not end")

    monkeypatch.setattr(graph_module, "shut_down", end)
    settings = GraphSettings(sources={Sensor.WRISTBAND: "synthetic"}, engagement={"model": models})
    with pytest.raises(RuntimeError, match="it will not end"), Graph(settings, lambda message: None):
        pass
    assert ended == ["e4_node", "engagement_node"]


def test_a_session_is_whole_before_a_sensor_is_ended(models, tmp_path, monkeypatch):
    """A sensor may take its time, or hang in its driver."""
    whole = []

    def end(node):
        if node.get_name() == "e4_node":
            whole.extend(session.card().end is not None for session in sessions_in(tmp_path / "sessions"))
        shut_down(node)

    monkeypatch.setattr(graph_module, "shut_down", end)
    recorder = {"participant": "P017", "auto_start": True, "privacy": "features_only"}
    settings = GraphSettings(
        sources={Sensor.WRISTBAND: "synthetic"},
        engagement={"model": models},
        recorder={"sessions": str(tmp_path / "sessions"), **recorder},
    )
    with Graph(settings, lambda message: None) as graph:
        assert graph.session is not None
    assert whole == [True]


@pytest.mark.parametrize(
    ("sources", "engagement", "reason"),
    [
        ({Sensor.CAMERA: "file:nowhere.mp4"}, {}, "nowhere.mp4"),
        ({Sensor.MICROPHONE: "file:nowhere.wav"}, {}, "nowhere.wav"),
        ({Sensor.WRISTBAND: "folder:nowhere"}, {}, "nowhere"),
        ({}, {"model": "nowhere"}, "no model set"),
        ({}, {"rate_hz": 7.0}, "7.0 estimates/s does not fit"),
        ({}, {"providers": ["gpu"]}, "possible: tensorrt, cuda, cpu"),
    ],
)
def test_what_can_never_work_is_refused_and_nothing_is_left_running(models, sources, engagement, reason):
    """One sentence with the cause; afterwards another graph can be started at once."""
    settings = GraphSettings(sources=sources, engagement={"model": models, **engagement})
    with pytest.raises(GraphError, match=reason), Graph(settings, lambda message: None):
        pass
    with Graph(GraphSettings(sources={}, engagement={"model": models}), lambda message: None):
        pass
