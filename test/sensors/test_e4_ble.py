"""The wristband over Bluetooth: bleak's own BlueZ backend, a real HCI link, a virtual band that numbers its values."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from mmal_ros.sensors.ble import UNMEASURED_AFTER_S
from mmal_ros.sensors.e4_ble import E4Bluetooth
from mmal_ros.sensors.e4_packets import RATE_HZ, Layout, Stream
from mmal_ros.sensors.source import SourceState
from rigs.ble_e4_encoders import CYCLE, numbers_of
from rigs.ble_listener import Listener
from rigs.ble_process import RigProcess
from rigs.bluetooth import BUS_VARIABLE, WRISTBAND_ADDRESS, WRISTBAND_NAME, VirtualBluetooth

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def bluetooth() -> Iterator[VirtualBluetooth]:
    with VirtualBluetooth() as bluetooth:
        yield bluetooth


@pytest.fixture
def band(bluetooth: VirtualBluetooth) -> Iterator[RigProcess]:
    """Switched on, layout A."""
    band = bluetooth.switch_on_wristband()
    yield band
    bluetooth.switch_off(band)


def e4(layout: Literal["auto", "a", "b"] = "a") -> E4Bluetooth:
    return E4Bluetooth(WRISTBAND_NAME, time.time_ns, layout)


def assert_every_value_came_once(listener: Listener, stream: Stream, layout: Layout) -> None:
    numbers = numbers_of(stream, layout, listener.values(stream))
    assert np.all(np.diff(numbers) % CYCLE[stream, layout] == 1)


def assert_stamps_in_order(listener: Listener) -> None:
    for stream in Stream:
        ends_ns = [sample.end_ns for sample in listener.of(stream)]
        assert ends_ns == sorted(ends_ns)
    assert all(
        sample.end_ns <= received_ns for sample, received_ns in zip(listener.samples, listener.received_ns, strict=True)
    )


@pytest.mark.parametrize("layout", list(Layout))
def test_a_band_streams_and_no_value_is_lost_or_doubled(bluetooth: VirtualBluetooth, layout: Layout) -> None:
    """4, 32 and 64 Hz; the layout is found out, and what came before it was known comes too."""
    band = bluetooth.switch_on_wristband(layout.value)
    source = e4("auto")
    with Listener(source) as listener:
        listener.wait_for_more("bvp", 4 * 64)
        assert band.ask("tag") == "pressed"
        band.ask("battery", 87)
        listener.wait_for(lambda: bool(listener.of("tag") and listener.of("battery")))
        begun_ns = json.loads(band.ask("state"))["start_ns"]
    bluetooth.switch_off(band)
    assert source.layout is layout
    assert source.status.malformed == 0
    assert listener.of("battery")[0].values[0] == pytest.approx(0.87)
    assert_stamps_in_order(listener)
    for stream in Stream:
        assert_every_value_came_once(listener, stream, layout)
        samples = listener.of(stream)
        assert abs(samples[0].stamp_ns - begun_ns) < 0.2 * SECOND, "the first value came too"
        counted = len(listener.values(stream)) - 1
        assert counted / (samples[-1].end_ns - samples[0].stamp_ns) * SECOND == pytest.approx(RATE_HZ[stream], rel=0.02)
    assert source.status.state is SourceState.ENDED


def test_the_band_is_told_the_time(bluetooth: VirtualBluetooth, band: RigProcess) -> None:
    """Found by its address this time."""
    with Listener(E4Bluetooth(WRISTBAND_ADDRESS.lower(), time.time_ns, "a")) as listener:
        listener.wait_for_more("acc", 1)
        assert abs(json.loads(band.ask("state"))["told_s"] - time.time()) < 20


def test_the_link_is_lost_and_the_band_comes_back_without_repeating_itself(
    bluetooth: VirtualBluetooth, band: RigProcess
) -> None:
    with Listener(e4()) as listener:
        listener.wait_for_more("acc", 64)
        bluetooth.drop()
        status = listener.wait_for_state(SourceState.LOST)
        assert "link to Empatica E4 is lost" in status.message
        listener.wait_for_more("acc", 64)
        assert listener.source.status.state is SourceState.STREAMING
        assert listener.source.status.message == ""
        assert listener.source.status.reconnects == 1
    assert_stamps_in_order(listener)
    numbers = numbers_of(Stream.ACC, Layout.A, listener.values("acc"))
    assert len(np.unique(numbers)) == len(numbers)
    assert np.all(np.diff(numbers) > 0)


def test_a_band_that_is_connected_but_silent_is_noticed_and_connected_anew(
    bluetooth: VirtualBluetooth, band: RigProcess
) -> None:
    with Listener(e4()) as listener:
        listener.wait_for_more("acc", 32)
        band.ask("stall")
        status = listener.wait_for_state(SourceState.SILENT)
        assert "connected but has sent nothing" in status.message
        assert json.loads(band.ask("state"))["connected"], "no event told us: the watchdog did"
        listener.wait_for_state(SourceState.LOST)
        band.ask("resume")
        listener.wait_for_more("acc", 32)
        assert listener.source.status.reconnects >= 1
    numbers = numbers_of(Stream.ACC, Layout.A, listener.values("acc"))
    assert np.all(np.diff(numbers) > 0)


def test_the_child_runs_out_of_range_and_comes_back(bluetooth: VirtualBluetooth, band: RigProcess) -> None:
    with Listener(e4()) as listener:
        listener.wait_for_more("acc", 32)
        bluetooth.go_out_of_range()
        listener.wait_for_state(SourceState.LOST)
        bluetooth.come_back()
        listener.wait_for_more("acc", 32)
    assert_stamps_in_order(listener)
    assert np.all(np.diff(numbers_of(Stream.ACC, Layout.A, listener.values("acc"))) > 0)


def test_a_band_that_is_still_off_is_looked_for_until_it_is_there(bluetooth: VirtualBluetooth) -> None:
    strap = bluetooth.switch_on_strap()
    with Listener(e4()) as listener:
        listener.wait_for_message("looking for the Bluetooth device Empatica E4")
        listener.wait_for_message("heard only Strap H7); switch it on and bring it near")
        assert listener.source.status.state is SourceState.STARTING
        band = bluetooth.switch_on_wristband()
        listener.wait_for_more("acc", 32)
    bluetooth.switch_off(band)
    bluetooth.switch_off(strap)
    assert listener.states()[:2] == [SourceState.STARTING, SourceState.STREAMING]


def test_a_packet_that_cannot_be_read_is_counted_and_the_rest_goes_on(
    bluetooth: VirtualBluetooth, band: RigProcess
) -> None:
    source = e4()
    with Listener(source) as listener:
        listener.wait_for_more("acc", 6)
        band.ask("garbage")
        listener.wait_for(lambda: source.status.malformed == 1)
        assert "has 7 bytes, expected 18 or 20" in source.status.newest_malformed
        listener.wait_for_more("acc", 32)
    assert_every_value_came_once(listener, Stream.ACC, Layout.A)
    assert not any("has 7 bytes" in status.message for status in listener.history), "one packet is no trouble"


def test_a_band_of_which_nothing_can_be_read_is_silent_and_says_why(
    bluetooth: VirtualBluetooth, band: RigProcess
) -> None:
    """Its button and its battery work, which is no measurement."""
    source = e4()
    with Listener(source) as listener:
        listener.wait_for_more("acc", 6)
        band.ask("stall")
        until_s = time.monotonic() + UNMEASURED_AFTER_S + 2
        while time.monotonic() < until_s:
            band.ask("garbage")
            band.ask("tag")
            band.ask("battery 50")
            time.sleep(0.2)
        listener.wait_for(lambda: listener.of("tag"))
        assert source.status.state is SourceState.SILENT
        assert "has 7 bytes, expected 18 or 20" in source.status.message
        assert source.status.reconnects == 0
        band.ask("resume")
        listener.wait_for_more("acc", 32)
        assert source.status.state is SourceState.STREAMING
        assert source.status.message == ""


def test_a_band_half_a_percent_too_fast_keeps_true_stamps(bluetooth: VirtualBluetooth) -> None:
    """After 13 s its own count would be 65 ms ahead; the first seconds are for settling."""
    band = bluetooth.switch_on_wristband(rate_error=0.005)
    with Listener(e4()) as listener:
        listener.wait_for_more("acc", 13 * 32)
        state = json.loads(band.ask("state"))
    bluetooth.switch_off(band)
    for stream in Stream:
        taken = 0
        for sample in listener.of(stream):
            truth_ns = state["start_ns"] + taken / (RATE_HZ[stream] * 1.005) * SECOND
            taken += len(sample.values)
            if taken > 8 * RATE_HZ[stream]:
                assert abs(sample.stamp_ns - truth_ns) < 0.050 * SECOND


def test_the_wearer_s_band_hangs_while_we_connect_and_closing_does_not_wait_for_it(
    bluetooth: VirtualBluetooth, band: RigProcess
) -> None:
    band.freeze()
    with Listener(e4()) as listener:
        time.sleep(2.0)  # found, linked, and now waiting for its list of services
        begun_s = time.monotonic()
        listener.source.close()
        assert time.monotonic() - begun_s < 2.0
    assert not listener.samples


def test_the_computer_s_bluetooth_service_hangs_and_closing_does_not_wait_for_it() -> None:
    with VirtualBluetooth() as bluetooth:
        bluetooth.switch_on_wristband()
        with Listener(e4()) as listener:
            listener.wait_for_more("acc", 6)
            bluetooth.hang_service()
            begun_s = time.monotonic()
            listener.source.close()
            assert time.monotonic() - begun_s < 2.0


def test_a_computer_without_an_adapter_says_so() -> None:
    with VirtualBluetooth(adapter=False), Listener(e4()) as listener:
        listener.wait_for_message("no usable Bluetooth adapter")
        assert listener.source.status.state is SourceState.STARTING


def test_a_computer_without_d_bus_says_so_and_keeps_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUS_VARIABLE, "unix:path=/nonexistent/bus")
    with Listener(e4()) as listener:
        listener.wait_for_message("no system D-Bus, which Bluetooth needs: apt install dbus bluez")
        begun_s = time.monotonic()
        assert listener.source.status.state is SourceState.STARTING
        listener.source.close()
        assert time.monotonic() - begun_s < 2.0


def test_a_computer_without_bleak_is_told_what_to_install() -> None:
    program = "import sys; sys.modules['bleak'] = None; import mmal_ros.sensors.e4_ble"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "SourceError: Bluetooth needs the Python package bleak: pip install 'mmal_ros[robot]'" in result.stderr
