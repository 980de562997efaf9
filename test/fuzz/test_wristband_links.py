"""What comes over the air and over the wire: packets of an E4 and of a strap, lines of the E4 streaming server."""

from __future__ import annotations

import socket
import threading

import numpy as np
from hypothesis import example
from hypothesis import strategies as st

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.e4_ble import E4Bluetooth
from mmal_ros.sensors.e4_lines import LineError, parse_devices
from mmal_ros.sensors.e4_packets import Layout, Stream
from mmal_ros.sensors.e4_server import E4StreamingServer, _Lines, _ServerError
from mmal_ros.sensors.heart_rate_strap import HeartRateStrap
from rigs.ble_e4_encoders import VALUES_PER_PACKET, counting_signal, encode
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_bytes, damaged_text

NOW_NS = 1_800_000_000 * NANOSECONDS_PER_SECOND
PACKETS = {
    (s, y): encode(s, y, counting_signal(s, y, np.arange(VALUES_PER_PACKET[s, y]))) for s in Stream for y in Layout
}
BEATS = [bytes([0x10, 60, 0, 4]), bytes([0x1D, 60, 0, 1, 0, 0, 4, 0, 3]), bytes([0x06, 70])]
SENT = damaged_bytes(list(PACKETS.values()), 1) | st.sampled_from(list(PACKETS.values()))
LINES = """R device_list 2 | 9ff167 Empatica_E4 | 740163 Empatica_E4
R device_connect OK
R device_subscribe acc ON
E4_Acc 1345627891.12345 51 -2 -10
E4_Acc 1345627891,15470 51 -2 -10
E4_Bvp 1345627891.15470 31.128
E4_Gsr 1345627891.15470 3.128
E4_Temperature 1345627891.15470 35.82
E4_Ibi 1345627891.15470 0.822
E4_Hr 1345627891.15470 72
E4_Battery 1345627891.15470 0.2
E4_Tag 1345627891.15470
R connection lost to device 9ff167
R connection re-established to device 9ff167
"""
PAUSES_NS = st.sampled_from([0, 1, 10**8, 10**9, 5 * 10**9, -(10**10), 10**13])


def _emitted(source: E4Bluetooth | HeartRateStrap | E4StreamingServer) -> list[Sample]:
    with source._arrived:
        return list(source._queue)


def _check(samples: list[Sample], now_ns: int) -> None:
    for sample in samples:
        assert sample.values.dtype == np.float32
        assert np.isfinite(sample.values).all()
        assert sample.end_ns <= now_ns


@fuzz(
    st.lists(
        st.tuples(st.sampled_from(Stream), SENT, PAUSES_NS),
        min_size=1, max_size=40,
    ),
    st.sampled_from(["auto", "a", "b"]),
)  # fmt: skip
def test_a_band_that_sends_damaged_packets_gives_good_samples_and_a_count(packets, layout):
    band, now_ns, latest_ns = E4Bluetooth("E4", lambda: NOW_NS, layout), NOW_NS, NOW_NS
    for stream, packet, pause_ns in packets:
        now_ns += pause_ns
        latest_ns = max(latest_ns, now_ns)
        band._on_packet(stream, packet, now_ns)
        band._on_button(packet, now_ns)
        band._on_battery(packet, now_ns)
    _check(_emitted(band), latest_ns)


@fuzz(st.lists(st.tuples(damaged_bytes(BEATS, 2), PAUSES_NS), min_size=1, max_size=40))
def test_a_strap_that_sends_damaged_packets_gives_good_beats_and_a_count(packets):
    strap, now_ns, latest_ns = HeartRateStrap("strap", lambda: NOW_NS), NOW_NS, NOW_NS
    for packet, pause_ns in packets:
        now_ns += pause_ns
        latest_ns = max(latest_ns, now_ns)
        strap._on_measurement(packet, now_ns)
    _check(_emitted(strap), latest_ns)


@fuzz(damaged_text([LINES, LINES * 20]))
@example(b"E4_Bvp 1e308 1\nE4_Bvp 1345627891 1\n")  # a time beyond all numbers ended the thread of the source
@example(b"E4_Bvp 1e30 1\nE4_Bvp 1345627891 1\nE4_Bvp 1e29 1\n")
def test_a_server_that_sends_damaged_lines_gives_good_samples_and_a_count(sent):
    source = E4StreamingServer("127.0.0.1", 28000, "9ff167", lambda: NOW_NS)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        sender = threading.Thread(target=_send, args=(theirs, sent))
        sender.start()
        lines = _Lines(ours)
        try:
            while True:
                for reply in source._read(lines):
                    _devices(reply.text)
                    assert isinstance(reply.refusal, str)
        except _ServerError:
            pass
        ours.close()
        sender.join()
    _check(_emitted(source), NOW_NS)


def _send(connection: socket.socket, sent: bytes) -> None:
    try:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the reader had enough


def _devices(text: str) -> None:
    try:
        parse_devices(text)
    except LineError:
        return
