"""Start the live graph: one process a node, started again when one dies.

    ros2 launch mmal_ros engagement.launch.py camera:=device:0 microphone:=device:default \
        wristband:="ble:Empatica E4" model:=demo record:=P017

Every node configures and activates itself, the others when `engagement_node` is there: so it hears the first frame,
and says what is wrong with its model before a device is opened. A node that dies goes through the same again; the
others do not notice. With `record:=` a recorder that died begins another session. A node that was told something wrong
says so and ends with exit code 2: it stays away, and without engagement_node the launch ends.
"""

from difflib import get_close_matches
from pathlib import Path

from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import LaunchConfigurationNotEquals
from launch.events import Shutdown, matches_action
from launch.events.process import ShutdownProcess
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription

CONFIG = Path(__file__).resolve().parent.parent / "config"
RESPAWN_DELAY_S = 0.0
"""What dies at once needs a second or two to start again: patience would only cost estimates."""
USAGE_ERROR = 2
MISSPELT = 0.8
"""How like one of ours an unknown argument is that is meant to be it; others are of a launch file that includes us."""
END_TIMEOUT_S = "20"
"""The recorder's last clips take some seconds; launch wants text here."""
ARGUMENTS = {
    "namespace": ("mmal", "namespace of all topics and services"),
    "camera": ("device:0", "SPEC of the camera, or none"),
    "microphone": ("device:default", "SPEC of the microphone, or none"),
    "wristband": ("ble:Empatica E4", "SPEC of the wristband, or none"),
    "model": (
        "demo",
        "folder of a model set, the code of a participant who has one, or the name of one that comes along",
    ),
    "record": (
        "none",
        "code of the participant whose session is recorded from the start: with a digit, like P017, never a name",
    ),
    "privacy": ("clips", "what is kept of picture and sound: features_only, clips or full"),
    "policy": ("sliced-coverage", "which selector flags windows for a label"),
    "budget": ("20", "labels that it may ask for in a session"),
    "expected_duration_min": ("25.0", "minutes that a session usually takes: the budget is spread over them"),
    "discovery": ("LOCALHOST", "who may hear the topics: LOCALHOST, or SUBNET for other computers too"),
}
SENSORS = {"camera_node": "camera", "microphone_node": "microphone", "e4_node": "wristband"}
"""Executable: the argument that names its source."""
CHOICES = {"privacy": ["features_only", "clips", "full"], "discovery": ["LOCALHOST", "SUBNET", "SYSTEM_DEFAULT", "OFF"]}
SEES_OR_HEARS = ("camera_node", "microphone_node")


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=CHOICES.get(name))
        for name, (default, description) in ARGUMENTS.items()
    ]
    given = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    records = ["'", given["record"], "' != 'none'"]
    named = {name: text(given[name]) for name in ("model", "policy")}
    engagement = started("engagement_node", {"model": named["model"]})
    recorder = started(
        "recorder_node",
        {
            "auto_start": PythonExpression(records),
            "participant": text(PythonExpression(["'", given["record"], "' if ", *records, " else ''"])),
            "devices": [[sensor, "=", given[sensor]] for sensor in SENSORS.values()],
            **{name: given[name] for name in ("privacy", "budget")},
            **named,
        },
    )
    spending = {name: given[name] for name in ("budget", "expected_duration_min")}
    selector = started("selector_node", {**named, **spending})
    sensors = [
        started(
            executable,
            {"source": given[argument]} | ({"privacy": given["privacy"]} if executable in SEES_OR_HEARS else {}),
            LaunchConfigurationNotEquals(argument, "none"),
        )
        for executable, argument in SENSORS.items()
    ]
    kept_here = SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", given["discovery"])
    return LaunchDescription(
        [OpaqueFunction(function=refuse_misspelt), *arguments, kept_here, engagement, recorder, selector, *sensors]
    )


def refuse_misspelt(context):
    """Launch ignores what nobody declares: a session would be lost to `recrod:=P017`."""
    for given in context.argv:
        name, rule, _ = given.partition(":=")
        meant = get_close_matches(name, ARGUMENTS, n=1, cutoff=MISSPELT)
        if rule and name not in ARGUMENTS and meant:
            raise ValueError(f"there is no argument '{name}'; did you mean '{meant[0]}'?")


def text(value):
    """A parameter that stays text when it looks like a number: `record:=17`."""
    return ParameterValue(value, value_type=str)


def started(executable, parameters, condition=None):
    """A node in a process of its own, started again when it dies."""
    return Node(
        package="mmal_ros",
        executable=executable,
        name=executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=[str(CONFIG / f"{executable}.yaml"), parameters | {"activates_itself": True}],
        output="screen",
        on_exit=stay_away_when_told_wrong(executable),
        respawn=True,
        respawn_delay=RESPAWN_DELAY_S,
        sigterm_timeout=END_TIMEOUT_S,
        sigkill_timeout=END_TIMEOUT_S,
        condition=condition,
    )


def stay_away_when_told_wrong(executable):
    """Exit code 2 would come again and again. A process that is told to shut down is not started again by launch."""

    def on_exit(event, context):
        if event.returncode != USAGE_ERROR:
            return None
        if executable == "engagement_node":
            return EmitEvent(event=Shutdown(reason="nothing works without engagement_node"))
        return EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action)))

    return on_exit
