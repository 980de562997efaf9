"""What a person or a launch file writes as a SPEC: understood, or refused with one sentence."""

from __future__ import annotations

from hypothesis import example
from hypothesis import strategies as st

from mmal_ros.sensors.source import SourceError
from mmal_ros.sensors.specs import SCHEMES, Sensor, SpecError, parse_spec, recorded_source
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_text, odd_words

VALID = [
    "device:0", "device:default", "file:session.mp4", "http://host:8080/x", "rtsp://host/x", "topic:/camera/image_raw",
    "synthetic:7/2", "synthetic:unlike-3/1", "none", "ble:Empatica E4", "server:127.0.0.1:28000/9ff167",
    "heart-rate:AA:BB:CC:DD:EE:FF", "folder:recordings/P017.zip",
]  # fmt: skip
WORDS = st.one_of(
    damaged_text(VALID).map(lambda text: text.decode(errors="surrogateescape")),
    st.tuples(st.sampled_from(sorted({scheme for of in SCHEMES.values() for scheme in of})), odd_words()).map(":".join),
    odd_words(),
)


@fuzz(st.sampled_from(Sensor), WORDS)
@example(Sensor.WRISTBAND, "server:127.0.0.1:" + "9" * 5000 + "/9ff167")  # more digits than Python reads
@example(Sensor.CAMERA, "synthetic:" + "9" * 5000)
@example(Sensor.WRISTBAND, "folder:~nobody-here/x")  # nobody's home
@example(Sensor.MICROPHONE, "file:\0")
@example(Sensor.CAMERA, "file:" + "9" * 400)  # longer than any file may be called
def test_a_spec_is_understood_or_refused(sensor, text):
    try:
        spec = parse_spec(sensor, text)
        if spec.scheme in ("file", "folder"):
            recorded_source(spec, 0).open()
    except (SpecError, SourceError) as error:
        assert str(error)
    else:
        assert parse_spec(sensor, str(spec)) == spec
