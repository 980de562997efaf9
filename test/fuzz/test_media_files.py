"""Sound and video files in place of a microphone and a camera: played as far as they go, or one `SourceError`."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from mmal_ros.datatypes import Sample
from mmal_ros.sensors.source import SourceError
from mmal_ros.sensors.specs import Sensor, Spec, recorded_source
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_bytes
from rigs.session_clip import write_clip

START_NS = 1_700_000_000_000_000_000
RATE_HZ = 8_000
SECONDS = 0.2


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """As any program records it: WAV, stereo."""
    return _write_sound(tmp_path_factory.mktemp("recorded") / "sound.wav").read_bytes()


def _write_sound(path: Path, channels: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).bytes(2 * channels * round(SECONDS * RATE_HZ)))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """MP4, with a picture and a sound track."""
    path = tmp_path_factory.mktemp("recorded") / "film.mp4"
    write_clip(path, SECONDS)
    return path.read_bytes()


def _play(sensor: Sensor, path: Path) -> int:
    """Whatever comes out is a sample, in order, and none of them is kept; how many there were."""
    count, last_ns = 0, START_NS
    try:
        with recorded_source(Spec(sensor, "file", str(path)), START_NS) as source:
            for sample in source:
                assert sample.end_ns >= last_ns
                _check(sample)
                count, last_ns = count + 1, sample.end_ns
    except SourceError as error:
        assert str(error)
    return count


def _check(sample: Sample) -> None:
    if sample.source == "camera":
        assert sample.values.dtype == np.uint8
        assert sample.values.ndim == 3
    else:
        assert sample.values.dtype == np.float32
        assert (np.abs(sample.values) <= 1).all()


@fuzz(st.data())
def test_a_damaged_sound_file(tmp_path, sound, data):
    path = tmp_path / "sound.wav"
    path.write_bytes(data.draw(damaged_bytes(sound)))
    _play(Sensor.MICROPHONE, path)


@fuzz(st.data())
def test_the_sound_of_a_damaged_film(tmp_path, film, data):
    path = tmp_path / "film.mp4"
    path.write_bytes(data.draw(damaged_bytes(film)))
    _play(Sensor.MICROPHONE, path)


@fuzz(st.data())
def test_the_pictures_of_a_damaged_film(tmp_path, film, data):
    path = tmp_path / "film.mp4"
    path.write_bytes(data.draw(damaged_bytes(film)))
    _play(Sensor.CAMERA, path)


def test_what_is_not_damaged_is_played(tmp_path, sound, film):
    (tmp_path / "sound.wav").write_bytes(sound)
    (tmp_path / "film.mp4").write_bytes(film)
    assert _play(Sensor.MICROPHONE, tmp_path / "sound.wav") == 20
    assert _play(Sensor.MICROPHONE, tmp_path / "film.mp4") >= 20
    assert _play(Sensor.CAMERA, tmp_path / "film.mp4") == 2


@pytest.mark.parametrize("channels", [8, 16, 64])
def test_the_channels_of_an_array_of_microphones_are_mixed(tmp_path, channels):
    assert _play(Sensor.MICROPHONE, _write_sound(tmp_path / "sound.wav", channels)) == 20


def test_more_channels_than_can_be_mixed_are_no_sound(tmp_path):
    assert _play(Sensor.MICROPHONE, _write_sound(tmp_path / "sound.wav", 300)) == 0


def test_a_title_in_another_encoding_is_nobodys_concern(tmp_path, sound):
    title = b"INFOINAM" + struct.pack("<I", 5) + b"Caf\xe9\0\0"
    whole = sound[8:] + b"LIST" + struct.pack("<I", len(title)) + title
    (tmp_path / "sound.wav").write_bytes(b"RIFF" + struct.pack("<I", len(whole)) + whole)
    assert _play(Sensor.MICROPHONE, tmp_path / "sound.wav") == 20


def test_a_rate_that_nobody_records_is_refused_at_once(tmp_path, sound):
    (tmp_path / "sound.wav").write_bytes(sound[:24] + struct.pack("<I", 962_933_056) + sound[28:])
    with pytest.raises(SourceError, match="values a second"):
        recorded_source(Spec(Sensor.MICROPHONE, "file", str(tmp_path / "sound.wav")), START_NS).open()


def test_a_sound_track_that_nobody_can_decode_is_refused(tmp_path, sound):
    (tmp_path / "sound.wav").write_bytes(sound[:20] + b"\xfe\xfa" + sound[22:])  # where the codec is named
    with pytest.raises(SourceError, match="no sound track"):
        recorded_source(Spec(Sensor.MICROPHONE, "file", str(tmp_path / "sound.wav")), START_NS).open()
