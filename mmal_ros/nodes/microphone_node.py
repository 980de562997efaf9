"""microphone_node: a microphone, a sound file, a robot's ears or a simulated voice become AUDIO features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from mmal_ros.datatypes import Modality
from mmal_ros.extraction import Extraction, ThreadExtraction
from mmal_ros.features.audio import EXTRACTORS, audio_extractor
from mmal_ros.nodes.nao_audio import NaoAudio
from mmal_ros.nodes.parameters import parameter
from mmal_ros.nodes.sensor_node import SensorNode, SensorParameters
from mmal_ros.nodes.topics import naoqi_audio_topic
from mmal_ros.sensors.pushed import PushedSource
from mmal_ros.sensors.source import Source, SourceError
from mmal_ros.sensors.specs import Sensor, Spec, live_source

ROBOT_BACKLOG = 12
"""Buffers of 170 ms: two seconds may wait, no more."""


@dataclass(frozen=True)
class MicrophoneParameters(SensorParameters):
    """What microphone_node can be told."""

    source: str = parameter("device:default", "SPEC of the microphone: device, file, topic, synthetic or none")
    feature_set: str = parameter(
        EXTRACTORS[0], "which audio features; must be those that the model was trained with", choices=EXTRACTORS
    )


class MicrophoneNode(SensorNode):
    """AUDIO from sound."""

    sensor = Sensor.MICROPHONE
    modalities = (Modality.AUDIO,)
    parameter_class = MicrophoneParameters

    def __init__(self, name: str = "microphone_node", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._robot_audio: Any = None

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin; a robot's microphones are listened to from now on."""
        done = super().on_activate(state)
        if done is TransitionCallbackReturn.SUCCESS and self.spec.scheme == "topic":
            self._nao = NaoAudio()
            topic = naoqi_audio_topic(self.spec.target)
            self._robot_audio = self.create_subscription(topic.type, topic.name, self._on_robot_audio, topic.qos)
        return done

    def _make_extraction(self, spec: Spec) -> Extraction:
        settings = cast(MicrophoneParameters, self.settings)
        return ThreadExtraction(self._source(spec), audio_extractor(settings.feature_set), self.publish_frame)

    def _source(self, spec: Spec) -> Source:
        if spec.scheme != "topic":
            return live_source(spec, self.now_ns)
        self._check_naoqi()
        self._pushed = PushedSource("microphone", f"the topic {spec.target}", ROBOT_BACKLOG)
        return self._pushed

    def _check_naoqi(self) -> None:
        try:
            naoqi_audio_topic(self.spec.target)
        except ModuleNotFoundError as error:
            raise SourceError(
                f"microphone '{self.spec}' needs naoqi_bridge_msgs, which comes with NAO's ROS driver; "
                "source its workspace, or name another microphone"
            ) from error

    def _end(self) -> None:
        if self._robot_audio is not None:
            self.destroy_subscription(self._robot_audio)
            self._robot_audio = None
        super()._end()

    def _on_robot_audio(self, message: Any) -> None:
        try:
            sample = self._nao.convert(message)
        except ValueError as error:
            self.get_logger().error(f"{self.spec}: {error}", throttle_duration_sec=10.0)
            return
        if sample is not None:
            self._pushed.push(sample)
