"""Recordings in place of a microphone: sound files, sound tracks of videos, and files that are neither."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from mmal_ros.datatypes import Sample
from mmal_ros.sensors.audio_file import AudioFile
from mmal_ros.sensors.resample import ChannelMixdown
from mmal_ros.sensors.source import SourceError, SourceState

START_NS = 1_763_000_000_000_000_000


def samples_of(path: Path) -> list[Sample]:
    with AudioFile(path, START_NS) as source:
        return list(source)


def tone(rate_hz: int, seconds: float) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate_hz * seconds)) / rate_hz)


def test_the_sound_track_of_a_talking_head(shared_data: Path) -> None:
    samples = samples_of(shared_data / "grid-av-clips" / "bbaf2n.mpg")
    assert samples[0].stamp_ns == START_NS
    assert {(sample.source, sample.rate_hz, len(sample.values)) for sample in samples[:-1]} == {
        ("microphone", 16_000, 320)
    }
    assert all(after.stamp_ns - before.stamp_ns == 20_000_000 for before, after in pairwise(samples))
    assert (samples[-1].end_ns - START_NS) / 1e9 == pytest.approx(2.978, abs=0.001)
    sound = np.concatenate([sample.values for sample in samples])
    assert sound.dtype == np.float32
    assert 0.9 < np.abs(sound).max() <= 1


def test_sound_that_begins_later_than_the_picture_keeps_its_place(shared_data: Path) -> None:
    samples = samples_of(shared_data / "pyfeat-testdata" / "face_noface.mov")
    assert (samples[0].stamp_ns - START_NS) / 1e9 == pytest.approx(2.43, abs=0.001)


def test_stereo_of_44100_hz_becomes_mono_of_16000_hz(tmp_path: Path) -> None:
    left = tone(44_100, 1)
    soundfile.write(tmp_path / "tone.flac", np.stack([left, left / 3], axis=1), 44_100)
    sound = np.concatenate([sample.values for sample in samples_of(tmp_path / "tone.flac")])
    assert len(sound) == pytest.approx(16_000, abs=1)
    np.testing.assert_allclose(sound[100:-100], tone(16_000, 1)[100 : len(sound) - 100] * 2 / 3, atol=1e-3)


def test_a_recording_that_was_interrupted_shows_the_gap_in_its_stamps(tmp_path: Path) -> None:
    path = tmp_path / "interrupted.mka"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for i in range(10):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 1000 + i, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 1600 * i + (8000 if i >= 5 else 0)
            container.mux(track.encode(frame))
    samples = samples_of(path)
    gaps = [after.stamp_ns - before.end_ns for before, after in pairwise(samples)]
    assert [gap for gap in gaps if gap > 1_000_000] == [pytest.approx(500_062_500, abs=2_000_000)]
    assert sum(len(sample.values) for sample in samples) == 16_000


def test_a_damaged_recording_is_played_as_far_as_it_goes(shared_data: Path, tmp_path: Path) -> None:
    data = bytearray((shared_data / "grid-av-clips" / "bbaf2n.mpg").read_bytes())
    data[200_000:260_000] = np.random.default_rng(0).bytes(60_000)
    (tmp_path / "damaged.mpg").write_bytes(data)
    with AudioFile(tmp_path / "damaged.mpg", START_NS) as source:
        samples = list(source)
        assert "damaged" in source.status.message
        assert source.status.dropped > 0
        assert source.status.state is SourceState.ENDED
    assert 100 < len(samples) < 149
    ends = [sample.end_ns for sample in samples]
    assert ends == sorted(ends)


def test_closing_ends_the_iteration(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(16_000, 10), 16_000)
    with AudioFile(tmp_path / "tone.wav", START_NS) as source:
        sound = iter(source)
        next(sound)
        source.close()
        assert list(sound) == []


def test_a_file_that_is_no_recording_is_refused_with_what_it_is(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    table = shared_data / "pyfeat-testdata" / "OpenFace_Test.csv"
    for path, expected in {
        tmp_path / "nothing.wav": "there is no file",
        tmp_path: "there is no file",
        tmp_path / "empty.wav": "(0 bytes)",
        table: "no sound or video",
        shared_data / "pyfeat-testdata" / "single_face.jpg": "no sound track, only video",
    }.items():
        with pytest.raises(SourceError) as error:
            AudioFile(path, START_NS).open()
        assert expected in str(error.value)
        assert str(path) in str(error.value)


def test_nao_sends_four_channels_in_blocks_and_no_seam_is_heard() -> None:
    voice = tone(48_000, 1) * 32768
    channels = np.stack([voice, voice, voice / 2, voice / 2], axis=1).astype(np.int16).ravel()
    mixdown, sound, begin = ChannelMixdown(), [], 0
    for frames in (8160, 8160, 1, 7, 333, 0, 8160, 8160, 8160, 8160):
        sound.append(mixdown.process(channels[4 * begin : 4 * (begin + frames)]))
        begin += frames
    mono = np.concatenate(sound)
    assert mono.dtype == np.float32
    assert 0 <= 16_000 - len(mono) < 400  # 1 s less what was not given and what the filter holds back
    np.testing.assert_allclose(mono[100:], tone(16_000, 1)[100 : len(mono)] * 0.75, atol=1e-3)


def test_nao_sends_another_number_of_channels_than_expected() -> None:
    with pytest.raises(ValueError, match="4 interleaved channels"):
        ChannelMixdown().process(np.zeros(8161, np.int16))
