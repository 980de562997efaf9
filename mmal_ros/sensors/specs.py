"""SPECs: how a person names a source in one word, `device:0` or `folder:recordings/P017`.

The heavy libraries of a source are imported only when that source is asked for.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mmal_ros.sensors.simulated import simulated_session, simulated_target
from mmal_ros.sensors.source import Clock, Paced, Source, SourceError
from mmal_ros.wording import why


class Sensor(StrEnum):
    """The three sensors."""

    CAMERA = "camera"
    MICROPHONE = "microphone"
    WRISTBAND = "wristband"


SCHEMES: Mapping[Sensor, Mapping[str, str]] = {
    Sensor.CAMERA: {
        "device": "device:0 (a local camera)",
        "file": "file:PATH (a video)",
        "http": "http://HOST/PATH (MJPEG)",
        "https": "https://HOST/PATH (MJPEG)",
        "rtsp": "rtsp://HOST/PATH",
        "topic": "topic:/camera/front/image_raw (sensor_msgs/Image, NAO)",
        "synthetic": "synthetic or synthetic:SEED or synthetic:SEED/2 (a simulated person; her second session)",
        "none": "none",
    },
    Sensor.MICROPHONE: {
        "device": "device:default or device:NAME-or-INDEX",
        "file": "file:PATH (a sound file, or the sound of a video)",
        "topic": "topic:/audio (naoqi_bridge_msgs/AudioBuffer, NAO)",
        "synthetic": "synthetic or synthetic:SEED or synthetic:SEED/2",
        "none": "none",
    },
    Sensor.WRISTBAND: {
        "ble": "ble:NAME-or-ADDRESS (Empatica E4 over Bluetooth, experimental)",
        "server": "server:HOST:PORT/DEVICE (E4 streaming server)",
        "heart-rate": "heart-rate:NAME-or-ADDRESS (any strap with the standard Heart Rate Service)",
        "folder": "folder:PATH (an E4 export: a folder, .zip or .tar.gz)",
        "synthetic": "synthetic or synthetic:SEED or synthetic:SEED/2",
        "none": "none",
    },
}
"""What can be asked for, with an example each."""
WITHOUT_TARGET = ("none", "synthetic")
URL_SCHEMES = ("http", "https", "rtsp")
"""Their target is the whole SPEC."""
SOUND_BLOCK_MS = 10
"""An estimate waits for the block after its end: short blocks, short delay; half as long costs twice the calls."""
BACKLOG = {Sensor.CAMERA: 3, Sensor.MICROPHONE: 100, Sensor.WRISTBAND: 200}
"""Samples of a recording that may wait: 0.1 s of pictures, 1 s of sound, some seconds of a wristband."""
LONGEST_PORT = 5
"""Digits."""
RECORDED = ("file", "folder", "synthetic")
"""Schemes whose sources play something made before: they can run faster than real time."""


class SpecError(ValueError):
    """A SPEC that cannot be understood; the message lists what can."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a SPEC means; `target` is what stands after the scheme."""

    sensor: Sensor
    scheme: str
    target: str

    @property
    def recorded(self) -> bool:
        """Whether it can run faster than real time."""
        return self.scheme in RECORDED

    def __str__(self) -> str:
        if self.scheme in URL_SCHEMES:
            return self.target
        return f"{self.scheme}:{self.target}" if self.target else self.scheme


TOPIC_NAME = re.compile(r"(/[A-Za-z_]\w*)+", re.ASCII)
"""Full names that ROS 2 takes (design.ros2.org, topic and service names)."""


def parse_spec(sensor: Sensor, text: str) -> Spec:
    """Understand a SPEC; raises SpecError."""
    schemes = SCHEMES[sensor]
    scheme, _, target = text.strip().partition(":")
    if scheme not in schemes:
        close = difflib.get_close_matches(scheme, schemes, n=1)
        hint = f"did you mean {schemes[close[0]]}? " if close else ""
        raise SpecError(f"{sensor} '{text}' is not known; {hint}possible: {'; '.join(schemes.values())}")
    if not target and scheme not in WITHOUT_TARGET:
        raise SpecError(f"{sensor} '{text}' names nothing after '{scheme}:'; write {schemes[scheme]}")
    if scheme in URL_SCHEMES:
        target = text.strip()
    spec = Spec(sensor, scheme, target)
    _check_target(spec)
    return spec


def _check_target(spec: Spec) -> None:
    if spec.scheme == "none" and spec.target:
        raise SpecError(f"{spec.sensor} '{spec}': nothing comes after none")
    if spec.scheme in URL_SCHEMES and not re.match(r"\w+://[^/]", spec.target):
        raise SpecError(f"{spec.sensor} '{spec}' names no host; write {SCHEMES[spec.sensor][spec.scheme]}")
    if spec.scheme == "synthetic":
        _check_simulated(spec)
    if spec.sensor is Sensor.CAMERA and spec.scheme == "device" and not spec.target.isdecimal():
        raise SpecError(f"camera '{spec}': a camera is named by its number, for example device:0")
    if spec.scheme == "server":
        server_address(spec)
    if spec.scheme == "topic" and not spec.target.startswith("/"):
        raise SpecError(f"{spec.sensor} '{spec}': a topic is named in full, for example topic:/{spec.target}")
    if spec.scheme == "topic" and not TOPIC_NAME.fullmatch(spec.target):
        raise SpecError(
            f"{spec.sensor} '{spec}' is no topic: words of letters, digits and '_' after a '/' each, as in "
            f"{SCHEMES[spec.sensor][spec.scheme]}"
        )


