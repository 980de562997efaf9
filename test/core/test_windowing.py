"""Windows against the obvious way to make them: whatever order frames come in, nothing is lost, doubled or foreseen."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmal_ros.datatypes import STEP_NS, STEPS_PER_WINDOW, FeatureFrame, FloatArray, Modality, Window
from mmal_ros.features.names import SIZES
from mmal_ros.schedule import JUMP_NS
from mmal_ros.windowing import RATES_HZ, Rejection, SlidingWindows

MS = 1_000_000
NOON_NS = 1_800_000_000_000_000_000
"""Some moment on the grid of steps."""
FACE, BODY, PHYSIOLOGY, AUDIO = Modality
SETS = {PHYSIOLOGY: "e4", AUDIO: "spectral"}


def frame(modality: Modality, stamp_ns: int, value: float = 1, *, valid: bool = True) -> FeatureFrame:
    """A frame whose values are a small whole number and its successors, so that sums in any order are exact."""
    values = np.arange(value, value + SIZES[modality]) if valid else np.zeros(SIZES[modality])
    return FeatureFrame(modality, stamp_ns, values.astype(np.float32), valid, 1.0, SETS[modality])


class SlowWindows:
    """The obvious way: keep every frame for ever, and look at all of them for every step."""

    def __init__(self) -> None:
        self.frames: dict[Modality, dict[int, FloatArray]] = {modality: {} for modality in SETS}

    def add(self, frame: FeatureFrame) -> None:
        if frame.valid:
            self.frames[frame.modality].setdefault(frame.stamp_ns, frame.values)

    def step(self, modality: Modality, end_ns: int) -> FloatArray | None:
        for held in range(4):
            last_ns = end_ns - held * STEP_NS
            within = [v for stamp, v in self.frames[modality].items() if last_ns - STEP_NS < stamp <= last_ns]
            if within:
                return np.mean(within, axis=0, dtype=np.float64).astype(np.float32)
        return None

    def check(self, window: Window) -> None:
        assert window.start_ns == window.end_ns - 1000 * MS
        for modality in SETS:
            ends = range(window.start_ns + STEP_NS, window.end_ns + 1, STEP_NS)
            steps = [self.step(modality, end_ns) for end_ns in ends]
            nothing = np.zeros(SIZES[modality], np.float32)
            expected = np.stack([nothing if values is None else values for values in steps])
            known = [values is not None for values in steps]
            inside = [s for s in self.frames[modality] if window.start_ns < s <= window.end_ns]
            assert np.array_equal(window.features[modality], expected)
            assert window.mask[modality].tolist() == known
            assert window.coverage[modality] == pytest.approx(sum(known) / 10)
            assert window.newest_ns[modality] == max(inside, default=None)


# --- any order, jitter, gaps, duplicates, rates ------------------------------------------------------------------

Arrival = tuple[int, FeatureFrame]


@st.composite
def streams(draw: st.DrawFn, modality: Modality) -> list[Arrival]:
    """(arrival, frame) of one modality: 1 to 50 Hz, jitter, gaps, delays, early stamps, duplicates, invalid frames."""
    interval_ns = round(1e9 / draw(st.integers(1, 50)))
    stamp_ns = NOON_NS + draw(st.integers(0, STEP_NS))
    delays_ms = st.one_of(st.integers(0, 60), st.integers(0, 60), st.integers(-500, 4000))
    arrivals: list[Arrival] = []
    for number in range(draw(st.integers(0, 25))):
        gap_ns = draw(st.sampled_from([0] * 12 + [150 * MS, 320 * MS, 1500 * MS, 6000 * MS]))
        stamp_ns += gap_ns + round(interval_ns * draw(st.floats(0.5, 1.5)))
        if draw(st.booleans()):
            stamp_ns = stamp_ns // STEP_NS * STEP_NS  # on the border between two steps, where mistakes live
        fate = draw(st.sampled_from(["comes"] * 6 + ["invalid", "twice", "is lost"]))
        if fate == "is lost":
            continue
        known_ns = stamp_ns + draw(delays_ms) * MS
        arrivals.append((known_ns, frame(modality, stamp_ns, number, valid=fate != "invalid")))
        if fate == "twice":
            arrivals.append((known_ns + draw(st.integers(0, 300)) * MS, frame(modality, stamp_ns, number + 1000)))
    return arrivals


@st.composite
def recordings(draw: st.DrawFn) -> list[Arrival]:
    """Both modalities, in the order of arrival."""
    both = draw(streams(PHYSIOLOGY)) + draw(streams(AUDIO))
    return sorted(both, key=lambda arrival: arrival[0])


@settings(max_examples=100, deadline=None)
@given(recordings(), st.sampled_from(RATES_HZ), st.floats(0, 1), st.integers(0, 5))
def test_every_window_is_what_the_obvious_way_gives(
    recording: list[Arrival], rate_hz: int, lateness: float, first: int
) -> None:
    """Windows are taken a while after their end, at most as late as the schedule ever lets them be."""
    windows, slow = SlidingWindows(SETS, rate_hz), SlowWindows()
    lag_ns = round(lateness * (JUMP_NS + windows.period_ns))
    end_ns = first_ns = NOON_NS + first * windows.period_ns
    for known_ns, one in recording:
        while end_ns + lag_ns < known_ns:
            slow.check(windows.window(end_ns))
            end_ns += windows.period_ns
        rejection = windows.add(one, known_ns)
        if rejection is Rejection.FROM_THE_FUTURE:
            assert one.stamp_ns > known_ns + 500 * MS
        else:
            slow.add(one)  # also what was too old: it must make no difference to any window to come
        if rejection is None and end_ns > first_ns:
            assert one.stamp_ns > end_ns - 1300 * MS, "a frame that no window will ever use is no accepted frame"
    for _ in range(15):
        slow.check(windows.window(end_ns))
        end_ns += windows.period_ns
    everything = sum(windows.frames_seen.values()) + sum(sum(c.values()) for c in windows.rejected.values())
    assert everything == len(recording)


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(RATES_HZ))
def test_the_order_of_arrival_does_not_matter(data: st.DataObject, rate_hz: int) -> None:
    stamps = data.draw(st.lists(st.integers(1, 1000), max_size=30, unique=True))
    shuffled = data.draw(st.permutations(stamps))
    results = []
    for order in (stamps, shuffled):
        windows = SlidingWindows(SETS, rate_hz)
        for stamp in order:
            assert windows.add(frame(AUDIO, NOON_NS + stamp * MS, stamp), NOON_NS + 1000 * MS) is None
        results.append(windows.window(NOON_NS + 1000 * MS))
    assert np.array_equal(results[0].features[AUDIO], results[1].features[AUDIO])
    assert np.array_equal(results[0].mask[AUDIO], results[1].mask[AUDIO])
    assert results[0].newest_ns == results[1].newest_ns


def test_no_sample_is_lost_or_doubled_over_an_hour() -> None:
    """Every step's value is the number of its only frame: 36,000 of them, each in the ten windows it belongs to."""
    windows, seen = SlidingWindows({AUDIO: "spectral"}), np.zeros(36_000 + 10, int)
    for number in range(1, 36_001):
        end_ns = NOON_NS + number * STEP_NS
        assert windows.add(frame(AUDIO, end_ns - 3 * MS, number), end_ns) is None
        seen[windows.window(end_ns).features[AUDIO][:, 0].astype(int)] += 1
    assert (seen[10:35_991] == 10).all()
    assert windows.frames_seen[AUDIO] == 36_000


