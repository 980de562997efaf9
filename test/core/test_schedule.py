"""An estimate is due at every step of the clock: early when all is there, late by a bounded delay, never left out."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mmal_ros.datatypes import STEP_NS, Modality
from mmal_ros.schedule import Schedule

MS = 1_000_000
NOON_NS = 1_800_000_000_000_000_000
MAX_DELAY_NS = 40 * MS
FACE, BODY, PHYSIOLOGY, AUDIO = Modality


def started() -> Schedule:
    """A schedule that has seen noon pass; the next end is noon + 100 ms."""
    schedule = Schedule(STEP_NS, MAX_DELAY_NS)
    assert list(schedule.due(NOON_NS)) == []
    return schedule


def run(schedule: Schedule, from_ms: int, to_ms: int) -> dict[int, int]:
    """Ask every millisecond; {end: when it was due}, both in ms after noon."""
    found = {}
    for now_ms in range(from_ms, to_ms + 1):
        for end_ns in schedule.due(NOON_NS + now_ms * MS):
            found[(end_ns - NOON_NS) // MS] = now_ms
    return found


def play(schedule: Schedule, modality: Modality, stamps_ms: range, late_ms: int, until_ms: int) -> dict[int, int]:
    """Frames of one modality that each come `late_ms` after their stamp, and what was due when."""
    found, now_ms = {}, 0
    for stamp_ms in stamps_ms:
        found |= run(schedule, now_ms, stamp_ms + late_ms - 1)
        now_ms = stamp_ms + late_ms
        schedule.note(modality, NOON_NS + stamp_ms * MS, NOON_NS + now_ms * MS)
    return found | run(schedule, now_ms, until_ms)


def test_with_every_sensor_dead_the_estimates_come_on_the_dot() -> None:
    assert run(started(), 0, 1000) == {end: end for end in range(100, 1001, 100)}


def test_a_camera_whose_features_take_30_ms_is_waited_for() -> None:
    """At 25 frames/s the one stamped 80 ms belongs in the first window; it comes at 110, and nothing else is due."""
    found = play(started(), FACE, range(0, 1001, 40), late_ms=30, until_ms=1035)
    assert all(end + 10 <= due <= end + 30 for end, due in found.items())
    assert list(found) == list(range(100, 1001, 100))


def test_nobody_is_waited_for_longer_than_the_limit() -> None:
    """The microphone sends its step 60 ms late once: the estimate goes out after 40 ms."""
    schedule = started()
    play(schedule, AUDIO, range(100, 501, 100), late_ms=5, until_ms=560)
    assert run(schedule, 561, 659) == {600: 640}


def test_a_sensor_that_always_comes_too_late_is_not_waited_for_in_vain() -> None:
    """A wristband that sends packets of a second: its features are 200 to 300 ms old when they come."""
    found = play(started(), PHYSIOLOGY, range(0, 2001, 100), late_ms=250, until_ms=2250)
    assert all(due == end for end, due in found.items() if end > 600)


def test_a_sensor_that_fell_silent_is_waited_for_only_while_its_return_could_matter() -> None:
    """As long as a window still has something of it, the return of the sensor would change the estimate."""
    schedule = started()
    found = play(schedule, AUDIO, range(0, 501, 100), late_ms=5, until_ms=3000)
    assert found[1400] == 1440, "in the window up to 1400 ms is what was measured at 500 ms: its return may matter"
    assert all(found[end] == end for end in range(1500, 3001, 100))
    assert list(found) == list(range(100, 3001, 100))


def test_a_second_sensor_is_waited_for_when_the_first_is_quick() -> None:
    schedule = started()
    for now_ms in range(1001):
        if now_ms % 20 == 0:
            schedule.note(FACE, NOON_NS + now_ms * MS, NOON_NS + now_ms * MS)
        if now_ms % 100 == 15 and now_ms > 100:
            schedule.note(AUDIO, NOON_NS + (now_ms - 15) * MS, NOON_NS + now_ms * MS)
        for end_ns in schedule.due(NOON_NS + now_ms * MS):
            if now_ms > 300:
                assert (NOON_NS + now_ms * MS - end_ns) == 15 * MS


def test_a_frame_that_comes_late_or_twice_does_not_confuse_the_expectation() -> None:
    schedule = started()
    play(schedule, AUDIO, range(100, 501, 100), late_ms=5, until_ms=520)
    for old_ms in (300, 500):
        schedule.note(AUDIO, NOON_NS + old_ms * MS, NOON_NS + 520 * MS)
    assert run(schedule, 521, 620) == {}, "600 is still expected"
    schedule.note(AUDIO, NOON_NS + 600 * MS, NOON_NS + 620 * MS)
    assert list(schedule.due(NOON_NS + 620 * MS)) == [NOON_NS + 600 * MS]


# --- the clock is set --------------------------------------------------------------------------------------------


def test_a_clock_set_ahead_by_five_seconds_leaves_windows_out_and_counts_them() -> None:
    schedule = started()
    run(schedule, 0, 1000)
    assert run(schedule, 6000, 6500) == {end: max(end, 6000) for end in range(6000, 6501, 100)}
    assert schedule.skipped == 49, "those from 1100 to 5900"
    assert not schedule.stepped_back(NOON_NS + 6500 * MS)


def test_a_process_that_stood_still_for_a_second_catches_up() -> None:
    schedule = started()
    run(schedule, 0, 1000)
    assert list(run(schedule, 2000, 2000)) == list(range(1100, 2001, 100))
    assert schedule.skipped == 0


def test_a_clock_set_back_by_five_seconds_is_noticed() -> None:
    schedule = started()
    run(schedule, 0, 6000)
    assert schedule.stepped_back(NOON_NS + 1000 * MS)
    assert not schedule.stepped_back(NOON_NS + 5990 * MS), "a slewing clock is no jump"
    assert not Schedule(STEP_NS).stepped_back(0), "nothing was expected yet"


# --- every end exactly once --------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from([None, *Modality]), st.integers(-100, 500)), max_size=60),
    st.sampled_from([20, 25, 50, 100, 200, 500, 1000]),
    st.sampled_from([0, 40, 300]),
    st.lists(st.integers(0, 60), max_size=2),
)
def test_every_end_comes_exactly_once_in_order_and_in_time(
    events: list[tuple[int, Modality | None, int]], period_ms: int, max_delay_ms: int, jumps: list[int]
) -> None:
    schedule = Schedule(period_ms * MS, max_delay_ms * MS)
    now_ns, ends, jumped = NOON_NS, [], False
    assert list(schedule.due(now_ns)) == []
    for index, (wait_ms, modality, age_ms) in enumerate(events):
        now_ns += (wait_ms + 5000 * (index in jumps)) * MS
        jumped |= index in jumps
        if modality is not None:
            schedule.note(modality, now_ns - age_ms * MS, now_ns)
        for end_ns in schedule.due(now_ns):
            ends.append(end_ns)
            assert end_ns <= now_ns
        next_ns = NOON_NS + (len(ends) + schedule.skipped + 1) * period_ms * MS
        assert now_ns < next_ns + max_delay_ms * MS, "nothing that is overdue is kept back"
    ends += schedule.due(now_ns + max_delay_ms * MS)
    gaps = [(b - a) // (period_ms * MS) for a, b in itertools.pairwise([NOON_NS, *ends])]
    assert all(gap >= 1 for gap in gaps)
    assert sum(gap - 1 for gap in gaps) == schedule.skipped
    if not jumped:
        assert schedule.skipped == 0


def test_a_caller_who_stops_after_the_first_gets_the_second_next() -> None:
    schedule = started()
    later_ns = NOON_NS + 300 * MS
    assert next(schedule.due(later_ns)) == NOON_NS + 100 * MS
    assert list(schedule.due(later_ns)) == [NOON_NS + 200 * MS, NOON_NS + 300 * MS]


@given(st.integers(0, 3000), st.sampled_from([20, 100, 1000]))
def test_who_sleeps_as_long_as_told_misses_nothing(after_ms: int, period_ms: int) -> None:
    """Between now and the told time nothing becomes due by itself."""
    schedule = Schedule(period_ms * MS, MAX_DELAY_NS)
    assert schedule.wait_ns(NOON_NS) == period_ms * MS
    list(schedule.due(NOON_NS))
    schedule.note(AUDIO, NOON_NS, NOON_NS)
    now_ns = NOON_NS
    while now_ns < NOON_NS + after_ms * MS:
        wait_ns = schedule.wait_ns(now_ns)
        assert wait_ns >= MS
        assert list(schedule.due(now_ns + wait_ns - MS)) == []
        now_ns += wait_ns
        assert all(now_ns <= end_ns + MAX_DELAY_NS for end_ns in schedule.due(now_ns))
