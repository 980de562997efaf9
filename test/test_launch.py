"""The launch file as far as it can be checked without `launch`, which is not among the wheels.

What runs on a robot is checked there; here: it is valid Python, and every executable, parameter and file it names
exists. `test/faults/test_restart.py` runs what it starts.
"""

from __future__ import annotations

import ast
import importlib
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from rigs.launch_stand_in import Launch

ROOT = Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch/engagement.launch.py"
PARAMETERS = {
    "camera_node": ("mmal_ros.nodes.camera_node", "CameraParameters"),
    "microphone_node": ("mmal_ros.nodes.microphone_node", "MicrophoneParameters"),
    "e4_node": ("mmal_ros.nodes.e4_node", "E4Parameters"),
    "engagement_node": ("mmal_ros.nodes.engagement_node", "EngagementParameters"),
    "recorder_node": ("mmal_ros.nodes.recorder_node", "RecorderParameters"),
    "selector_node": ("mmal_ros.nodes.selector_node", "SelectorParameters"),
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
    assert {*named["SENSORS"], *OTHERS, "engagement_node"} == set(PARAMETERS) <= installed
    assert set(named["SENSORS"].values()) <= set(named["ARGUMENTS"])


def test_every_parameter_that_is_launched_with_is_one_of_the_node(launch):
    for executable, node in launch.nodes.items():
        own = {item.name for item in fields(parameter_class(executable))}
        assert set(node.parameters[1]) <= own


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


SENSORS = ["camera_node", "microphone_node", "e4_node"]
OTHERS = ["recorder_node", "selector_node"]


@pytest.fixture
def launch() -> Launch:
    return Launch(LAUNCH, {})


def test_every_node_has_its_configuration_and_is_started_again_when_it_dies(launch):
    assert set(launch.nodes) == set(PARAMETERS)
    for executable, node in launch.nodes.items():
        assert (node.package, node.name, node.respawn) == ("mmal_ros", executable, True)
        assert Path(node.parameters[0]) == ROOT / f"config/{executable}.yaml"


def test_topics_stay_on_this_computer_unless_somebody_says_otherwise(launch):
    assert launch.environment == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    assert Launch(LAUNCH, {"discovery": "SUBNET"}).environment == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}


def test_a_sensor_that_is_not_wanted_is_not_started():
    launch = Launch(LAUNCH, {"wristband": "none"})
    assert set(launch.nodes) == {"engagement_node", *OTHERS, *SENSORS[:2]}


def test_a_participant_whose_code_looks_like_a_number_stays_text():
    assert 'participant:="17"' in Launch(LAUNCH, {"record": "17"}).command("recorder_node")
    assert "auto_start:=True" in Launch(LAUNCH, {"record": "17"}).command("recorder_node")
    assert 'participant:=""' in Launch(LAUNCH, {}).command("recorder_node")


def ended(launch: Launch, executable: str, code: int):
    """What launch is told to do when the process ends."""
    node = launch.nodes[executable]
    return node.on_exit(SimpleNamespace(action=node, returncode=code), None)


def test_a_node_that_was_told_something_wrong_is_not_started_again_and_again(launch):
    """Launch shuts down what it is told to; it does not start that again."""
    told = ended(launch, "camera_node", 2).event
    assert type(told).__name__ == "ShutdownProcess"
    assert told.process_matcher.args == (launch.nodes["camera_node"],)
    assert type(ended(launch, "engagement_node", 2).event).__name__ == "Shutdown"
    assert [ended(launch, executable, -9) for executable in PARAMETERS] == [None] * len(PARAMETERS)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("recrod:=P017", "record"), ("camra:=device:0", "camera"), ("Privacy:=full", "privacy")],
)
def test_a_misspelt_argument_is_refused_for_launch_would_ignore_it(launch, given, meant):
    look = launch.checks[0]
    look(SimpleNamespace(argv=["camera:=device:1", "robot_ip:=10.0.0.7", "--debug"]))
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        look(SimpleNamespace(argv=["camera:=device:1", given]))
