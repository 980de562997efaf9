"""Start the live graph: one process a node, configured and activated in order, started again when one dies.

    ros2 launch mmal_ros engagement.launch.py camera:=device:0 microphone:=device:default \
        wristband:="ble:Empatica E4" model:=demo record:=P017

`engagement_node` is configured and activated first, so that it hears the first frame, and says what is wrong with its
model before a device is opened; then recorder, selector and each sensor node, whatever becomes of the others. A node
that dies is started again and goes through the same steps; the others do not notice. With `record:=` a recorder that
died begins another session. A node that was told something wrong says so and ends with exit code 2: it stays away, and
without engagement_node the launch ends.
"""

from difflib import get_close_matches
from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.conditions import LaunchConfigurationNotEquals
from launch.event_handlers import OnProcessStart
from launch.events import Shutdown, matches_action
from launch.events.process import ShutdownProcess
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

from launch import LaunchDescription

CONFIG = Path(__file__).resolve().parent.parent / "config"
RESPAWN_DELAY_S = 1.0
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
        "code of the participant whose session is recorded from the start, for example P017; never a name",
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
    engagement = lifecycle_node("engagement_node", {"model": named["model"]})
    recorder = lifecycle_node(
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
    selector = lifecycle_node("selector_node", {**named, **spending})
    sensors = [
        lifecycle_node(
            executable,
            {"source": given[argument]} | ({"privacy": given["privacy"]} if executable in SEES_OR_HEARS else {}),
            LaunchConfigurationNotEquals(argument, "none"),
        )
        for executable, argument in SENSORS.items()
    ]
    others = [recorder, selector, *sensors]
    handlers = [  # they are there before the processes start
        configure_when_started(engagement),
        begin_when_first_active(engagement, others),
        *map(activate_when_configured, (engagement, *others)),
    ]
    kept_here = SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", given["discovery"])
    return LaunchDescription(
        [OpaqueFunction(function=refuse_misspelt), *arguments, kept_here, *handlers, engagement, *others]
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


def lifecycle_node(executable, parameters, condition=None):
    """A node in a process of its own, started again when it dies."""
    return LifecycleNode(
        package="mmal_ros",
        executable=executable,
        name=executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=[str(CONFIG / f"{executable}.yaml"), parameters],
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


def configure_when_started(node):
    """Whenever the process starts, the first time and after it died."""
    configure = change_state(node, Transition.TRANSITION_CONFIGURE)
    return RegisterEventHandler(OnProcessStart(target_action=node, on_start=[configure]))


def activate_when_configured(node):
    """As soon as the node has what it needs."""
    return when_it_becomes("inactive", "configuring", node, [change_state(node, Transition.TRANSITION_ACTIVATE)])


def begin_when_first_active(node, others):
    """Configure the others, which run already, when the node is active for the first time."""
    configure = [change_state(other, Transition.TRANSITION_CONFIGURE) for other in others]
    again = [configure_when_started(other) for other in others]
    return when_it_becomes("active", "activating", node, [*again, *configure], handle_once=True)


def when_it_becomes(state, before, node, actions, **options):
    """Do something when a node arrives in a state, coming from the one `before`."""
    return RegisterEventHandler(
        OnStateTransition(target_lifecycle_node=node, start_state=before, goal_state=state, entities=actions, **options)
    )


def change_state(node, transition):
    """Ask a node for a transition."""
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))
