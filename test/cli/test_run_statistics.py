"""What a run says of itself at its end."""

from __future__ import annotations

import math

import pytest

from mmal_ros.cli import run_statistics
from mmal_ros.cli.run_statistics import RunStatistics, Times


def test_times_are_told_in_milliseconds_and_none_are_no_number():
    times = Times()
    assert all(map(math.isnan, times.percentiles_ms()))
    for milliseconds in range(101):
        times.add(milliseconds / 1000)
    assert times.percentiles_ms() == pytest.approx((50, 99), abs=1e-3)


def test_only_the_last_times_count_and_take_no_more_memory(monkeypatch):
    monkeypatch.setattr(run_statistics, "KEPT", 10)
    times = Times()
    for seconds in [*[9.0] * 10, *[1.0] * 10]:
        times.add(seconds)
    assert times.percentiles_ms() == (1000, 1000)


def test_an_estimate_of_nothing_has_a_computing_time_and_no_latency():
    statistics = RunStatistics()
    statistics.note(None, math.nan, 0.002)
    assert (statistics.estimates, statistics.unknown) == (1, 1)
    assert math.isnan(statistics.latencies.percentiles_ms()[0])
    assert statistics.compute_times.percentiles_ms()[0] == pytest.approx(2)
