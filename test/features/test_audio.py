"""Audio features of a talking head: openSMILE as a stream, and the plain set; the same live and offline."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import opensmile
import psutil
import pytest
from numpy.typing import NDArray

from mmal_ros.datatypes import STEP_NS, FeatureFrame, FloatArray, Modality, Sample
from mmal_ros.features.audio import EXTRACTORS, audio_extractor
from mmal_ros.features.audio_opensmile import OpenSmileStream
from mmal_ros.features.audio_steps import MUTED_AFTER_HOPS
from mmal_ros.features.names import AUDIO_OPENSMILE, AUDIO_SPECTRAL
from mmal_ros.sensors.audio_file import AudioFile
from mmal_ros.sensors.source import Paced
from rigs.stalled_thread import stalled

START_NS = 1_763_000_000_037_000_000
"""Not on the grid of 100 ms."""
VALUE_NS = 62_500
CLIP = "grid-av-clips/bbaf2n.mpg"

both = pytest.mark.parametrize("feature_set", EXTRACTORS)


@pytest.fixture(scope="module")
def speech() -> FloatArray:
    """2.5 s of a voice with silences, made here: a buzz with formants that glides from 120 to 240 Hz."""
    seconds = np.arange(40_000) / 16_000
    phase = 2 * np.pi * np.cumsum(120 + 48 * seconds) / 16_000
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    loud = 0.1 * (np.sin(2 * np.pi * 1.5 * seconds) > -0.5)
    noise = np.random.default_rng(3).normal(0, 0.001, len(seconds))
    return (loud * buzz + noise).astype(np.float32)


def samples_of(sound: NDArray[np.float32], block: int = 320, start_ns: int = START_NS) -> list[Sample]:
    return [
        Sample("microphone", start_ns + i * VALUE_NS, sound[i : i + block], 16_000) for i in range(0, len(sound), block)
    ]


def frames_of(feature_set: str, samples: Iterable[Sample]) -> list[FeatureFrame]:
    extractor = audio_extractor(feature_set)
    try:
        return [frame for sample in samples for frame in extractor.process(sample)]
    finally:
        extractor.close()


def assert_same(some: list[FeatureFrame], others: list[FeatureFrame]) -> None:
    assert [frame.stamp_ns for frame in some] == [frame.stamp_ns for frame in others]
    assert [frame.valid for frame in some] == [frame.valid for frame in others]
    np.testing.assert_array_equal([frame.values for frame in some], [frame.values for frame in others])


def test_the_stream_is_bit_identical_to_offline_opensmile(shared_data: Path) -> None:
    with AudioFile(shared_data / CLIP, 0) as source:
        sound = np.concatenate([sample.values for sample in source])
    sound = np.minimum(sound, 32767 / 32768).astype(np.float32)  # process_signal lets +1 overflow to -1
    offline = opensmile.Smile(feature_set="eGeMAPSv02", feature_level="lld").process_signal(sound, 16_000)
    stream = OpenSmileStream()
    hops = [sound[i : i + 160] for i in range(0, len(sound) - 159, 160)]
    found = [stream.analyse(hop) for hop in hops]
    stream.close()
    frames = [frame for one in found for frame in one]
    assert len(offline) - 12 <= len(frames) < len(offline)
    np.testing.assert_array_equal(frames, offline[list(AUDIO_OPENSMILE)].to_numpy()[: len(frames)])
    assert [bool(one) for one in found[:8]] == [False] * 7 + [True]  # the first one is known after 80 ms


@both
def test_a_frame_every_100_ms_with_24_finite_values(feature_set: str, speech: FloatArray) -> None:
    frames = frames_of(feature_set, samples_of(speech))
    stamps = [frame.stamp_ns for frame in frames]
    first = stamps[0]
    assert stamps == list(range(first, first + len(stamps) * STEP_NS, STEP_NS))
    assert first % STEP_NS == 0
    assert START_NS + 2_500_000_000 - stamps[-1] < STEP_NS
    for frame in frames:
        assert (frame.modality, frame.feature_set, frame.valid, frame.confidence) == (
            Modality.AUDIO,
            feature_set,
            True,
            1.0,
        )
        assert frame.values.shape == (24,)
        assert frame.values.dtype == np.float32
        assert np.isfinite(frame.values).all()


@both
def test_a_frame_comes_with_the_sound_of_its_stamp(feature_set: str, speech: FloatArray) -> None:
    extractor = audio_extractor(feature_set)
    for sample in samples_of(speech, block=160):
        for frame in extractor.process(sample):
            assert sample.stamp_ns <= frame.stamp_ns < sample.end_ns + VALUE_NS
    extractor.close()


@both
@pytest.mark.parametrize("block", [160, 777, 4000, 40_000])
def test_the_size_of_the_blocks_does_not_matter(feature_set: str, block: int, speech: FloatArray) -> None:
    assert_same(frames_of(feature_set, samples_of(speech, block)), frames_of(feature_set, samples_of(speech)))


@both
def test_what_is_said_later_changes_nothing_before(feature_set: str, speech: FloatArray) -> None:
    for moment in (12_345, 20_000, 26_640):
        other = speech.copy()
        other[moment:] = np.random.default_rng(moment).normal(0, 0.2, len(other) - moment)
        last_common_ns = START_NS + (moment - 1) * VALUE_NS
        before, after = (
            [frame for frame in frames_of(feature_set, samples_of(sound)) if frame.stamp_ns <= last_common_ns]
            for sound in (speech, other)
        )
        assert_same(before, after)
        assert len(before) > 5


@both
def test_live_and_as_fast_as_possible_give_the_same_frames(feature_set: str, shared_data: Path) -> None:
    with Paced(AudioFile(shared_data / CLIP, 0), time.time_ns, backlog=1000) as live:
        start_ns = time.time_ns()
        live.begin_at(start_ns)
        frames = frames_of(feature_set, live)
    with AudioFile(shared_data / CLIP, start_ns) as file:
        assert_same(frames, frames_of(feature_set, file))


@both
def test_after_a_gap_everything_begins_anew(feature_set: str, speech: FloatArray) -> None:
    later_ns = START_NS + 60_000_000_000
    early, late = samples_of(speech[:20_000]), samples_of(speech, start_ns=later_ns)
    frames = frames_of(feature_set, early + late)
    assert_same([frame for frame in frames if frame.stamp_ns > later_ns], frames_of(feature_set, late))


@both
def test_stamps_that_waver_by_a_few_milliseconds_are_one_stream(feature_set: str, speech: FloatArray) -> None:
    waver = np.random.default_rng(0).integers(-8_000_000, 8_000_000, 200)
    samples = [
        Sample("microphone", sample.stamp_ns + int(shift), sample.values, 16_000)
        for sample, shift in zip(samples_of(speech), waver, strict=False)
    ]
    frames = frames_of(feature_set, samples)
    assert len(frames) >= len(frames_of(feature_set, samples_of(speech))) - 1
    assert np.all(np.diff([frame.stamp_ns for frame in frames]) == STEP_NS)


@both
def test_silence_is_sound_but_a_muted_microphone_is_not(feature_set: str, speech: FloatArray) -> None:
    quiet = np.random.default_rng(5).normal(0, 1e-4, 16_000).astype(np.float32)
    sound = np.concatenate([quiet, np.zeros(3 * 16_000, np.float32), speech])
    frames = frames_of(feature_set, samples_of(sound))
    muted = [(frame.stamp_ns - START_NS) / 1e9 for frame in frames if not frame.valid]
    assert muted[0] == pytest.approx(1 + MUTED_AFTER_HOPS * 0.01, abs=0.11)
    assert muted[-1] == pytest.approx(4, abs=0.11)
    assert np.allclose(np.diff(muted), 0.1)
    assert all(frame.confidence == 0 and not frame.values.any() for frame in frames if not frame.valid)


@both
def test_sound_of_another_rate_is_refused(feature_set: str) -> None:
    extractor = audio_extractor(feature_set)
    with pytest.raises(ValueError, match=r"need 16000 Hz mono.*has 48000 Hz"):
        extractor.process(Sample("microphone", START_NS, np.zeros(480, np.float32), 48_000))
    extractor.close()


def test_an_unknown_feature_set_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ValueError, match="did you mean 'opensmile-egemaps'"):
        audio_extractor("opensmile")


def test_opensmile_leaves_no_thread_and_no_file(speech: FloatArray) -> None:
    def left_over() -> tuple[list[str], list[Path]]:
        threads = [thread.name for thread in threading.enumerate() if thread.name == "opensmile"]
        return threads, list(Path(tempfile.gettempdir()).glob("mmal_opensmile_*"))

    extractor = audio_extractor("opensmile-egemaps")
    extractor.process(samples_of(speech, len(speech))[0])
    assert left_over()[0] == ["opensmile"]
    extractor.close()
    extractor.close()
    assert left_over() == ([], [])


def test_two_opensmile_streams_side_by_side_do_not_disturb_each_other(speech: FloatArray) -> None:
    first, second = audio_extractor("opensmile-egemaps"), audio_extractor("opensmile-egemaps")
    pairs = zip(samples_of(speech), samples_of(speech[::-1].copy()), strict=True)
    frames = [frame for one, other in pairs for frame in (*first.process(one), *second.process(other))]
    first.close()
    second.close()
    alone = frames_of("opensmile-egemaps", samples_of(speech))
    reverse = frames_of("opensmile-egemaps", samples_of(speech[::-1].copy()))
    assert_same(frames[::2], alone)
    assert_same(frames[1::2], reverse)


@pytest.mark.parametrize("comes_back", ["soon", "late", "never"])
def test_an_opensmile_that_hangs_is_replaced_and_nothing_of_it_comes_later(
    comes_back: str, speech: FloatArray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes before is as ever, what comes after is what a fresh one finds, whenever the old one wakes up."""
    monkeypatch.setattr("mmal_ros.features.audio_opensmile.ANSWER_TIMEOUT_S", 1.0)
    monkeypatch.setattr("mmal_ros.features.audio_opensmile.END_TIMEOUT_S", 0.3)
    samples = samples_of(speech, block=160)
    hangs, wakes = 60, {"soon": 64, "late": 150, "never": None}[comes_back]
    extractor = audio_extractor("opensmile-egemaps")
    frames = [frame for sample in samples[:hangs] for frame in extractor.process(sample)]
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "opensmile")
    with stalled(thread) as release:
        for index, sample in enumerate(samples[hangs:], start=hangs):
            frames += extractor.process(sample)
            if index == wakes:
                release()
        extractor.close()
    broken_ns = samples[hangs].stamp_ns
    whole, rest = frames_of("opensmile-egemaps", samples), frames_of("opensmile-egemaps", samples[hangs + 1 :])
    assert_same([f for f in frames if f.stamp_ns < broken_ns], [f for f in whole if f.stamp_ns < broken_ns])
    after_ns = broken_ns + STEP_NS  # the step in which it hung has seen the end of one and the beginning of the other
    assert_same([f for f in frames if f.stamp_ns > after_ns], [f for f in rest if f.stamp_ns > after_ns])
    assert all(frame.valid and np.isfinite(frame.values).all() for frame in frames)
    assert [record.getMessage() for record in caplog.records] == [
        "openSMILE did not answer within 1 s; starting it anew"
    ]