# --- by hand -----------------------------------------------------------------------------------------------------


def test_a_step_is_the_mean_of_what_was_measured_after_its_start_and_up_to_its_end() -> None:
    windows = SlidingWindows(SETS)
    for stamp_ms, value in ((-100, 7), (-99, 1), (-50, 2), (0, 6), (1, 100)):
        windows.add(frame(AUDIO, NOON_NS + stamp_ms * MS, value), NOON_NS)
    first_column = windows.window(NOON_NS).features[AUDIO][:, 0]
    assert first_column[-1] == 3, "1, 2 and 6; not 7, which ends the step before, nor 100, which comes later"
    assert first_column[-2] == 7


def test_a_gap_is_bridged_for_three_steps_and_then_named() -> None:
    windows = SlidingWindows(SETS)
    windows.add(frame(AUDIO, NOON_NS - 900 * MS, 5), NOON_NS)
    window = windows.window(NOON_NS)
    assert window.mask[AUDIO].tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert window.features[AUDIO][:, 0].tolist() == [5, 5, 5, 5, 0, 0, 0, 0, 0, 0]
    assert window.coverage[AUDIO] == pytest.approx(0.4)
    assert window.newest_ns == {AUDIO: NOON_NS - 900 * MS, PHYSIOLOGY: None}
    assert not window.mask[PHYSIOLOGY].any()


