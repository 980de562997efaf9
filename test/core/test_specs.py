"""SPECs: what a person may write, and what they are told when they mistype."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmal_ros.sensors.simulated import simulated_session
from mmal_ros.sensors.source import Paced, SourceError
from mmal_ros.sensors.specs import (
    SCHEMES,
    Sensor,
    Spec,
    SpecError,
    live_source,
    parse_spec,
    recorded_source,
    server_address,
)

CAMERA, MICROPHONE, WRISTBAND = Sensor


@pytest.mark.parametrize(
    ("sensor", "text", "scheme", "target"),
    [
        (CAMERA, "device:0", "device", "0"),
        (CAMERA, "file:a folder/video:1.mp4", "file", "a folder/video:1.mp4"),
        (CAMERA, "http://192.168.1.7:8080/stream?a=b", "http", "http://192.168.1.7:8080/stream?a=b"),
        (CAMERA, "https://camera/", "https", "https://camera/"),
        (CAMERA, "rtsp://user:secret@camera/1", "rtsp", "rtsp://user:secret@camera/1"),
        (CAMERA, "topic:/camera/front/image_raw", "topic", "/camera/front/image_raw"),
        (CAMERA, " synthetic ", "synthetic", ""),
        (CAMERA, "synthetic:42", "synthetic", "42"),
        (CAMERA, "synthetic:42/2", "synthetic", "42/2"),
        (CAMERA, "synthetic:unlike-42/2", "synthetic", "unlike-42/2"),
        (CAMERA, "none", "none", ""),
        (MICROPHONE, "device:default", "device", "default"),
        (MICROPHONE, "device:USB Audio: hw:1,0", "device", "USB Audio: hw:1,0"),
        (MICROPHONE, "topic:/audio", "topic", "/audio"),
        (WRISTBAND, "ble:Empatica E4", "ble", "Empatica E4"),
        (WRISTBAND, "ble:F0:0D:00:11:22:33", "ble", "F0:0D:00:11:22:33"),
        (WRISTBAND, "server:127.0.0.1:28000/9ff167", "server", "127.0.0.1:28000/9ff167"),
        (WRISTBAND, "heart-rate:Polar H10", "heart-rate", "Polar H10"),
        (WRISTBAND, "folder:recordings/S05.tar.gz", "folder", "recordings/S05.tar.gz"),
    ],
)
def test_a_right_spec_is_understood(sensor: Sensor, text: str, scheme: str, target: str) -> None:
    spec = parse_spec(sensor, text)
    assert spec == Spec(sensor, scheme, target)
    assert parse_spec(sensor, str(spec)) == spec, "what is shown can be typed"


@pytest.mark.parametrize(
    ("sensor", "text", "words"),
    [
        (CAMERA, "devise:0", ["camera 'devise:0' is not known", "did you mean device:0 (a local camera)?"]),
        (CAMERA, "File:video.mp4", ["did you mean file:PATH"]),
        (CAMERA, "video.mp4", ["is not known", "possible: device:0", "file:PATH (a video)", "none"]),
        (CAMERA, "", ["camera '' is not known", "possible"]),
        (CAMERA, "ble:E4", ["is not known", "possible"]),
        (CAMERA, "file:", ["names nothing after 'file:'", "write file:PATH"]),
        (CAMERA, "device:front", ["named by its number", "device:0"]),
        (CAMERA, "device:²", ["named by its number"]),
        (CAMERA, "device:-1", ["named by its number"]),
        (CAMERA, "topic:image_raw", ["named in full", "topic:/image_raw"]),
        (CAMERA, "topic:/image raw", ["is no topic", "topic:/"]),
        (MICROPHONE, "topic:/audio/", ["is no topic", "topic:/"]),
        (CAMERA, "http:camera", ["http://HOST/PATH"]),
        (CAMERA, "http://", ["http://HOST/PATH"]),
        (CAMERA, "rtsp:///1", ["rtsp://HOST/PATH"]),
        (CAMERA, "synthetic:child", ["seed must be a whole number"]),
        (CAMERA, "synthetic:²", ["seed must be a whole number"]),
        (CAMERA, "synthetic:7/0", ["a session after it 1 or more"]),
        (CAMERA, "synthetic:7/", ["a session after it 1 or more"]),
        (CAMERA, "none:0", ["nothing comes after none"]),
        (MICROPHONE, "devic:default", ["did you mean device:default"]),
        (WRISTBAND, "heartrate:H10", ["did you mean heart-rate:NAME-or-ADDRESS"]),
        (WRISTBAND, "server:127.0.0.1/9ff167", ["write server:HOST:PORT/DEVICE", "28000"]),
        (WRISTBAND, "server:127.0.0.1:28000", ["write server:HOST:PORT/DEVICE"]),
        (WRISTBAND, "server:127.0.0.1:99999/9ff167", ["write server:HOST:PORT/DEVICE"]),
        (WRISTBAND, "server:host:²/9ff167", ["write server:HOST:PORT/DEVICE"]),
        (WRISTBAND, "folder:", ["write folder:PATH"]),
    ],
)
def test_a_wrong_spec_is_told_what_would_be_right(sensor: Sensor, text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as error:
        parse_spec(sensor, text)
    for part in words:
        assert part in str(error.value)


@pytest.mark.parametrize("sensor", Sensor)
def test_every_example_in_the_help_is_a_right_spec(sensor: Sensor) -> None:
    stand_ins = {"HOST:PORT/DEVICE": "localhost:28000/a1", "PATH": "x", "HOST": "camera", "SEED": "1"}
    for scheme, example in SCHEMES[sensor].items():
        for written in example.partition(" (")[0].split(" or "):
            text = written
            for name, value in stand_ins.items():
                text = text.replace(name, value)
            assert parse_spec(sensor, text).scheme == scheme


ALL_SCHEMES = sorted({scheme for schemes in SCHEMES.values() for scheme in schemes})


@given(st.sampled_from(Sensor), st.sampled_from([None, *ALL_SCHEMES]), st.text())
def test_whatever_is_typed_is_a_spec_or_an_error_that_helps(sensor: Sensor, scheme: str | None, rest: str) -> None:
    text = rest if scheme is None else f"{scheme}:{rest}"
    try:
        spec = parse_spec(sensor, text)
    except SpecError:
        return
    assert parse_spec(sensor, str(spec)) == spec
    if spec.scheme == "synthetic":
        assert int(spec.target or 0) >= 0
    if spec.scheme == "server":
        assert server_address(spec)[1] > 0


def test_what_was_recorded_can_run_fast_and_what_is_live_cannot() -> None:
    for sensor, schemes in SCHEMES.items():
        recorded = {scheme for scheme in schemes if Spec(sensor, scheme, "x").recorded}
        assert recorded == {"file", "folder", "synthetic"} & set(schemes)
    with pytest.raises(SourceError, match="device:0' is live; only file:, folder: and synthetic can be fast"):
        recorded_source(parse_spec(CAMERA, "device:0"), 0)


def test_a_recording_is_played_in_real_time_unless_asked_to_be_fast(tmp_path: Path) -> None:
    spec = parse_spec(WRISTBAND, f"folder:{tmp_path}")
    assert isinstance(live_source(spec, lambda: 0), Paced)
    assert not isinstance(recorded_source(spec, 0), Paced)


def test_a_topic_is_a_nodes_business() -> None:
    with pytest.raises(SourceError, match="topic:/audio' works only inside a node"):
        live_source(parse_spec(MICROPHONE, "topic:/audio"), lambda: 0)


WITHOUT_LIBRARIES = """
import sys
from mmal_ros.sensors.source import SourceError
from mmal_ros.sensors.specs import Sensor, live_source, parse_spec

class Without:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"bleak", "cv2", "pyaudio"}:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Without())
for sensor, text in ((Sensor.WRISTBAND, "ble:E4"), (Sensor.CAMERA, "device:0"), (Sensor.MICROPHONE, "device:default")):
    try:
        live_source(parse_spec(sensor, text), lambda: 0)
    except SourceError as error:
        print(error)
"""


def test_a_library_that_is_not_installed_is_named_with_what_to_do() -> None:
    """Python's own import machinery is told that they are not there, in a process of its own."""
    lines = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARIES], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(lines) == 3
    for line, library in zip(lines, ("bleak", "opencv|cv2", "pyaudio"), strict=True):
        assert re.search(library, line, re.IGNORECASE)
        assert re.search("pip install|mmal doctor", line)


def test_a_simulated_person_is_herself_in_every_session_but_lives_through_something_else() -> None:
    (who, first), (same, second) = simulated_session(7), simulated_session(7, 2)
    assert simulated_session(7, 2, unlike=True)[1].segments == second.segments
    assert simulated_session(7, unlike=True)[0] != who
    assert who == same
    assert first.segments != second.segments
    assert simulated_session(7, 2)[1].segments == second.segments
