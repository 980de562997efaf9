"""The launch file as far as it can be checked without `launch`, which is not among the wheels.

What runs on a robot is checked there; here: it is valid Python, and every executable, parameter and file it names
exists.
"""

from __future__ import annotations

import ast
import importlib
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch/engagement.launch.py"
PARAMETERS = {
    "camera_node": ("mmal_ros.nodes.camera_node", "CameraParameters"),
    "microphone_node": ("mmal_ros.nodes.microphone_node", "MicrophoneParameters"),
    "e4_node": ("mmal_ros.nodes.e4_node", "E4Parameters"),
    "engagement_node": ("mmal_ros.nodes.engagement_node", "EngagementParameters"),
}


def parameter_class(executable):
    module, name = PARAMETERS[executable]
    return getattr(importlib.import_module(module), name)


def constants() -> dict[str, object]:
    """The module-level constants of the launch file."""
    found = {}
    for statement in ast.parse(LAUNCH.read_text()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    return found


def test_every_executable_exists_and_every_argument_is_declared():
    """The nodes that are launched are installed, and their arguments are ones a user can give."""
    installed = {entry.name for entry in entry_points(group="console_scripts")}
    named = constants()
    assert {*named["SENSORS"], "engagement_node"} == set(PARAMETERS) <= installed
    assert set(named["SENSORS"].values()) | {"namespace", "model"} == set(named["ARGUMENTS"])


@pytest.mark.parametrize("executable", PARAMETERS)
def test_every_configured_parameter_is_one_of_the_nodes_with_its_default(executable):
    """A configuration file changes nothing until somebody edits it."""
    content = yaml.safe_load((ROOT / f"config/{executable}.yaml").read_text())
    configured = content["/**"]["ros__parameters"]
    from mmal_ros.nodes.parameters import default_of

    defaults = {item.name: default_of(item) for item in fields(parameter_class(executable))}
    assert configured == {name: defaults[name] for name in configured}


def test_what_is_installed_includes_launch_config_and_models():
    """`ros2 launch` finds these in share/mmal_ros."""
    setup = (ROOT / "setup.py").read_text()
    for folder in ("launch/*.py", "config/*.yaml", '"models"'):
        assert folder in setup
