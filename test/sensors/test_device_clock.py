"""A device counts its samples; when, on our clock, was each of them measured?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmal_ros.sensors.device_clock import DeviceClock
from mmal_ros.sensors.e4_ble import LOST_NS, LOST_PROOF_NS

SECOND = 1_000_000_000
HOST_START = 1_700_000_000 * SECOND
SETTLING_S = 16.0
"""Until after the first stall: nothing can be extrapolated over 8 s from 5 packets of skin conductance."""
TIGHT = (LOST_NS, LOST_PROOF_NS)
PACKET_PERIODS_S = {"acc": 3 / 32, "bvp": 11 / 64, "eda": 6 / 4, "heart rate": 1.0}


def replay(
    device_s: Iterable[float], arrival_s: Iterable[float], *limits_ns: int
) -> tuple[NDArray[np.float64], DeviceClock]:
    """The stamps in seconds, on the host's clock."""
    clock = DeviceClock(*limits_ns)
    stamps = [
        clock.to_host(round(device * SECOND), HOST_START + round(arrival * SECOND))
        for device, arrival in zip(device_s, arrival_s, strict=True)
    ]
    return (np.array(stamps) - HOST_START) / SECOND, clock


def delivered(truth_s: NDArray[np.float64], seed: int, jitter_s: float, stall_s: float) -> NDArray[np.float64]:
    """Arrivals in order: 3 ms of transport, random jitter, and every 15 s a stall whose back-log comes at once."""
    random = np.random.default_rng(seed)
    arrival_s = truth_s + 0.003 + random.exponential(jitter_s, len(truth_s))
    for begin_s in np.arange(7.0, truth_s[-1], 15.0):
        held_back = (arrival_s >= begin_s) & (arrival_s < begin_s + stall_s)
        arrival_s[held_back] = begin_s + stall_s
    return np.maximum.accumulate(arrival_s)


@settings(max_examples=60, deadline=None, phases=[Phase.reuse, Phase.generate])  # shrinking would take minutes
@given(
    rate_error=st.sampled_from([-0.005, 0.0, 0.005]),
    device_start_s=st.floats(-1e6, 1e9),
    period_s=st.sampled_from(sorted(PACKET_PERIODS_S.values())),
    jitter_s=st.floats(0.0, 0.015),
    stall_s=st.sampled_from([0.0, 0.5, 3.0, 8.0]),
    seed=st.integers(0, 10_000),
)
def test_a_band_half_a_percent_wrong_stays_within_50_ms(
    rate_error: float, device_start_s: float, period_s: float, jitter_s: float, stall_s: float, seed: int
) -> None:
    truth_s = np.arange(0.0, 120.0, period_s)
    arrival_s = delivered(truth_s, seed, jitter_s, stall_s)
    stamps_s, clock = replay(device_start_s + truth_s * (1 + rate_error), arrival_s)
    settled = truth_s > SETTLING_S
    assert np.abs(stamps_s - truth_s)[settled].max() < 0.050
    assert clock.jumps == 0


def test_counting_alone_would_be_half_a_second_wrong() -> None:
    """Shows that the test above can fail."""
    truth_s = np.arange(0.0, 100.0, PACKET_PERIODS_S["acc"])
    naive_s = truth_s * 1.005
    assert np.abs(naive_s - truth_s).max() > 0.45


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-20, 20), st.floats(0, 20), st.floats(0, 5)),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_a_device_says_a_stamp_is_neither_later_than_arrival_nor_before_the_last(
    steps: list[tuple[float, float, float]],
) -> None:
    device_s = np.cumsum([step for step, _, _ in steps])
    arrival_s = np.cumsum([pause for _, pause, _ in steps])
    stamps_s, _ = replay(device_s, arrival_s)
    assert np.all(stamps_s <= arrival_s + 1e-9)
    assert np.all(np.diff(stamps_s) >= 0)