def test_opensmile_does_not_grow_while_a_session_goes_on(speech: FloatArray) -> None:
    """The stock configuration grows by 12 MB a minute."""
    extractor, process = audio_extractor("opensmile-egemaps"), psutil.Process()
    sizes = []
    for sample in samples_of(np.tile(speech, 30), block=40_000):
        list(extractor.process(sample))
        sizes.append(process.memory_info().rss / 2**20)
    extractor.close()
    assert sizes[-1] - sizes[5] < 4


def measures(sound: NDArray[np.float64]) -> dict[str, float]:
    frame = frames_of("spectral", samples_of(sound.astype(np.float32)))[-1]
    return dict(zip(AUDIO_SPECTRAL, frame.values.tolist(), strict=True))


@pytest.mark.parametrize("pitch_hz", [80, 200, 400, 550])
def test_a_steady_voice_has_its_pitch_and_no_jitter(pitch_hz: float) -> None:
    seconds = np.arange(16_000) / 16_000
    voice = measures(sum(0.1 * np.sin(2 * np.pi * k * pitch_hz * seconds) / k for k in range(1, 8)))
    assert voice["f0_semitone"] == pytest.approx(12 * np.log2(pitch_hz / 27.5), abs=0.05)
    assert voice["voicing"] > 0.99
    assert voice["hnr"] > 25
    assert voice["jitter"] < 0.005
    assert voice["shimmer"] < 0.5


def test_noise_has_no_voice_but_a_flat_spectrum() -> None:
    noise = measures(np.random.default_rng(0).normal(0, 0.1, 16_000))
    assert noise["voicing"] < 0.4
    assert noise["f0_semitone"] == 0
    assert noise["hnr"] < 0
    assert noise["log_energy"] == pytest.approx(-20, abs=0.5)
    assert noise["zero_crossing_rate"] == pytest.approx(0.5, abs=0.03)
    assert noise["spectral_centroid"] == pytest.approx(4000, rel=0.1)
    assert noise["spectral_rolloff"] == pytest.approx(0.85 * 8000, rel=0.1)
    assert 0.4 < noise["spectral_flatness"] < 0.7  # exp(-0.577) for white noise