def _check_simulated(spec: Spec) -> None:
    try:
        simulated_target(spec.target)
    except ValueError as error:
        raise SpecError(f"{spec.sensor} '{spec}': {error}") from error


def server_address(spec: Spec) -> tuple[str, int, str]:
    """Host, port and device of `server:HOST:PORT/DEVICE`; raises SpecError."""
    address, slash, device = spec.target.partition("/")
    host, colon, port = address.rpartition(":")
    is_port = port.isdecimal() and len(port) <= LONGEST_PORT and 0 < int(port) < 65536
    if not (slash and colon and host and device and is_port):
        raise SpecError(f"wristband '{spec}': write server:HOST:PORT/DEVICE, for example server:127.0.0.1:28000/9ff167")
    return host, int(port), device


def live_source(spec: Spec, clock: Clock) -> Source:
    """The source that a SPEC means, not yet opened; a recording is `Paced` by `clock`.

    Raises:
        SourceError: it can never work (a missing library, say), or only a node can make it (`topic`, `none`).
    """
    if spec.recorded:
        return Paced(recorded_source(spec, 0), clock, BACKLOG[spec.sensor])
    makers = {
        "ble": _bluetooth_e4,
        "server": _streaming_server,
        "heart-rate": _heart_rate_strap,
        "device": _camera if spec.sensor is Sensor.CAMERA else _microphone,
        **dict.fromkeys(URL_SCHEMES, _camera),
    }
    if spec.scheme not in makers:
        raise SourceError(f"{spec.sensor} '{spec}' works only inside a node")
    with _missing_library(spec):
        return makers[spec.scheme](spec, clock)


def recorded_source(spec: Spec, start_ns: int) -> Source:
    """The recording that a SPEC means, not yet opened, beginning at `start_ns`; raises SourceError."""
    if not spec.recorded:
        raise SourceError(f"{spec.sensor} '{spec}' is live; only file:, folder: and synthetic can be fast")
    with _missing_library(spec):
        if spec.scheme == "synthetic":
            return _synthetic(spec, start_ns)
        return _file(spec, start_ns)


@contextmanager
def _missing_library(spec: Spec) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise SourceError(f"{spec.sensor} '{spec}' needs the package '{error.name}'; try: mmal doctor") from error


def _file(spec: Spec, start_ns: int) -> Source:
    path = _path(spec)
    if spec.sensor is Sensor.CAMERA:
        from mmal_ros.sensors.video_file import VideoFile

        return VideoFile(path, start_ns)
    if spec.sensor is Sensor.MICROPHONE:
        from mmal_ros.sensors.audio_file import AudioFile

        return AudioFile(path, start_ns, block_ms=SOUND_BLOCK_MS)
    from mmal_ros.sensors.e4_folder import E4Folder

    return E4Folder(path, start_ns)


def _path(spec: Spec) -> Path:
    if not spec.target.isprintable():
        raise SourceError(f"{spec.sensor} {str(spec)!r}: no file is called so")
    try:
        path = Path(spec.target).expanduser()
        if path.is_file():
            with path.open("rb") as file:
                file.read(1)  # FFmpeg would take a failing disk for a file of another kind
    except OSError as error:
        raise SourceError(f"{spec.sensor} '{spec.target[:80]}' cannot be read: {why(error)}") from error
    except RuntimeError as error:
        raise SourceError(f"{spec.sensor} '{spec}': nobody here has such a home; write the path in full") from error
    return path


def _synthetic(spec: Spec, start_ns: int) -> Source:
    from mmal_ros.sensors.synthetic import SyntheticCamera, SyntheticMicrophone, SyntheticWristband

    who = simulated_session(*simulated_target(spec.target))
    if spec.sensor is Sensor.CAMERA:
        return SyntheticCamera(*who, start_ns)
    if spec.sensor is Sensor.MICROPHONE:
        return SyntheticMicrophone(*who, start_ns, block_ms=SOUND_BLOCK_MS)
    return SyntheticWristband(*who, start_ns)


def _camera(spec: Spec, clock: Clock) -> Source:
    from mmal_ros.sensors.camera import Camera

    return Camera(spec.target, clock)


def _microphone(spec: Spec, clock: Clock) -> Source:
    from mmal_ros.sensors.microphone import Microphone

    return Microphone(spec.target, clock, block_ms=SOUND_BLOCK_MS)


def _bluetooth_e4(spec: Spec, clock: Clock) -> Source:
    from mmal_ros.sensors.e4_ble import E4Bluetooth

    return E4Bluetooth(spec.target, clock)


def _streaming_server(spec: Spec, clock: Clock) -> Source:
    from mmal_ros.sensors.e4_server import E4StreamingServer

    return E4StreamingServer(*server_address(spec), clock)


def _heart_rate_strap(spec: Spec, clock: Clock) -> Source:
    from mmal_ros.sensors.heart_rate_strap import HeartRateStrap

    return HeartRateStrap(spec.target, clock)
