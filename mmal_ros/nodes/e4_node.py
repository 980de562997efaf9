"""e4_node: a wristband, a chest strap, an E4 export or a simulated wearer become A-PHYS features and raw signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmal_ros.datatypes import Modality, Sample
from mmal_ros.extraction import Extraction, ThreadExtraction
from mmal_ros.nodes.conversions import sample_to_message
from mmal_ros.nodes.parameters import parameter
from mmal_ros.nodes.sending import send
from mmal_ros.nodes.sensor_node import SensorNode, SensorParameters
from mmal_ros.nodes.topics import SIGNALS
from mmal_ros.sensors.specs import Sensor, Spec, live_source


@dataclass(frozen=True)
class E4Parameters(SensorParameters):
    """What e4_node can be told."""

    source: str = parameter(
        "ble:Empatica E4", "SPEC of the wristband: ble, server, heart-rate, folder, synthetic or none"
    )


class E4Node(SensorNode):
    """A-PHYS from a wristband; its raw signals pass through."""

    sensor = Sensor.WRISTBAND
    modalities = (Modality.PHYSIOLOGY,)
    parameter_class = E4Parameters

    def __init__(self, name: str = "e4_node", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._signals: dict[str, Any] = {}

    def _make_topics(self) -> None:
        self._signals = {name: self._publisher(topic) for name, topic in SIGNALS.items()}

    def _forget_topics(self) -> None:
        for publisher in self._signals.values():
            self.destroy_lifecycle_publisher(publisher)
        self._signals = {}

    def _make_extraction(self, spec: Spec) -> Extraction:
        from mmal_ros.features.physiology import PhysiologyExtractor  # SciPy takes a second: DDS finds others meanwhile

        source = live_source(spec, self.now_ns)
        return ThreadExtraction(source, PhysiologyExtractor(), self.publish_frame, self._publish_signal)

    def _publish_signal(self, sample: Sample) -> None:
        send(self._signals[sample.source], sample_to_message(sample, self.sensor.value))
