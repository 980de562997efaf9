"""microphone_node: a microphone, a sound file, a robot's ears or a simulated voice become AUDIO features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from mmal_ros.datatypes import Modality, Sample
from mmal_ros.extraction import Extraction, ThreadExtraction
from mmal_ros.features.audio import EXTRACTORS, audio_extractor
from mmal_ros.nodes.conversions import sample_to_message
from mmal_ros.nodes.nao_audio import NaoAudio
from mmal_ros.nodes.parameters import parameter
from mmal_ros.nodes.sending import send
from mmal_ros.nodes.sensor_node import SensorNode, SensorParameters
from mmal_ros.nodes.sound_chunks import SoundChunks
from mmal_ros.nodes.topics import SOUND, naoqi_audio_topic
from mmal_ros.nodes.transitions import accounted
from mmal_ros.sensors.pushed import PushedSource
from mmal_ros.sensors.source import Source, SourceError
from mmal_ros.sensors.specs import Sensor, Spec, live_source
from mmal_ros.session.records import Privacy

ROBOT_BACKLOG = 12
"""Buffers of 170 ms: two seconds may wait, no more."""


@dataclass(frozen=True)
class MicrophoneParameters(SensorParameters):
    """What microphone_node can be told."""

    source: str = parameter("device:default", "SPEC of the microphone: device, file, topic, synthetic or none")
    feature_set: str = parameter(
        EXTRACTORS[0], "which audio features; must be those that the model was trained with", choices=EXTRACTORS
    )
    privacy: str = parameter("features_only", "features_only: publish no sound", choices=tuple(Privacy))


class MicrophoneNode(SensorNode):
    """AUDIO from sound."""

    sensor = Sensor.MICROPHONE
    modalities = (Modality.AUDIO,)
    parameter_class = MicrophoneParameters

    def __init__(self, name: str = "microphone_node", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._robot_audio: Any = None
        self._sound: Any = None

    @accounted()
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin; a robot's microphones are listened to from now on."""
        done = super().on_activate(state)
        if done is TransitionCallbackReturn.SUCCESS and self.spec.scheme == "topic":
            self._nao = NaoAudio()
            self._robot_audio = self._listen(naoqi_audio_topic(self.spec.target), self._on_robot_audio)
        return done

    def _make_topics(self) -> None:
        if cast(MicrophoneParameters, self.settings).privacy != Privacy.FEATURES_ONLY:
            self._sound = self._publisher(SOUND)

    def _forget_topics(self) -> None:
        if self._sound is not None:
            self.destroy_lifecycle_publisher(self._sound)
            self._sound = None

    def _make_extraction(self, spec: Spec) -> Extraction:
        on_sample = SoundChunks(self._publish_sound).add if self._sound is not None else None
        extractor = audio_extractor(cast(MicrophoneParameters, self.settings).feature_set)
        return ThreadExtraction(self._source(spec), extractor, self.publish_frame, on_sample)

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

    def _publish_sound(self, chunk: Sample) -> None:
        send(self._sound, sample_to_message(chunk, self.sensor.value))

    def _on_robot_audio(self, message: Any) -> None:
        try:
            sample = self._nao.convert(message)
        except ValueError as error:
            self.get_logger().error(f"{self.spec}: {error}", throttle_duration_sec=10.0)
            return
        if sample is not None:
            self._pushed.push(sample)
