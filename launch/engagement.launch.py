"""Start the live graph: one process a node, configured and activated in order, started again when one dies.

    ros2 launch mmal_ros engagement.launch.py camera:=device:0 microphone:=device:default \
        wristband:="ble:Empatica E4" model:=demo

`engagement_node` is activated first, so that it hears the first frame; each sensor node follows when it is configured.
A node that dies is started again and goes through the same steps; the others do not notice.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler
from launch.conditions import LaunchConfigurationNotEquals
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from launch import LaunchDescription

CONFIG = Path(__file__).resolve().parent.parent / "config"
RESPAWN_DELAY_S = 1.0
ARGUMENTS = {
    "namespace": ("mmal", "namespace of all topics and services"),
    "camera": ("device:0", "SPEC of the camera, or none"),
    "microphone": ("device:default", "SPEC of the microphone, or none"),
    "wristband": ("ble:Empatica E4", "SPEC of the wristband, or none"),
    "model": ("demo", "folder of a model set, or the name of one that comes along"),
}
SENSORS = {"camera_node": "camera", "microphone_node": "microphone", "e4_node": "wristband"}
"""Executable: the argument that names its source."""


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    description = LaunchDescription(arguments)
    for action in lifecycle_node("engagement_node", {"model": LaunchConfiguration("model")}):
        description.add_action(action)
    for executable, argument in SENSORS.items():
        source = {"source": LaunchConfiguration(argument)}
        for action in lifecycle_node(executable, source, LaunchConfigurationNotEquals(argument, "none")):
            description.add_action(action)
    return description


def lifecycle_node(executable, parameters, condition=None):
    """A node, and what leads it to its active state whenever it is started."""
    node = LifecycleNode(
        package="mmal_ros",
        executable=executable,
        name=executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=[str(CONFIG / f"{executable}.yaml"), parameters],
        output="screen",
        respawn=True,
        respawn_delay=RESPAWN_DELAY_S,
        condition=condition,
    )
    configure = RegisterEventHandler(
        OnProcessStart(target_action=node, on_start=[change_state(node, Transition.TRANSITION_CONFIGURE)])
    )
    activate = RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state="configuring",
            goal_state="inactive",
            entities=[change_state(node, Transition.TRANSITION_ACTIVATE)],
        )
    )
    # The handlers are there before the process starts.
    return [configure, activate, node]


def change_state(node, transition):
    """Ask a node for a transition."""
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))
