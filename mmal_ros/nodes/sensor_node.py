"""What the three sensor nodes share: a SPEC becomes a source, frames go out, diagnostics tell how it is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from mmal_msgs.msg import SessionStatus
from mmal_ros.datatypes import STEP_NS, FeatureFrame, Modality
from mmal_ros.extraction import Extraction
from mmal_ros.nodes import parameters
from mmal_ros.nodes.conversions import frame_to_message
from mmal_ros.nodes.diagnostics import Diagnostics, RateMeter, Recent, Report, source_report
from mmal_ros.nodes.parameters import NodeParameters, ParameterError, parameter
from mmal_ros.nodes.sending import send
from mmal_ros.nodes.topics import FEATURES, SESSION_STATUS, Topic
from mmal_ros.nodes.transitions import ManagedNode, accounted
from mmal_ros.sensors.source import SourceError, SourceState
from mmal_ros.sensors.specs import Sensor, Spec, SpecError, parse_spec

UNREADABLE = "part of what it sends cannot be read, and is left out"


@dataclass(frozen=True)
class SensorParameters(NodeParameters):
    """What every sensor node can be told."""

    source: str = parameter("none", "SPEC of the source; `mmal run --help` lists them")
    recording_start_ns: int = parameter(
        0,
        "when a recorded or synthetic source begins; 0: the next full step after activation",
        unit="ns since the epoch",
        minimum=0,
        maximum=2**63 - 1,
        until_active=True,
    )


class SensorNode(ManagedNode):
    """A lifecycle node around one extraction.

    Configuring reads the parameters and loads what is slow to load; activating opens the device. A device that is
    not there fails nothing: the node comes up, reports and keeps looking.
    """

    sensor: ClassVar[Sensor]
    modalities: ClassVar[tuple[Modality, ...]]
    parameter_class: ClassVar[type[SensorParameters]]

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        parameters.declare(self, self.parameter_class)
        self.failure = ""
        """Why the last transition failed, in one sentence."""
        self._extraction: Extraction | None = None
        self._rates = {modality: RateMeter() for modality in self.modalities}
        self._unreadable = Recent()
        self._sessions: Any = None
        self._participant = ""  # whose session was the last; empty: none was yet
        self._diagnostics = Diagnostics(self, self._reports, self._state)

    @property
    def ended(self) -> bool:
        """Whether a recording has been played to its end."""
        return self._extraction is not None and self._extraction.status.state is SourceState.ENDED

    @accounted(ParameterError, SpecError, SourceError, ImportError)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read and check the parameters, make the topics, load the extractor."""
        self.settings = parameters.read(self, self.parameter_class)
        self.spec = parse_spec(self.sensor, self.settings.source)
        self._topics = {m: self._publisher(FEATURES[m]) for m in self.modalities}
        self._make_topics()
        self._sessions = self._listen(SESSION_STATUS, self._on_status)
        self._load()
        return TransitionCallbackReturn.SUCCESS

    @accounted(SourceError)
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the source and begin to publish."""
        super().on_activate(state)
        self._load()
        if self._extraction is not None:
            self._extraction.start(self._start_ns())
        self.get_logger().info(f"{self.sensor}: {self.spec.scheme}")  # the rest may be a name, or a password
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the source."""
        self._end()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the topics; the next configuration makes them anew."""
        self._end()
        for publisher in self._topics.values():
            self.destroy_lifecycle_publisher(publisher)
        self.destroy_subscription(self._sessions)
        self._forget_topics()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the source."""
        self._end()
        return TransitionCallbackReturn.SUCCESS

    def _make_topics(self) -> None:
        """What else is published, besides the features."""

    def _forget_topics(self) -> None:
        """The opposite."""

    @abstractmethod
    def _make_extraction(self, spec: Spec) -> Extraction:
        """From the source to feature frames; nothing is loaded or opened yet."""

    def now_ns(self) -> int:
        """The node's clock."""
        nanoseconds: int = self.get_clock().now().nanoseconds
        return nanoseconds

    def publish_frame(self, frame: FeatureFrame) -> None:
        """Send a feature frame out; called from the extraction's thread."""
        send(self._topics[frame.modality], frame_to_message(frame, self.sensor.value))
        self._rates[frame.modality].tick()

    def _on_status(self, message: SessionStatus) -> None:
        """The session of another participant: what is somebody's own is learnt anew."""
        if message.recording and message.participant != self._participant:
            self._participant = message.participant
            if self._extraction is not None:
                self._extraction.expect_somebody_else()

    def _publisher(self, topic: Topic) -> Any:
        return self.create_lifecycle_publisher(topic.type, topic.name, topic.qos)

    def _listen(self, topic: Topic, hear: Callable[[Any], None]) -> Any:
        return self.create_subscription(topic.type, topic.name, hear, topic.qos)

    def _start_ns(self) -> int:
        """Recordings begin on the grid of steps, so that every run cuts them alike."""
        given = self.get_parameter("recording_start_ns").value
        return given or (self.now_ns() // STEP_NS + 1) * STEP_NS

    def _load(self) -> None:
        """What is slow to load, if it is not there: a source that was closed is not opened again."""
        if self._extraction is None and self.spec.scheme != "none":
            self._extraction = self._make_extraction(self.spec)
            self._extraction.prepare()

    def _end(self) -> None:
        if self._extraction is not None:
            self._extraction.stop()
            self._extraction = None

    def _state(self) -> object:
        status = self._extraction.status if self._extraction is not None else None
        return status and (status.state, status.message)

    def _reports(self) -> Iterable[Report]:
        if self._extraction is not None:
            rates = {modality.value: meter.read() for modality, meter in self._rates.items()}
            status = self._extraction.status
            troubles = self._unreadable.update({UNREADABLE: status.malformed})
            yield source_report(self.sensor.value, status, rates, troubles)