def test_what_was_measured_before_the_window_is_held_into_it() -> None:
    windows = SlidingWindows(SETS)
    windows.add(frame(AUDIO, NOON_NS - 1000 * MS, 5), NOON_NS)
    window = windows.window(NOON_NS)
    assert window.mask[AUDIO].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert window.newest_ns[AUDIO] is None, "it is not in the window"


def test_a_late_frame_corrects_the_windows_to_come() -> None:
    windows = SlidingWindows(SETS)
    windows.add(frame(AUDIO, NOON_NS - 250 * MS, 5), NOON_NS)
    assert windows.window(NOON_NS).features[AUDIO][-3:, 0].tolist() == [5, 5, 5]
    windows.add(frame(AUDIO, NOON_NS - 150 * MS, 8), NOON_NS + 50 * MS)
    assert windows.window(NOON_NS + STEP_NS).features[AUDIO][-4:, 0].tolist() == [5, 8, 8, 8]


def test_a_frame_without_a_face_counts_but_measures_nothing() -> None:
    windows = SlidingWindows(SETS)
    windows.add(frame(AUDIO, NOON_NS - 450 * MS, 5), NOON_NS)
    assert windows.add(frame(AUDIO, NOON_NS - 50 * MS, valid=False), NOON_NS) is None
    window = windows.window(NOON_NS)
    assert window.mask[AUDIO].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]
    assert window.newest_ns[AUDIO] == NOON_NS - 450 * MS
    assert window.frames_seen[AUDIO] == 2


def test_nothing_of_before_a_long_pause_comes_back_after_it() -> None:
    """The ring turns many times while nobody looks; its old values must not shine through."""
    windows, slow = SlidingWindows(SETS), SlowWindows()
    for step in range(-40, 1):
        windows.add(old := frame(AUDIO, NOON_NS + step * STEP_NS, step + 50), NOON_NS + step * STEP_NS)
        slow.add(old)
    slow.check(windows.window(NOON_NS))
    for later_ms in (100, 700, 3200, 6400, 100_000):
        slow.check(windows.window(NOON_NS + later_ms * MS))


