"""Every topic and service of the graph, declared once: type, name, quality of service.

Names are relative to the namespace of the launch (`/mmal` by default).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger

from mmal_msgs.msg import Engagement, FeatureFrame, ModelInfo, Query, Recorded, SessionStatus, SignalChunk
from mmal_msgs.srv import FlagNow, GetBudget, ReloadModel, StartSession, Unflag
from mmal_ros.datatypes import Modality

SENSOR_DATA = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=20,  # two thirds of a second of camera features: a stall must not queue more
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
KEPT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1000,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""Few and precious: who comes late, or was started again, gets what was said before."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What publishers and subscribers of a topic must agree on."""

    type: Any
    name: str
    qos: QoSProfile

    @property
    def type_name(self) -> str:
        """As ROS writes it, for example `mmal_msgs/msg/FeatureFrame`."""
        return f"{self.type.__module__.partition('.')[0]}/msg/{self.type.__name__}"


FEATURES = {modality: Topic(FeatureFrame, f"features/{modality}", SENSOR_DATA) for modality in Modality}
IMAGE = Topic(CompressedImage, "image/compressed", SENSOR_DATA)
SIGNALS = {
    name: Topic(SignalChunk, f"e4/{name}", SENSOR_DATA)
    for name in ("acc", "bvp", "eda", "temperature", "ibi", "battery", "tag")
}
SOUND = Topic(SignalChunk, "sound", SENSOR_DATA)
ENGAGEMENT = Topic(Engagement, "engagement", RELIABLE)
QUERY = Topic(Query, "query", KEPT)
RECORDED = Topic(Recorded, "session/recorded", KEPT)
SESSION_STATUS = Topic(SessionStatus, "session/status", LATCHED)
MODEL_INFO = Topic(ModelInfo, "model/info", LATCHED)
DIAGNOSTICS = Topic(DiagnosticArray, "/diagnostics", RELIABLE)
RELOAD_MODEL = (ReloadModel, "model/reload")
START_SESSION = (StartSession, "session/start")
STOP_SESSION = (Trigger, "session/stop")
FLAG_NOW = (FlagNow, "selector/flag_now")
UNFLAG = (Unflag, "selector/unflag")
GET_BUDGET = (GetBudget, "selector/budget")


def camera_topic(name: str) -> Topic:
    """A robot's raw pictures; best effort hears both kinds of publisher. One picture: the newest wins."""
    return Topic(Image, name, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))


def naoqi_audio_topic(name: str) -> Topic:
    """A NAO's microphones; raises ModuleNotFoundError where naoqi_bridge_msgs is not installed."""
    from naoqi_bridge_msgs.msg import AudioBuffer

    return Topic(AudioBuffer, name, QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT))
