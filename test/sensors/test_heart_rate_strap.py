"""Any chest strap: its packets, and a virtual one over a real HCI link."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmal_ros.sensors.ble import RECONNECT_AFTER_S, UNMEASURED_AFTER_S
from mmal_ros.sensors.heart_rate_strap import HeartRatePacketError, HeartRateStrap, decode_heart_rate
from mmal_ros.sensors.source import SourceState
from rigs.ble_listener import Listener
from rigs.ble_process import TEST_FOLDER, RigProcess
from rigs.ble_strap import INTERVAL_PATTERN_TICKS
from rigs.bluetooth import STRAP_NAME, VirtualBluetooth

SECOND = 1_000_000_000


@given(
    rate=st.integers(0, 65535),
    energy=st.none() | st.integers(0, 65535),
    ticks=st.lists(st.integers(0, 65535), max_size=9),
    contact=st.sampled_from([0x00, 0x02, 0x04, 0x06]),
    wide=st.booleans(),
)
def test_every_form_of_the_standard_packet_is_read(
    rate: int, energy: int | None, ticks: list[int], contact: int, wide: bool
) -> None:
    rate = rate if wide else rate % 256
    flags = wide | contact | (0x08 if energy is not None else 0) | (0x10 if ticks else 0)
    packet = struct.pack("<BH" if wide else "<BB", flags, rate)
    packet += struct.pack("<H", energy) if energy is not None else b""
    packet += struct.pack(f"<{len(ticks)}H", *ticks)
    measurement = decode_heart_rate(packet)
    assert measurement.beats_per_minute == rate
    assert measurement.worn is (contact != 0x04)
    np.testing.assert_allclose(measurement.intervals_s, np.array(ticks) / 1024, rtol=1e-6)


@given(st.binary(max_size=24))
def test_any_bytes_give_intervals_or_the_one_documented_error(packet: bytes) -> None:
    flags = packet[0] if packet else 0
    shortest = 2 + bool(flags & 0x01) + 2 * bool(flags & 0x08)
    if len(packet) < shortest or (flags & 0x10 and (len(packet) - shortest) % 2):
        with pytest.raises(HeartRatePacketError, match="expected"):
            decode_heart_rate(packet)
    else:
        assert np.isfinite(decode_heart_rate(packet).intervals_s).all()


def test_an_example_worked_out_by_hand() -> None:
    """Flags 0x16: worn, with intervals; 61 1/min; 1024 and 512 ticks."""
    measurement = decode_heart_rate(bytes([0x16, 61, 0x00, 0x04, 0x00, 0x02]))
    assert (measurement.beats_per_minute, measurement.worn) == (61, True)
    assert measurement.intervals_s.tolist() == [1.0, 0.5]


@pytest.fixture(scope="module")
def bluetooth() -> Iterator[VirtualBluetooth]:
    with VirtualBluetooth() as bluetooth:
        yield bluetooth


@pytest.fixture
def strap(bluetooth: VirtualBluetooth) -> Iterator[RigProcess]:
    strap = bluetooth.switch_on_strap()
    yield strap
    bluetooth.switch_off(strap)


def test_every_beat_comes_once_with_its_own_time(bluetooth: VirtualBluetooth, strap: RigProcess) -> None:
    """A notification tells up to three beats, up to a second late; each gets the time when it ended."""
    with Listener(HeartRateStrap(STRAP_NAME, time.time_ns)) as listener:
        listener.wait_for_more("ibi", 14)
        beats_ns = np.array(json.loads(strap.ask("beats")))
    period = len(INTERVAL_PATTERN_TICKS)
    ticks = np.rint(listener.values("ibi") * 1024).astype(int).tolist()
    pattern = list(INTERVAL_PATTERN_TICKS) * (len(ticks) // period + 2)
    (first,) = [i for i in range(period) if pattern[i : i + len(ticks)] == ticks]  # in order, none lost or doubled
    stamps_ns = np.array([sample.stamp_ns for sample in listener.samples])
    possible = [beats_ns[i : i + len(ticks)] for i in range(first, len(beats_ns) - len(ticks) + 1, period)]
    late_ns = min((stamps_ns - beats for beats in possible), key=lambda late: np.abs(late).max())
    assert np.abs(late_ns[period:]).max() < 0.35 * SECOND
    assert all(s.end_ns <= received for s, received in zip(listener.samples, listener.received_ns, strict=True))


def test_a_strap_that_is_taken_off_says_so_and_goes_on_when_put_on(
    bluetooth: VirtualBluetooth, strap: RigProcess
) -> None:
    with Listener(HeartRateStrap(STRAP_NAME, time.time_ns)) as listener:
        listener.wait_for_more("ibi", 2)
        strap.ask("take_off")
        listener.wait_for_message("touches no skin")
        assert listener.source.status.state is SourceState.SILENT
        time.sleep(UNMEASURED_AFTER_S + 1)
        listener.wait_for_message("touches no skin")
        assert listener.source.status.state is SourceState.SILENT
        strap.ask("put_on")
        listener.wait_for_more("ibi", 2)
        assert listener.source.status.state is SourceState.STREAMING
        assert listener.source.status.message == ""
    assert not any("intervals" in status.message for status in listener.history)


STRAP_ON_A_HEART = """
import asyncio, sys
from rigs import ble_strap
ble_strap.INTERVAL_PATTERN_TICKS = (int(sys.argv[2]),)
asyncio.run(ble_strap.main(sys.argv[1]))
"""
NEVER_TICKS = 1 << 40


@contextmanager
def strap_on_a_heart(bluetooth: VirtualBluetooth, ticks: int) -> Iterator[None]:
    """The virtual strap, worn, with so long between two beats."""
    command = [sys.executable, "-c", STRAP_ON_A_HEART, bluetooth._socket("strap"), str(ticks)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=TEST_FOLDER, text=True, **pipes) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


def test_a_strap_that_tells_no_intervals_is_silent_and_says_why(bluetooth: VirtualBluetooth) -> None:
    """It is connected and sends a heart rate every second, which is nothing that is of use."""
    with strap_on_a_heart(bluetooth, NEVER_TICKS), Listener(HeartRateStrap(STRAP_NAME, time.time_ns)) as listener:
        listener.wait_for_message("is connected but tells no intervals between beats")
        assert listener.source.status.state is SourceState.SILENT
        time.sleep(RECONNECT_AFTER_S + 1)
        listener.wait_for_message("is connected but tells no intervals between beats")
        assert listener.source.status.reconnects == 0
    messages = [status.message for status in listener.history if status.state is SourceState.STARTING]
    assert messages[-1] == "", "it is looked for no more"


def test_the_slowest_heart_is_not_taken_for_silence(bluetooth: VirtualBluetooth) -> None:
    """Thirty beats a minute: every other notification has none."""
    with strap_on_a_heart(bluetooth, 2048), Listener(HeartRateStrap(STRAP_NAME, time.time_ns)) as listener:
        listener.wait_for_more("ibi", 8)
        assert set(listener.values("ibi")) == {2.0}
    assert not any("intervals" in status.message for status in listener.history)


def test_a_strap_whose_link_is_lost_is_found_again(bluetooth: VirtualBluetooth, strap: RigProcess) -> None:
    with Listener(HeartRateStrap(STRAP_NAME, time.time_ns)) as listener:
        listener.wait_for_more("ibi", 2)
        bluetooth.drop()
        listener.wait_for_state(SourceState.LOST)
        listener.wait_for_more("ibi", 2)
        assert listener.source.status.reconnects == 1
    stamps_ns = [sample.stamp_ns for sample in listener.samples]
    assert stamps_ns == sorted(stamps_ns)
