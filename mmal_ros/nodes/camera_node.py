"""camera_node: a camera, a video, a robot's pictures or a simulated person become FACE and BODY features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mmal_ros.datatypes import Modality
from mmal_ros.extraction import Extraction
from mmal_ros.nodes.conversions import to_time
from mmal_ros.nodes.images import ImageError, image_to_sample
from mmal_ros.nodes.parameters import parameter
from mmal_ros.nodes.sending import send
from mmal_ros.nodes.sensor_node import SensorNode, SensorParameters
from mmal_ros.nodes.topics import IMAGE, camera_topic
from mmal_ros.nodes.transitions import accounted
from mmal_ros.sensors.source import SourceError
from mmal_ros.sensors.specs import Sensor, Spec
from mmal_ros.session.records import Privacy
from mmal_ros.vision_child import VisionSettings
from mmal_ros.vision_process import VisionProcess


@dataclass(frozen=True)
class CameraParameters(SensorParameters):
    """What camera_node can be told."""

    source: str = parameter("device:0", "SPEC of the camera: device, file, http, rtsp, topic, synthetic or none")
    pose_every: int = parameter(
        2, "look for the pose in every n-th picture, and at least every 0.3 s", unit="pictures", minimum=1, maximum=30
    )
    privacy: str = parameter("features_only", "features_only: publish no pictures", choices=tuple(Privacy))
    image_rate_hz: float = parameter(15.0, "pictures published, if any", unit="Hz", minimum=0.1, maximum=60.0)
    jpeg_quality: int = parameter(80, "of the pictures published", unit="percent", minimum=10, maximum=100)


class CameraNode(SensorNode):
    """FACE and BODY from pictures; the vision runs in a process of its own."""

    sensor = Sensor.CAMERA
    modalities = (Modality.FACE, Modality.BODY)
    parameter_class = CameraParameters

    def __init__(self, name: str = "camera_node", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._images: Any = None
        self._robot_images: Any = None

    @accounted()
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin; a robot's pictures are listened to from now on."""
        done = super().on_activate(state)
        if done is TransitionCallbackReturn.SUCCESS and self.spec.scheme == "topic":
            self._robot_images = self._listen(camera_topic(self.spec.target), self._on_robot_image)
        return done

    def _make_topics(self) -> None:
        if cast(CameraParameters, self.settings).privacy != Privacy.FEATURES_ONLY:
            self._images = self._publisher(IMAGE)

    def _forget_topics(self) -> None:
        if self._images is not None:
            self.destroy_lifecycle_publisher(self._images)
            self._images = None

    def _make_extraction(self, spec: Spec) -> Extraction:
        if spec.scheme != "topic" and self.get_parameter("use_sim_time").value:
            raise SourceError(
                f"pictures of '{spec.scheme}' have the stamps of this computer's clock: set use_sim_time to false, or "
                "name a topic, whose pictures bring their own"
            )
        settings = cast(CameraParameters, self.settings)
        image_rate_hz = settings.image_rate_hz if self._images is not None else 0.0
        return VisionProcess(
            VisionSettings(spec, settings.pose_every, image_rate_hz, settings.jpeg_quality),
            self.publish_frame,
            self._publish_image,
        )

    def _end(self) -> None:
        if self._robot_images is not None:
            self.destroy_subscription(self._robot_images)
            self._robot_images = None
        super()._end()

    def _on_robot_image(self, message: Image) -> None:
        try:
            cast(VisionProcess, self._extraction).feed(image_to_sample(message))
        except ImageError as error:
            self.get_logger().error(f"{self.spec}: {error}", throttle_duration_sec=10.0)

    def _publish_image(self, stamp_ns: int, jpeg: bytes) -> None:
        header = Header(stamp=to_time(stamp_ns), frame_id=self.sensor.value)
        send(self._images, CompressedImage(header=header, format="jpeg", data=jpeg))
