"""A recording scored all at once and frame by frame: the same windows and the same estimates, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmal_ros.datatypes import STEP_NS, Estimate, Modality, Status, Window
from mmal_ros.features.names import SIZES
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.pipeline import EngagementPipeline, score
from mmal_ros.recorded_windows import BLOCK, cut_windows, score_recording
from mmal_ros.window_columns import WindowColumns
from mmal_ros.windowing import RATES_HZ
from rigs.model_sets import CHOSEN_SETS, write_model_set

MS = 1_000_000
START_NS = 1_800_000_000_000_000_000
FACE, BODY, PHYSIOLOGY, AUDIO = Modality
Columns = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelSet:
    folder = tmp_path_factory.mktemp("models") / "demo"
    write_model_set(folder)
    return load_model_set(folder)


# --- recordings --------------------------------------------------------------------------------------------------


def columns(modality: Modality, stamps_ns: NDArray[np.int64], delays_ns: Any = 0, seed: int = 0) -> Columns:
    """Frames with these stamps, one in ten of them invalid, each known a while later and never before another."""
    random = np.random.default_rng([seed, list(Modality).index(modality)])
    valid = random.random(len(stamps_ns)) > 0.1
    values = random.standard_normal((len(stamps_ns), SIZES[modality])).astype(np.float32)
    values[random.random(values.shape) < 0.1] = -0.0  # its bits are others than those of 0
    return {
        "stamp_ns": stamps_ns,
        "known_ns": np.maximum.accumulate(np.maximum(stamps_ns + delays_ns, START_NS)),
        "values": np.where(valid[:, None], values, np.float32(0)),
        "valid": valid,
        "confidence": np.ones(len(stamps_ns), np.float32),
        "feature_set": np.array(CHOSEN_SETS[modality]),
    }


def steady(interval_ms: float, end_ms: int = 6000, phase_ms: float = 0) -> NDArray[np.int64]:
    return START_NS + (np.arange(phase_ms, end_ms, interval_ms) * MS).astype(np.int64)


def conversation() -> FeatureRecording:
    """Six seconds as they come from real sensors: the wristband sends what it measured in packets of 0.2 s."""
    band_ns = steady(100)
    packets_ns = -(-(band_ns - START_NS + 20 * MS) // (200 * MS)) * 200 * MS + START_NS
    return FeatureRecording(
        START_NS,
        {
            FACE: columns(FACE, steady(33.4)),
            BODY: columns(BODY, steady(66.8)),
            PHYSIOLOGY: columns(PHYSIOLOGY, band_ns, packets_ns - band_ns),
            AUDIO: columns(AUDIO, steady(100, phase_ms=100), 20 * MS),
        },
    )


@st.composite
def streams(draw: st.DrawFn, modality: Modality, longest_delay_ms: int) -> Columns:
    """Frames in order: 1 to 50 Hz, jitter, on and off the borders of steps, gaps, any delays."""
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    interval_ns = round(1e9 / draw(st.sampled_from([1, 3.3, 10, 15, 30, 50])))
    count = draw(st.sampled_from([0, 1, *[2_500 * MS // interval_ns] * 6]))
    intervals_ns = np.maximum(random.uniform(0.5, 1.5, count) * interval_ns, 1).astype(np.int64)
    for gap_ms in draw(st.lists(st.sampled_from([150, 320, 1500, 6000]), max_size=min(2, count))):
        intervals_ns[random.integers(count)] += gap_ms * MS
    stamps_ns = START_NS + draw(st.integers(-400, 400)) * MS + np.cumsum(intervals_ns)
    if draw(st.booleans()):
        stamps_ns = np.unique(stamps_ns // (20 * MS) * (20 * MS))  # borders of the steps of every rate
    delays_ns = random.integers(draw(st.sampled_from([-400, 0])) * MS, longest_delay_ms * MS + 1, len(stamps_ns))
    return columns(modality, stamps_ns, delays_ns if draw(st.booleans()) else longest_delay_ms * MS)


@st.composite
def recordings(draw: st.DrawFn, longest_delay_ms: int) -> FeatureRecording:
    """Any modalities, in any order."""
    present = draw(st.lists(st.sampled_from(list(Modality)), min_size=1, unique=True))
    return FeatureRecording(START_NS, {m: draw(streams(m, longest_delay_ms)) for m in present})


# --- what is compared --------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Something whose equality is that of all bits."""
    if isinstance(value, Mapping):
        return {modality: plain(of_one) for modality, of_one in value.items()}
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def said(estimate: Estimate) -> list[Any]:
    return [plain(getattr(estimate, name)) for name in Estimate.__slots__]


WINDOW_FIELDS = ("id", "end_ns", "features", "mask", "coverage", "newest_ns", "frames_seen")


