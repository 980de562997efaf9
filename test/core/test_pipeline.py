"""Frames in, estimates out: a live run and a replay of it say the same, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmal_ros.datatypes import STEP_NS, Estimate, FeatureFrame, Modality, Sample, Status
from mmal_ros.features.names import SIZES
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.pipeline import EngagementPipeline, frames_of_samples, score
from mmal_ros.windowing import RATES_HZ, Rejection
from rigs.model_sets import CHOSEN_SETS, write_model_set

MS = 1_000_000
START_NS = 1_800_000_000_000_000_000
LENGTH_NS = 6_000 * MS
FACE, BODY, PHYSIOLOGY, AUDIO = Modality
Event = tuple[int, FeatureFrame | None]
"""When something was measured completely, and the frame; None: raw samples without one."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelSet:
    folder = tmp_path_factory.mktemp("models") / "demo"
    write_model_set(folder)
    return load_model_set(folder)


# --- a recording -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sensor:
    """How a modality's frames come."""

    interval_ns: int
    phase_ns: int
    latency_ns: int
    """From the newest measurement in a frame until the sample that completes it."""


SENSORS = {
    FACE: Sensor(33_333_333, 0, 0),
    BODY: Sensor(66_666_667, 0, 0),
    PHYSIOLOGY: Sensor(STEP_NS, 0, 8 * MS),
    AUDIO: Sensor(STEP_NS, 40 * MS, 14 * MS),
}
LONGEST_DELAY_NS = 25 * MS
"""Of the transport; with the longest latency of a sensor still below the 40 ms that an estimate waits."""


def frame(modality: Modality, stamp_ns: int, random: np.random.Generator, *, valid: bool = True) -> FeatureFrame:
    values = random.standard_normal(SIZES[modality]).astype(np.float32)
    return FeatureFrame(modality, stamp_ns, values if valid else 0 * values, valid, 1.0, CHOSEN_SETS[modality])


def gaps(random: np.random.Generator) -> list[tuple[int, int]]:
    """Up to three gaps of 0.1 to 2.5 s."""
    starts = random.integers(0, LENGTH_NS, random.integers(0, 4))
    return [(START_NS + int(s), START_NS + int(s) + int(random.integers(100, 2500)) * MS) for s in starts]


