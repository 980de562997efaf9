"""What the README says about the ROS API is what the nodes do."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from importlib.metadata import requires
from pathlib import Path

import pytest

from mmal_ros.nodes.camera_node import CameraParameters
from mmal_ros.nodes.e4_node import E4Parameters
from mmal_ros.nodes.engagement_node import EngagementParameters
from mmal_ros.nodes.microphone_node import MicrophoneParameters
from mmal_ros.nodes.parameters import default_of
from mmal_ros.nodes.recorder_parameters import RecorderParameters
from mmal_ros.nodes.selector_node import SelectorParameters
from mmal_ros.nodes.topics import (
    ENGAGEMENT,
    FEATURES,
    FLAG_NOW,
    GET_BUDGET,
    IMAGE,
    MODEL_INFO,
    QUERY,
    RECORDED,
    RELOAD_MODEL,
    SESSION_STATUS,
    SIGNALS,
    SOUND,
    START_SESSION,
    STOP_SESSION,
    UNFLAG,
)

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line.startswith("|")]
NODES = {
    "camera_node": CameraParameters,
    "microphone_node": MicrophoneParameters,
    "e4_node": E4Parameters,
    "engagement_node": EngagementParameters,
    "selector_node": SelectorParameters,
    "recorder_node": RecorderParameters,
}
TOPICS = [
    *(*FEATURES.values(), *SIGNALS.values()),
    *(IMAGE, SOUND, ENGAGEMENT, QUERY, RECORDED, SESSION_STATUS, MODEL_INFO),
]
SERVICES = [RELOAD_MODEL, START_SESSION, STOP_SESSION, FLAG_NOW, UNFLAG, GET_BUDGET]


@pytest.mark.parametrize("node", NODES)
def test_every_parameter_stands_in_the_table_with_its_default_and_unit(node):
    for parameter in fields(NODES[node]):
        default = default_of(parameter)
        written = default if isinstance(default, str) else json.dumps(default)
        rows = [row for row in ROWS if node in row[0].split(", ") and row[1] == f"`{parameter.name}`"]
        assert len(rows) == 1, f"{node} {parameter.name} is not in README.md"
        assert rows[0][2] == f"`{written}`", parameter.name
        assert rows[0][3] == parameter.metadata["unit"], parameter.name


def test_no_parameter_stands_in_the_table_that_does_not_exist():
    for row in ROWS:
        for node in row[0].split(", "):
            if node in NODES:
                assert row[1].strip("`") in {parameter.name for parameter in fields(NODES[node])}


def test_every_topic_and_service_stands_in_the_table():
    for topic in TOPICS:
        rows = [row for row in ROWS if f"`{topic.name}`" in row[0]]
        assert len(rows) == 1, topic.name
        assert rows[0][1].endswith(f"/{topic.type.__name__}`"), topic.name
    for kind, name in SERVICES:
        rows = [row for row in ROWS if row[0] == f"`{name}`"]
        assert len(rows) == 1, name
        assert rows[0][1].endswith(f"/{kind.__name__}`"), name


def test_every_link_leads_somewhere():
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


SAID_OTHERWISE = {"opencv-python", "onnxruntime"}
"""rosdep brings OpenCV; onnxruntime is for processors without NVIDIA's GPUs."""


def test_what_is_installed_on_a_robot_is_what_is_needed_there():
    """By pip what the README says, the rest by rosdep, for what runs beside the robot and for its pages."""
    line = README[README.index("pip install --break-system-packages") : README.index("colcon build")]
    by_rosdep = re.findall(r"<exec_depend>python3-([a-z]+)<", (ROOT / "package.xml").read_text())
    brought = {name.lower() for name in re.findall(r"[A-Za-z][\w-]+", line)} | set(by_rosdep)
    for requirement in requires("mmal_ros") or []:
        name, _, marker = requirement.partition(";")
        extra = re.search(r'extra == "(\w+)"', marker)
        if extra is None or extra[1] in ("robot", "session", "review"):
            package = re.match(r"[\w-]+", name)[0].lower()
            assert package in brought | SAID_OTHERWISE, f"nothing brings {package} to a robot"