@pytest.mark.parametrize("jump_s", [-500.0, -2.0, 2.0, 500.0])
def test_a_band_whose_clock_jumps_is_right_again_soon(jump_s: float) -> None:
    truth_s = np.arange(0.0, 60.0, PACKET_PERIODS_S["acc"])
    device_s = truth_s + np.where(truth_s > 30.0, jump_s, 0.0)
    stamps_s, clock = replay(device_s, delivered(truth_s, seed=1, jitter_s=0.01, stall_s=0.0))
    assert clock.jumps == 1
    assert np.abs(stamps_s - truth_s)[truth_s > 33.0].max() < 0.050


def test_a_band_that_stops_counting_for_a_while_is_right_again_soon() -> None:
    """Its counter falls behind by 5 s although every packet comes in time."""
    truth_s = np.concatenate([np.arange(0.0, 30.0, 0.1), np.arange(35.0, 60.0, 0.1)])
    device_s = np.where(truth_s < 30.0, truth_s, truth_s - 5.0)
    stamps_s, clock = replay(device_s, truth_s + 0.003)
    assert clock.jumps == 1
    assert np.abs(stamps_s - truth_s)[truth_s > 38.0].max() < 0.050


def test_a_back_log_of_ten_seconds_is_no_jump_and_keeps_its_old_stamps() -> None:
    truth_s = np.arange(0.0, 60.0, 0.1)
    arrival_s = np.where((truth_s > 30.0) & (truth_s < 40.0), 40.0, truth_s) + 0.003
    stamps_s, clock = replay(truth_s, arrival_s)
    assert clock.jumps == 0
    assert np.abs(stamps_s - truth_s).max() < 0.050


@pytest.mark.parametrize("lost_s", [0.4, 0.8, 3.0])
def test_a_band_that_was_out_of_reach_for_a_moment_is_right_again_within_a_second(lost_s: float) -> None:
    """The link stays, but what was measured meanwhile is lost, so the count falls behind."""
    truth_s = np.arange(0.0, 60.0, PACKET_PERIODS_S["acc"])
    heard = (truth_s < 30.0) | (truth_s > 30.0 + lost_s)
    device_s = np.arange(heard.sum()) * PACKET_PERIODS_S["acc"]
    truth_s = truth_s[heard]
    stamps_s, clock = replay(device_s, delivered(truth_s, seed=1, jitter_s=0.01, stall_s=0.0), *TIGHT)
    assert clock.jumps == 1
    assert np.abs(stamps_s - truth_s)[truth_s > 31.0 + lost_s].max() < 0.050


def test_a_back_log_that_is_delivered_slowly_is_no_jump() -> None:
    """Twice as fast as it was measured, after 3 s without any."""
    truth_s = np.arange(0.0, 60.0, 0.1)
    arrival_s = np.where((truth_s > 30.0) & (truth_s < 36.0), 33.0 + (truth_s - 30.0) / 2, truth_s) + 0.003
    stamps_s, clock = replay(truth_s, arrival_s, *TIGHT)
    assert clock.jumps == 0
    assert np.abs(stamps_s - truth_s).max() < 0.050


def test_lost_samples_are_made_up_for_within_half_a_minute() -> None:
    """A band that drops one packet of BVP counts 172 ms too little from then on."""
    truth_s = np.arange(0.0, 120.0, PACKET_PERIODS_S["bvp"])
    device_s = truth_s - np.where(truth_s > 60.0, PACKET_PERIODS_S["bvp"], 0.0)
    stamps_s, _ = replay(device_s, truth_s + 0.003)
    assert np.abs(stamps_s - truth_s)[truth_s > 90.0].max() < 0.050


def test_the_computer_s_clock_steps_back_and_stamps_follow_it() -> None:
    truth_s = np.arange(0.0, 40.0, 0.1)
    arrival_s = truth_s - np.where(truth_s > 20.0, 5.0, 0.0)
    stamps_s, clock = replay(truth_s, arrival_s)
    assert clock.jumps == 1
    assert np.abs(stamps_s - arrival_s)[truth_s > 21.0].max() < 0.050