def stream(modality: Modality, random: np.random.Generator, common: Sequence[tuple[int, int]]) -> Iterator[Event]:
    """One modality's frames with its own gaps and those that all have in common, and the ticks of its raw samples."""
    sensor, closed = SENSORS[modality], [*gaps(random), *common]
    for number in range(LENGTH_NS // sensor.interval_ns):
        jitter_ns = int(random.integers(0, sensor.interval_ns // 10))
        stamp_ns = START_NS + sensor.phase_ns + number * sensor.interval_ns + jitter_ns
        if not any(begin <= stamp_ns < end for begin, end in closed):
            known_ns = stamp_ns + sensor.latency_ns
            yield known_ns, frame(modality, stamp_ns, random, valid=bool(random.random() > 0.1))
            yield known_ns, None


def record(seed: int) -> list[Event]:
    random = np.random.default_rng(seed)
    common = gaps(random)
    streams = [stream(modality, np.random.default_rng([seed, i]), common) for i, modality in enumerate(Modality)]
    return list(merge(*streams, key=lambda event: event[0]))


def play_live(models: ModelSet, recording: Sequence[Event], rate_hz: int, seed: int) -> list[Estimate]:
    """Let the frames arrive as they would at a node: each a little later, and with a timer that is not exact."""
    random = np.random.default_rng(seed)
    arrivals: list[tuple[int, FeatureFrame]] = []
    newest = dict.fromkeys(Modality, 0)
    for known_ns, one in recording:
        if one is not None:  # a topic keeps its order, so nobody overtakes
            newest[one.modality] = max(newest[one.modality], known_ns + int(random.integers(0, LONGEST_DELAY_NS)))
            arrivals.append((newest[one.modality], one))
    arrivals.sort(key=lambda arrival: arrival[0])
    pipeline, estimates = EngagementPipeline(models, rate_hz=rate_hz), []
    now_ns = START_NS - 730 * MS  # the node was there before the recording began
    while now_ns < START_NS + LENGTH_NS + 1000 * MS:
        estimates += pipeline.due_estimates(now_ns)
        wake_ns = now_ns + pipeline.stream.schedule.wait_ns(now_ns) + int(random.integers(0, 3 * MS))
        if arrivals and arrivals[0][0] <= wake_ns:
            now_ns, one = arrivals.pop(0)
            assert pipeline.accept(one, now_ns) is None
        else:
            now_ns = wake_ns
    assert pipeline.stream.schedule.skipped == 0
    return estimates


def differences(one: Estimate, other: Estimate) -> list[str]:
    """What differs. A missing modality's age may: its first frame back may have come before or after the vote."""
    heard = [m for m in Modality if one.status[m] is not Status.MISSING]
    checks = {
        "window_id": one.window_id == other.window_id,
        "stamp": one.stamp_ns == other.stamp_ns,
        "level": one.level is other.level,
        "probabilities": np.array_equal(one.probabilities, other.probabilities),
        "by_modality": all(np.array_equal(one.by_modality[m], other.by_modality[m]) for m in Modality),
        "confidence": one.confidence == other.confidence,
        "status": one.status == other.status,
        "age": all(one.age_ns[m] == other.age_ns[m] for m in heard),
        "model": one.model_version == other.model_version,
    }
    return [name for name, equal in checks.items() if not equal]


# --- live and replayed -------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rate_hz=st.sampled_from(RATES_HZ))
def test_a_live_run_and_its_replay_give_the_same_estimates(models: ModelSet, seed: int, rate_hz: int) -> None:
    recording = record(seed)
    end_ns = max((known_ns for known_ns, _ in recording), default=START_NS)
    live = {e.window_id: e for e in play_live(models, recording, rate_hz, seed) if START_NS < e.stamp_ns <= end_ns}
    replayed = list(score(EngagementPipeline(models, rate_hz=rate_hz), recording, START_NS))
    assert [e.window_id for e in replayed] == list(live), "each of them, once, in order"
    for estimate in replayed:
        assert differences(estimate, live[estimate.window_id]) == [], f"{(estimate.stamp_ns - START_NS) // MS} ms"


def test_a_replay_repeats_itself_exactly(models: ModelSet) -> None:
    recording = record(3)
    first, second = (list(score(EngagementPipeline(models), recording, START_NS)) for _ in range(2))
    assert len(first) == len(second) > 50
    assert all(differences(*pair) == [] for pair in zip(first, second, strict=True))
    assert [e.frames_seen for e in first] == [e.frames_seen for e in second]
    assert len({e.level for e in first}) > 1, "or this proves little"


def steady(modality: Modality, begin_ms: int, end_ms: int) -> list[Event]:
    random = np.random.default_rng(1)
    stamps = range(START_NS + begin_ms * MS, START_NS + end_ms * MS, 50 * MS)
    return [(stamp_ns, frame(modality, stamp_ns, random)) for stamp_ns in stamps]


def test_time_goes_on_in_a_gap_of_three_seconds(models: ModelSet) -> None:
    recording = steady(AUDIO, 0, 2000) + steady(AUDIO, 5000, 6000)
    estimates = list(score(EngagementPipeline(models), recording, START_NS))
    assert [(e.stamp_ns - START_NS) // MS for e in estimates] == list(range(100, 5901, 100))
    missing = [(e.stamp_ns - START_NS) // MS for e in estimates if e.status[AUDIO] is Status.MISSING]
    assert missing == [100, 200, 300, *range(2900, 5400, 100)], "until and from when half of the steps are there"
    assert all(e.level is None for e in estimates if e.status[AUDIO] is Status.MISSING)


def test_the_first_frame_of_a_recording_may_come_late(models: ModelSet) -> None:
    estimates = list(score(EngagementPipeline(models), steady(AUDIO, 2500, 3001), START_NS))
    assert [(e.stamp_ns - START_NS) // MS for e in estimates] == list(range(100, 3001, 100))


def test_a_recording_ends_with_its_last_full_step(models: ModelSet) -> None:
    for end_ms, last_ms in ((1050, 1000), (1051, 1000), (1099, 1000), (1101, 1100)):
        recording = [*steady(AUDIO, 0, 1001), (START_NS + end_ms * MS, None)]
        estimates = list(score(EngagementPipeline(models), recording, START_NS))
        assert (estimates[-1].stamp_ns - START_NS) // MS == last_ms
    assert list(score(EngagementPipeline(models), [], START_NS)) == []


def test_a_frame_that_becomes_known_too_late_is_left_out_as_it_would_be_live(models: ModelSet) -> None:
    """Known 60 ms after its stamp: live, the window up to 1000 ms has been taken at 1040, before it came."""
    late = frame(AUDIO, START_NS + 1000 * MS, np.random.default_rng(2))
    recording: list[Event] = [*steady(AUDIO, 0, 1000), (START_NS + 1005 * MS, None), (START_NS + 1060 * MS, late)]
    at_1000 = list(score(EngagementPipeline(models), recording, START_NS))[9]
    assert at_1000.stamp_ns == START_NS + 1000 * MS
    assert at_1000.frames_seen[AUDIO] == 20
    assert at_1000.age_ns[AUDIO] == 50 * MS


def test_more_windows_than_fit_in_a_batch(models: ModelSet) -> None:
    live = EngagementPipeline(models)
    expected = list(live.due_estimates(START_NS))
    for now_ns, one in steady(AUDIO, 0, 15_000):
        assert one is not None
        live.accept(one, now_ns)
        expected += live.due_estimates(now_ns)
    estimates = list(score(EngagementPipeline(models), steady(AUDIO, 0, 15_000), START_NS))
    assert len(estimates) == 149
    assert all(differences(*pair) == [] for pair in zip(estimates, expected, strict=False))


# --- while it runs -----------------------------------------------------------------------------------------------


def feed(pipeline: EngagementPipeline, events: Sequence[Event]) -> list[Estimate]:
    estimates = []
    for now_ns, one in events:
        if one is not None:
            pipeline.accept(one, now_ns)
        estimates += pipeline.due_estimates(now_ns)
    return estimates


def test_the_clock_is_set_back_by_five_seconds(models: ModelSet) -> None:
    """What was measured before has no place any more; estimates go on at once, and the counts are kept."""
    pipeline = EngagementPipeline(models)
    feed(pipeline, steady(AUDIO, 10_000, 12_000))
    after = feed(pipeline, steady(AUDIO, 7_000, 9_000))
    assert pipeline.stream.clock_jumps == 1
    assert [(e.stamp_ns - START_NS) // MS for e in after] == list(range(7100, 9000, 100))
    assert after[-1].status[AUDIO] is Status.VALID
    assert pipeline.stream.windows.frames_seen[AUDIO] + pipeline.stream.windows.rejected[AUDIO].total() == 80


def test_the_clock_is_set_ahead_by_five_seconds(models: ModelSet) -> None:
    pipeline = EngagementPipeline(models)
    feed(pipeline, steady(AUDIO, 0, 2_000))
    after = feed(pipeline, steady(AUDIO, 7_000, 9_000))
    assert [(e.stamp_ns - START_NS) // MS for e in after] == list(range(7000, 9000, 100))
    assert [e.status[AUDIO] for e in after[:4]] == [Status.MISSING] * 4
    assert after[-1].status[AUDIO] is Status.VALID
    assert (pipeline.stream.clock_jumps, pipeline.stream.schedule.skipped) == (0, 50)


def test_another_version_takes_over_without_a_hole(models: ModelSet, tmp_path: Path) -> None:
    write_model_set(tmp_path / "demo", "2", seed=9)
    pipeline = EngagementPipeline(models)
    events = steady(AUDIO, 0, 4_000)
    before = feed(pipeline, events[:45])
    pipeline.use(load_model_set(tmp_path / "demo"))
    after = feed(pipeline, events[45:])
    ids = [e.window_id for e in before + after]
    assert ids == list(range(ids[0], ids[0] + 39))
    assert {e.model_version for e in before} == {"demo/1"}
    assert {e.model_version for e in after} == {"demo/2"}
    assert all(e.status[AUDIO] is Status.VALID for e in after), "what was measured stays"


def test_a_model_with_other_features_takes_over_and_leaves_no_estimate_out(models: ModelSet, tmp_path: Path) -> None:
    write_model_set(tmp_path / "voice", feature_sets={AUDIO: "opensmile-egemaps"})
    pipeline = EngagementPipeline(models)
    before = feed(pipeline, steady(FACE, 0, 1_000))
    assert feed(pipeline, [(START_NS + 1001 * MS, None)]) == [], "a face is being waited for"
    pipeline.use(load_model_set(tmp_path / "voice"))
    after = feed(pipeline, [(START_NS + now_ms * MS, None) for now_ms in range(1002, 1300)])
    assert [(e.stamp_ns - START_NS) // MS for e in before + after] == list(range(100, 1300, 100))
    assert all(set(e.status.values()) == {Status.MISSING} for e in after)
    _, old = steady(AUDIO, 1300, 1350)[0]
    assert old is not None
    assert pipeline.accept(old, old.stamp_ns) is Rejection.OTHER_FEATURES


def test_a_modality_without_a_model_is_not_listened_to(tmp_path: Path) -> None:
    write_model_set(tmp_path / "voice", feature_sets={AUDIO: "spectral"})
    pipeline = EngagementPipeline(load_model_set(tmp_path / "voice"))
    _, face = steady(FACE, 0, 50)[0]
    assert face is not None
    assert pipeline.accept(face, START_NS) is Rejection.OTHER_FEATURES
    estimates = feed(pipeline, steady(AUDIO, 0, 2_000))
    assert estimates[-1].status == dict.fromkeys(Modality, Status.MISSING) | {AUDIO: Status.VALID}


def test_a_rate_that_does_not_fit_is_refused(models: ModelSet) -> None:
    with pytest.raises(ValueError, match="does not fit steps"):
        EngagementPipeline(models, rate_hz=7)


# --- sources in the order of time --------------------------------------------------------------------------------


class Echo:
    """An extractor of the simplest kind: one frame per sample, stamped with the sample's end."""

    def __init__(self, modality: Modality) -> None:
        self.feature_sets = {modality: CHOSEN_SETS[modality]}
        self._modality = modality

    def process(self, sample: Sample) -> list[FeatureFrame]:
        values = np.full(SIZES[self._modality], sample.values[0], np.float32)
        return [FeatureFrame(self._modality, sample.end_ns, values, True, 1.0, CHOSEN_SETS[self._modality])]

    def close(self) -> None: ...


def samples(source: str, rate_hz: float, size: int, count: int) -> list[Sample]:
    """Chunks of `size` values that follow one another without a gap."""
    length_ns = round(size / rate_hz * 1e9)
    return [Sample(source, START_NS + i * length_ns, np.full(size, i, np.float32), rate_hz) for i in range(count)]


def test_sources_of_different_rates_come_in_the_order_in_which_they_can_be_known() -> None:
    microphone, band = samples("microphone", 16_000, 1600, 20), samples("eda", 4, 1, 8)
    events = list(frames_of_samples([(microphone, Echo(AUDIO)), (band, Echo(PHYSIOLOGY))], until_last=True))
    times = [now_ns for now_ns, _ in events]
    assert times == sorted(times)
    frames = [one for _, one in events if one is not None]
    assert [f.stamp_ns for f in frames if f.modality is AUDIO] == [s.end_ns for s in microphone]
    assert [f.stamp_ns for f in frames if f.modality is PHYSIOLOGY] == [s.end_ns for s in band]
    assert all(one.stamp_ns <= now_ns for now_ns, one in events if one is not None)


def test_a_replay_goes_on_until_the_first_or_the_last_source_ends() -> None:
    sources = [(samples("microphone", 16_000, 1600, 20), Echo(AUDIO)), (samples("eda", 4, 1, 4), Echo(PHYSIOLOGY))]
    until_first = [now_ns for now_ns, _ in frames_of_samples(sources)]
    until_last = [now_ns for now_ns, _ in frames_of_samples(sources, until_last=True)]
    assert max(until_first) == sources[1][0][-1].end_ns
    assert max(until_last) == sources[0][0][-1].end_ns