class Keeper:
    """Stands where the estimator stands and hands back the windows that it is given."""

    def estimate_batch(self, windows: list[Window]) -> list[list[Any]]:
        return [[plain(getattr(window, name)) for name in WINDOW_FIELDS] for window in windows]

    def estimate_columns(self, windows: WindowColumns) -> list[list[Any]]:
        fields = [getattr(windows, name) for name in WINDOW_FIELDS]
        return [
            [plain({m: c[i] for m, c in field.items()} if isinstance(field, dict) else field[i]) for field in fields]
            for i in range(len(windows.id))
        ]


def keeping(pipeline: EngagementPipeline) -> Any:
    keeper: Any = Keeper()
    pipeline.estimator = keeper
    return pipeline


# --- the same to the last bit ------------------------------------------------------------------------------------

RATES = st.sampled_from(RATES_HZ)
MAX_DELAYS_NS = st.sampled_from([0, 40 * MS, 300 * MS, 3000 * MS])


@settings(max_examples=150)
@given(recordings(longest_delay_ms=250), RATES, MAX_DELAYS_NS)
def test_windows_cut_at_once_are_those_cut_frame_by_frame(
    models: ModelSet, recording: FeatureRecording, rate_hz: int, max_delay_ns: int
) -> None:
    new = lambda: keeping(EngagementPipeline(models, rate_hz=rate_hz, max_delay_ns=max_delay_ns))  # noqa: E731
    assert cut_windows(new().stream, recording) is not None, "it is orderly enough"
    at_once = list(score_recording(new(), recording))
    assert at_once == list(score(new(), recording.frames(), recording.start_ns))


@settings(max_examples=60)
@given(recordings(longest_delay_ms=2500), RATES, MAX_DELAYS_NS)
def test_frames_that_come_too_late_for_every_window_are_rejected_alike(
    models: ModelSet, recording: FeatureRecording, rate_hz: int, max_delay_ns: int
) -> None:
    new = lambda: keeping(EngagementPipeline(models, rate_hz=rate_hz, max_delay_ns=max_delay_ns))  # noqa: E731
    at_once = list(score_recording(new(), recording))
    assert at_once == list(score(new(), recording.frames(), recording.start_ns))


@settings(max_examples=15)
@given(recordings(longest_delay_ms=250), RATES)
def test_estimates_are_the_same_in_every_field(models: ModelSet, recording: FeatureRecording, rate_hz: int) -> None:
    at_once = score_recording(EngagementPipeline(models, rate_hz=rate_hz), recording)
    one_by_one = score(EngagementPipeline(models, rate_hz=rate_hz), recording.frames(), recording.start_ns)
    assert list(map(said, at_once)) == list(map(said, one_by_one))


@pytest.mark.parametrize("rate_hz", [2, 10, 50])
def test_a_conversation_is_the_same_and_says_something(models: ModelSet, rate_hz: int) -> None:
    recording = conversation()
    at_once = list(score_recording(EngagementPipeline(models, rate_hz=rate_hz), recording))
    one_by_one = score(EngagementPipeline(models, rate_hz=rate_hz), recording.frames(), START_NS)
    assert list(map(said, at_once)) == list(map(said, one_by_one))
    assert len(at_once) >= 5 * rate_hz
    assert {status for e in at_once[-rate_hz:] for status in e.status.values()} == {Status.VALID}
    assert len({e.probabilities.tobytes() for e in at_once}) > len(at_once) / 2


def test_what_a_packet_brings_counts_only_in_the_windows_after_it(models: ModelSet) -> None:
    """Of the 31 that were measured up to 3.0 s the last comes at 3.2 s; up to 2.9 s there were 30, and 28 had come."""
    seen = {e.stamp_ns: e.frames_seen for e in score_recording(EngagementPipeline(models), conversation())}
    assert seen[START_NS + 3000 * MS][PHYSIOLOGY] == 30
    assert seen[START_NS + 2900 * MS][PHYSIOLOGY] == 28


def test_more_windows_than_are_cut_together(models: ModelSet) -> None:
    recording = FeatureRecording(START_NS, {AUDIO: columns(AUDIO, steady(40, 15_000))})
    at_once, one_by_one = (keeping(EngagementPipeline(models, rate_hz=50)) for _ in range(2))
    windows = list(score_recording(at_once, recording))
    assert len(windows) > BLOCK + 1
    assert windows == list(score(one_by_one, recording.frames(), START_NS))


def test_nothing_recorded_is_nothing_estimated(models: ModelSet) -> None:
    for arrays in ({}, {AUDIO: columns(AUDIO, steady(50, 0))}):
        recording = FeatureRecording(START_NS, arrays)
        assert list(score_recording(EngagementPipeline(models), recording)) == []
        assert list(score(EngagementPipeline(models), recording.frames(), START_NS)) == []