def test_windows_are_numbered_alike_in_every_run() -> None:
    for rate_hz in RATES_HZ:
        windows = SlidingWindows(SETS, rate_hz)
        ids = [windows.window(NOON_NS + n * windows.period_ns).id for n in range(5)]
        assert ids == list(range(NOON_NS // windows.period_ns, NOON_NS // windows.period_ns + 5))


@pytest.mark.parametrize("rate_hz", [0, 3, 9.5, 100, -10])
def test_a_rate_that_does_not_fit_the_steps_is_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError, match=r"does not fit steps of 100 ms; possible: .*10, 20"):
        SlidingWindows(SETS, rate_hz)


def test_a_window_is_a_view_that_nobody_can_write_to() -> None:
    windows = SlidingWindows(SETS)
    places = []
    for step in range(40):
        end_ns = NOON_NS + step * STEP_NS
        windows.add(frame(AUDIO, end_ns, step), end_ns)
        window = windows.window(end_ns)
        for array in (window.features[AUDIO], window.mask[AUDIO]):
            assert array.flags.c_contiguous
            assert array.dtype == np.float32
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        assert window.features[AUDIO].shape == (STEPS_PER_WINDOW, SIZES[AUDIO])
        places.append(window.features[AUDIO])
    assert all(np.shares_memory(places[0].base, other.base) for other in places), "the ring itself, never a copy"
    assert all(place.base is not None for place in places)


# --- what is not used is counted ---------------------------------------------------------------------------------

GOOD = frame(AUDIO, NOON_NS - 10 * MS, 3)


def spoilt(index: int, value: float) -> FloatArray:
    values = GOOD.values.copy()
    values[index] = value
    return values


BAD_FRAMES = {
    "too short": (replace(GOOD, values=GOOD.values[:-1]), Rejection.WRONG_LENGTH),
    "too long": (replace(GOOD, values=np.zeros(257, np.float32)), Rejection.WRONG_LENGTH),
    "empty": (replace(GOOD, values=np.zeros(0, np.float32)), Rejection.WRONG_LENGTH),
    "two rows": (replace(GOOD, values=np.zeros((1, 24), np.float32)), Rejection.WRONG_LENGTH),
    "NaN": (replace(GOOD, values=spoilt(0, np.nan)), Rejection.NOT_FINITE),
    "infinity": (replace(GOOD, values=spoilt(23, -np.inf)), Rejection.NOT_FINITE),
    "another tool's features": (replace(GOOD, feature_set="opensmile-egemaps"), Rejection.OTHER_FEATURES),
    "a stamp of zero": (replace(GOOD, stamp_ns=0), Rejection.TOO_OLD),
    "five seconds ago": (replace(GOOD, stamp_ns=NOON_NS - 5000 * MS), Rejection.TOO_OLD),
    "before every window to come": (replace(GOOD, stamp_ns=NOON_NS - 1200 * MS), Rejection.TOO_OLD),
    "in five seconds": (replace(GOOD, stamp_ns=NOON_NS + 5000 * MS), Rejection.FROM_THE_FUTURE),
    "in 501 ms": (replace(GOOD, stamp_ns=NOON_NS + 501 * MS), Rejection.FROM_THE_FUTURE),
    "the same once more": (replace(GOOD, values=spoilt(0, 9)), Rejection.DUPLICATE),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_a_bad_frame_changes_nothing_but_its_count(name: str) -> None:
    bad, reason = BAD_FRAMES[name]
    windows = SlidingWindows(SETS)
    windows.window(NOON_NS)
    windows.add(GOOD, NOON_NS)
    before = windows.window(NOON_NS).features[AUDIO].copy()
    assert windows.add(bad, NOON_NS) is reason
    assert windows.rejected[AUDIO] == {reason: 1}
    assert windows.frames_seen[AUDIO] == 1
    assert np.array_equal(windows.window(NOON_NS).features[AUDIO], before)
    assert windows.add(replace(GOOD, stamp_ns=NOON_NS), NOON_NS) is None, "the next good one is welcome"


@pytest.mark.parametrize("value", [1e30, -3e38, 1e-40, 0.0])
def test_a_value_may_be_huge_or_tiny_as_long_as_it_is_finite(value: float) -> None:
    windows = SlidingWindows(SETS)
    assert windows.add(replace(GOOD, values=np.full(24, value, np.float32)), NOON_NS) is None
    assert windows.window(NOON_NS).features[AUDIO][-1, 0] == np.float32(value)


def test_a_little_ahead_of_the_clock_is_not_the_future() -> None:
    windows = SlidingWindows(SETS)
    assert windows.add(replace(GOOD, stamp_ns=NOON_NS + 500 * MS), NOON_NS) is None
    assert not windows.window(NOON_NS).mask[AUDIO].any(), "but it is not in a window that ends before it"


def test_the_latest_window_of_the_schedule_still_finds_its_frames() -> None:
    """A process that stood still catches up: windows end up to a jump and a period ago, frames may be 0.5 s ahead."""
    for rate_hz, steps in product(RATES_HZ, (range(-14, 26), (-12, 1, 25))):
        windows, slow = SlidingWindows(SETS, rate_hz), SlowWindows()
        now_ns = NOON_NS + JUMP_NS + windows.period_ns
        for step in steps:
            late = frame(AUDIO, NOON_NS + step * STEP_NS, step + 20)
            if windows.add(late, now_ns) is None:
                slow.add(late)
        slow.check(window := windows.window(NOON_NS))
        assert window.mask[AUDIO][0] == 1, "held into it from 300 ms before"
