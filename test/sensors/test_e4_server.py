"""What the engagement node hears when the wristband comes through the official E4 streaming server."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors import e4_lines
from mmal_ros.sensors.e4_lines import LineError, LinkChange, Measurement, Reply, parse_devices, parse_line
from mmal_ros.sensors.e4_server import E4StreamingServer
from mmal_ros.sensors.source import SourceState
from rigs.e4_server import DEVICE, STREAMS, E4Server

GENEROUS_S = 20.0


class Listener:
    """Reads a source in a thread and keeps what comes, with the moment of its coming."""

    def __init__(self, port: int, device: str = DEVICE) -> None:
        self.source = E4StreamingServer("127.0.0.1", port, device, time.time_ns)
        self.heard: list[tuple[int, Sample]] = []
        self._thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        for sample in self.source:
            self.heard.append((time.time_ns(), sample))

    def __enter__(self) -> Listener:
        self.source.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self._thread.join(GENEROUS_S)
        assert not self._thread.is_alive()

    def of(self, source: str) -> list[Sample]:
        return [sample for _, sample in list(self.heard) if sample.source == source]

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + GENEROUS_S
        while not condition():
            assert time.monotonic() < deadline, self.source.status
            time.sleep(0.02)

    def wait_for_new_data(self) -> None:
        before = len(self.heard)
        self.wait_for(lambda: len(self.heard) > before + 10)


@pytest.fixture
def server() -> Iterator[E4Server]:
    with E4Server() as running:
        yield running


def test_every_stream_arrives_complete_and_in_our_units(server: E4Server) -> None:
    with Listener(server.port) as listener:
        listener.wait_for(
            lambda: {"acc", "bvp", "eda", "temperature", "ibi", "battery"} <= {s.source for _, s in listener.heard}
        )
        server.steer("press")
        listener.wait_for(lambda: listener.of("tag"))
        listener.wait_for(lambda: sum(len(s.values) for s in listener.of("bvp")) > 100)
    assert listener.source.status.state is SourceState.ENDED
    acc = np.concatenate([sample.values for sample in listener.of("acc")])
    assert acc.shape[1] == 3
    assert acc.dtype == np.float32
    np.testing.assert_allclose(acc[:, 2], 62 / 64)
    assert listener.of("eda")[0].values[0] == pytest.approx(2.0, abs=0.5)
    assert listener.of("ibi")[0].values[0] == pytest.approx(0.833)
    assert listener.of("battery")[0].values.tolist() == pytest.approx([0.87])
    assert listener.of("tag")[0].values.tolist() == [1.0]
    assert listener.source.status.dropped == 0


def test_no_value_of_the_pulse_is_lost_or_doubled(server: E4Server) -> None:
    with Listener(server.port) as listener:
        listener.wait_for(lambda: sum(len(s.values) for s in listener.of("bvp")) > 200)
    heard = [float(value) for sample in listener.of("bvp") for value in sample.values]
    sent = [float(STREAMS["bvp"].value(n / 64)) for n in range(64 * 30)]
    first = next(n for n in range(len(sent)) if sent[n : n + 20] == pytest.approx(heard[:20]))
    assert heard == pytest.approx(sent[first : first + len(heard)])


def test_stamps_lie_before_the_arrival_and_never_go_back(server: E4Server) -> None:
    with Listener(server.port) as listener:
        listener.wait_for(lambda: len(listener.of("bvp")) > 20)
    newest: dict[str, int] = defaultdict(int)
    for arrival_ns, sample in listener.heard:
        assert sample.end_ns <= arrival_ns
        assert sample.end_ns >= newest[sample.source]
        newest[sample.source] = sample.end_ns


def test_a_wristband_that_runs_one_percent_slow_stays_aligned() -> None:
    """Its own stamps fall behind by 10 ms a second, 120 ms at the end; ours must not."""
    with E4Server(rate_factor=0.99) as server, Listener(server.port) as listener:
        listener.wait_for(lambda: len(listener.of("bvp")) > 75)
    late_ms = [(arrival - s.end_ns) / 1e6 for arrival, s in listener.heard if s.source == "bvp"]
    assert np.median(late_ms[-20:]) < 50


def test_server_killed_and_started_again(server: E4Server) -> None:
    with Listener(server.port) as listener:
        listener.wait_for_new_data()
        server.kill()
        listener.wait_for(lambda: listener.source.status.state is SourceState.LOST)
        assert "trying again" in listener.source.status.message
        server.start()
        listener.wait_for_new_data()
        assert listener.source.status.state is SourceState.STREAMING
        assert listener.source.status.reconnects == 1


def test_server_that_is_not_there_is_reported_and_looked_for() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with Listener(port) as listener:
        listener.wait_for(lambda: "no server can be reached" in listener.source.status.message)
        assert listener.source.status.state is SourceState.STARTING
        late = E4Server()
        late.port = port
        with late:
            listener.wait_for_new_data()


def test_connected_but_silent_wristband(server: E4Server) -> None:
    """No disconnection, no data: the data watchdog says so within 2 s and is calm again when they come."""
    with Listener(server.port) as listener:
        listener.wait_for_new_data()
        server.steer("silence")
        silent_since = time.monotonic()
        listener.wait_for(lambda: listener.source.status.state is SourceState.SILENT)
        assert time.monotonic() - silent_since > 1.0
        assert "no data" in listener.source.status.message
        server.steer("speak")
        listener.wait_for_new_data()
        assert listener.source.status.state is SourceState.STREAMING
        assert listener.source.status.message == ""


def test_wristband_that_its_server_loses_and_finds(server: E4Server) -> None:
    with Listener(server.port) as listener:
        listener.wait_for_new_data()
        server.steer("lose")
        listener.wait_for(lambda: listener.source.status.state is SourceState.LOST)
        assert "connection lost" in listener.source.status.message
        time.sleep(2.5)
        assert listener.source.status.state is SourceState.LOST, "silence must not hide the reason"
        server.steer("restore")
        listener.wait_for_new_data()
        assert listener.source.status.state is SourceState.STREAMING
    ends = [sample.end_ns for sample in listener.of("acc")]
    assert max(np.diff(ends)) > 2 * NANOSECONDS_PER_SECOND, "the gap must stay a gap"


def test_unknown_wristband_is_answered_with_those_that_are_there(server: E4Server) -> None:
    with Listener(server.port, device="740163") as listener:
        listener.wait_for(lambda: DEVICE in listener.source.status.message)
        assert "740163" in listener.source.status.message
        assert listener.source.status.state is SourceState.STARTING


def test_a_garbled_line_is_counted_and_the_rest_goes_on(server: E4Server) -> None:
    with Listener(server.port) as listener:
        listener.wait_for_new_data()
        server.steer("garble")
        listener.wait_for(lambda: listener.source.status.malformed == 1)
        assert "E4_Acc" in listener.source.status.newest_malformed
        listener.wait_for_new_data()
        assert listener.source.status.message == ""


def test_a_wristband_of_which_only_the_battery_can_be_read_is_silent_and_says_why(server: E4Server) -> None:
    with Listener(server.port) as listener:
        listener.wait_for_new_data()
        server.steer("garble all")
        listener.wait_for(lambda: listener.source.status.state is SourceState.SILENT)
        listener.wait_for(lambda: len(listener.of("battery")) > 1)
        assert listener.source.status.state is SourceState.SILENT
        assert "('E4_" in listener.source.status.message
        server.steer("speak")
        listener.wait_for_new_data()
        assert listener.source.status.state is SourceState.STREAMING


def test_another_server_on_the_port_is_recognised() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(GENEROUS_S)
        with Listener(stranger.getsockname()[1]) as listener:
            connection, _ = stranger.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")
                listener.wait_for(lambda: "HTTP/1.1" in listener.source.status.message)
                listener.wait_for(lambda: "is it an E4 streaming server?" in listener.source.status.message)


@pytest.mark.parametrize("silent", [False, True])
def test_closing_ends_the_iteration_within_two_seconds(server: E4Server, silent: bool) -> None:
    with Listener(server.port) as listener:
        listener.wait_for_new_data()
        if silent:
            server.steer("silence")
        started = time.monotonic()
        listener.source.close()
        listener.source.close()
        assert time.monotonic() - started < 2.0


@pytest.mark.parametrize(
    ("line", "source", "values"),
    [
        ("E4_Acc 1345627891.12345 51 -2 -10\r", "acc", (51 / 64, -2 / 64, -10 / 64)),
        ("E4_Bvp 1345627891.12345 31.128", "bvp", (31.128,)),
        ("E4_Gsr 1345627891.12345 3.129", "eda", (3.129,)),
        ("E4_Gsr 1345627891,12345 3,129", "eda", (3.129,)),
        ("E4_Temp 1345627891.12345 35.82", "temperature", (35.82,)),
        ("E4_Temperature 1345627891.12345 35.82", "temperature", (35.82,)),
        ("E4_Ibi 1345627891.12345 0.822", "ibi", (0.822,)),
        ("E4_Battery 1345627891.12345 0.2", "battery", (0.2,)),
        ("E4_Batt 1345627891.12345 0.2", "battery", (0.2,)),
        ("E4_Tag 1345627891.12345", "tag", (1.0,)),
        ("E4_Tag 1345627891.12345 1", "tag", (1.0,)),
    ],
)
def test_lines_of_the_manual(line: str, source: str, values: tuple[float, ...]) -> None:
    measurement = parse_line(line)
    assert isinstance(measurement, Measurement)
    assert measurement.stream.source == source
    assert measurement.values == values
    assert measurement.device_ns == pytest.approx(1345627891_123450000, abs=1000)


def test_replies_of_the_manual() -> None:
    assert parse_line("R device_connect OK") == Reply("device_connect", "OK")
    refused = parse_line("R device_subscribe gsr ERR You are not connected to any device")
    assert isinstance(refused, Reply)
    assert refused.refusal == "You are not connected to any device"
    assert parse_line("R connection lost to device 9ff167") == LinkChange(
        "9ff167", connected=False, text="connection lost to device 9ff167"
    )
    found = parse_line("R connection re-established to device 9ff167")
    assert isinstance(found, LinkChange)
    assert found.connected
    off = parse_line("R device 9ff167 turned off via button")
    assert isinstance(off, LinkChange)
    assert not off.connected
    assert parse_devices("2 | 9ff167 Empatica_E4 | 740163 Empatica_E4") == ["9ff167", "740163"]
    assert parse_devices("0") == []


def test_heart_rate_is_left_out_because_the_intervals_say_it_already() -> None:
    assert parse_line("E4_Hr 1345627891.12345 72.1") is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("E4_Acc 1345627891.1 51 -2", "expected a time and 3"),
        ("E4_Acc 1345627891.1 51 -2 -10 7", "has 5 values"),
        ("E4_Acc 1345627891.1 51 -2 200", "200 is outside of -128 to 127"),
        ("E4_Gsr 1345627891.1 abc", "'abc' is no number"),
        ("E4_Gsr 1345627891.1 nan", "'nan' is no number"),
        ("E4_Temp 1345627891.1 306.1", "outside of -40 to 60"),
        ("E4_Hr 1345627891.1", "has 1 values"),
        ("HTTP/1.1 400 Bad Request", "no line of an E4 streaming server"),
        ("R", "without its command"),
    ],
)
def test_lines_that_are_refused(line: str, complaint: str) -> None:
    with pytest.raises(LineError, match=complaint):
        parse_line(line)


def test_a_list_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(LineError, match="as many wristbands as it says"):
        parse_devices("3 | 9ff167 Empatica_E4")


@settings(deadline=None)
@given(st.text())
def test_no_line_breaks_the_parser(line: str) -> None:
    try:
        parsed = parse_line(line)
    except LineError:
        return
    assert parsed is None or isinstance(parsed, Measurement | Reply | LinkChange)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(e4_lines.STREAMS)),
    st.floats(1e9, 4e9),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=4),
)
def test_a_measurement_is_always_finite_and_in_range(name: str, time_s: float, values: list[float]) -> None:
    try:
        measurement = parse_line(f"{name} {time_s} {' '.join(map(str, values))}")
    except LineError:
        return
    if isinstance(measurement, Measurement):
        assert all(math.isfinite(value) for value in measurement.values)
        assert len(measurement.values) == measurement.stream.columns