def test_the_part_up_to_a_moment_is_what_had_been_known_by_then(models: ModelSet) -> None:
    recording, end_ns = conversation(), START_NS + 2_050 * MS
    frames = [(known_ns, frame) for known_ns, frame in recording.frames() if known_ns <= end_ns]
    expected = list(score(EngagementPipeline(models), frames, START_NS))
    first = list(score_recording(EngagementPipeline(models), recording.until(end_ns)))
    assert [e.stamp_ns for e in first] == [START_NS + step * STEP_NS for step in range(1, 21)]
    assert list(map(said, first)) == list(map(said, expected))


# --- what is not orderly goes the ordinary way -------------------------------------------------------------------

Damage = Callable[[dict[Modality, Columns]], object]


def swap(name: str) -> Damage:
    def damage(arrays: dict[Modality, Columns]) -> None:
        arrays[AUDIO][name][[20, 21]] = arrays[AUDIO][name][[21, 20]]

    return damage


def put(name: str, value: Any, at: Any = 20) -> Damage:
    return lambda arrays: arrays[AUDIO][name].__setitem__(at, value)


def replace(name: str, change: Callable[[Any], Any]) -> Damage:
    return lambda arrays: arrays[AUDIO].update({name: change(arrays[AUDIO][name])})


DAMAGES: dict[str, Damage] = {
    "stamps out of order": swap("stamp_ns"),
    "the same stamp twice": put("stamp_ns", START_NS + 2000 * MS, at=[19, 20]),
    "known out of order": swap("known_ns"),
    "known before the recording began": put("known_ns", START_NS - 10 * MS, at=0),
    "a stamp of zero": lambda arrays: arrays[FACE]["stamp_ns"].__setitem__(0, 0),
    "everything stamped five seconds ahead": replace("stamp_ns", lambda stamps: stamps + 5000 * MS),
    "everything known five seconds late": replace("known_ns", lambda known: known + 5000 * MS),
    "known when no window can see it any more": put("known_ns", START_NS + 5000 * MS, at=slice(20, None)),
    "NaN": put("values", np.nan, at=(20, 3)),
    "infinity in a frame that is not valid": lambda arrays: (
        put("values", np.inf, at=(20, 3))(arrays),
        put("valid", False)(arrays),
    ),
    "too few values": replace("values", lambda values: values[:, 1:]),
    "features of another tool": replace("feature_set", lambda _: np.array("opensmile-egemaps")),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_disorderly_recording_is_scored_frame_by_frame(models: ModelSet, name: str) -> None:
    recording = conversation()
    DAMAGES[name](recording.arrays)
    assert cut_windows(EngagementPipeline(models).stream, recording) is None
    ordinary = EngagementPipeline(models)
    expected = list(score(ordinary, recording.frames(), START_NS))
    assert list(map(said, score_recording(EngagementPipeline(models), recording))) == list(map(said, expected))
    assert len(expected) > 50


def test_a_frame_is_too_late_when_the_next_window_begins_to_hold_after_it(models: ModelSet) -> None:
    """What was measured at 0.0 s is held into the window up to 1.2 s, and no longer into the one up to 1.3 s."""
    for delay_ms, orderly in ((1150, True), (1250, False)):
        recording = FeatureRecording(START_NS, {AUDIO: columns(AUDIO, steady(100), delay_ms * MS)})
        at_once, one_by_one = (keeping(EngagementPipeline(models)) for _ in range(2))
        assert (cut_windows(at_once.stream, recording) is not None) is orderly
        assert list(score_recording(at_once, recording)) == list(score(one_by_one, recording.frames(), START_NS))


def test_a_model_without_a_face_does_not_listen_to_one(tmp_path: Path) -> None:
    write_model_set(tmp_path / "voice", feature_sets={AUDIO: "spectral"})
    voice = load_model_set(tmp_path / "voice")
    at_once = list(score_recording(EngagementPipeline(voice), conversation()))
    one_by_one = score(EngagementPipeline(voice), conversation().frames(), START_NS)
    assert list(map(said, at_once)) == list(map(said, one_by_one))
    assert at_once[-1].status == dict.fromkeys(Modality, Status.MISSING) | {AUDIO: Status.VALID}


def test_a_recording_without_a_wristband_is_orderly(models: ModelSet) -> None:
    recording = conversation()
    del recording.arrays[PHYSIOLOGY]
    assert cut_windows(EngagementPipeline(models).stream, recording) is not None
    estimates = list(score_recording(EngagementPipeline(models), recording))
    assert {e.status[PHYSIOLOGY] for e in estimates} == {Status.MISSING}
    assert {e.frames_seen[PHYSIOLOGY] for e in estimates} == {0}
