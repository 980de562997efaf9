"""Decoders of the E4's Bluetooth packets. EXPERIMENTAL: from third-party reverse engineering, not verified on a device.

Two layouts are published; firmware versions seem to differ. Both are pure functions here, and `LayoutDetector` tells
them apart by how often packets come.

=========== ============================================== ==================================================
stream      layout A                                       layout B
=========== ============================================== ==================================================
acc         6 triples of int8, 1/64 g                      3 triples of int16 LE, full scale 2 g
bvp         11 pairs (pulse, reference) of packed 7-bit    10 uint16 LE; bits 8-11 of the last are a counter
            signed differences, most significant bit first
eda         6 uint24 BE, ohm (so 1e6 / raw is µS), counter 6 words of 24 bits BE, the upper 12 are the value
temperature 8 uint16 LE in 0.02 K, uint32 counter          4 uint16 LE in 0.02 K with an offset, 4 bytes more
=========== ============================================== ==================================================
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray


class Layout(StrEnum):
    """Which of the two published packings a band speaks."""

    A = "a"
    B = "b"


class Stream(StrEnum):
    """A signal with a constant rate; the value is the `Sample.source`."""

    ACC = "acc"
    BVP = "bvp"
    EDA = "eda"
    TEMPERATURE = "temperature"


class E4PacketError(ValueError):
    """A packet that is not of the layout; the message names stream, layout, the length found and the one expected."""


RATE_HZ = {Stream.ACC: 32, Stream.BVP: 64, Stream.EDA: 4, Stream.TEMPERATURE: 4}
"""Samples per second (E4 user manual)."""

COUNTS_PER_G_A = 64
COUNTS_PER_G_B = 16_384
"""An assumption: the E4 measures +-2 g, which fills int16. Layout B's author gives no unit."""
EDA_FULL_SCALE_B_US = 100.0
"""An assumption: the E4 measures 0.01 to 100 µS. Layout B's author calls the value uncalibrated."""
KELVIN_PER_COUNT = 0.02
ZERO_CELSIUS_A_K = 273.15
ZERO_CELSIUS_B_K = 275.54
"""Layout B's authors subtract 276 and add a calibration of 0.46."""


def decode(stream: Stream, layout: Layout, packet: bytes) -> FloatArray:
    """The values of one packet, in the units of `Sample`: (n,), or (n, 3) for acc.

    Layout A's bvp comes as differences of one value to the next; the caller sums them up from packet to packet.

    Raises:
        E4PacketError: the packet has not the length of this layout. Nothing else is raised, whatever the bytes.
    """
    decoder, lengths = _DECODERS[stream, layout]
    if len(packet) not in lengths:
        expected = " or ".join(str(length) for length in lengths)
        raise E4PacketError(
            f"E4 {stream} packet of layout {layout.upper()} has {len(packet)} bytes, expected {expected}: "
            f"try the other layout"
        )
    return decoder(packet).astype(np.float32)


def decode_battery(packet: bytes) -> float:
    """0 to 1, from one byte of percent."""
    if len(packet) != 1:
        raise E4PacketError(f"E4 battery packet has {len(packet)} bytes, expected 1")
    return min(packet[0], 100) / 100


def decode_button(packet: bytes) -> bool:
    """Whether the wearer pressed the button: the first byte is 1."""
    if not packet:
        raise E4PacketError("E4 button packet is empty, expected at least 1 byte")
    return packet[0] == 1


def _acc_a(packet: bytes) -> NDArray[np.float64]:
    return np.frombuffer(packet, np.int8, 18).reshape(6, 3) / COUNTS_PER_G_A


def _acc_b(packet: bytes) -> NDArray[np.float64]:
    return np.frombuffer(packet, "<i2", 9).reshape(3, 3) / COUNTS_PER_G_B


def _bvp_a(packet: bytes) -> NDArray[np.int64]:
    """The light that comes back falls when blood comes, hence the minus; the reference channel is not used."""
    bits = np.unpackbits(np.frombuffer(packet, np.uint8))[: 22 * 7].reshape(11, 2, 7)
    two_s_complement = np.array([-64, 32, 16, 8, 4, 2, 1])
    pulse: NDArray[np.int64] = bits[:, 0] @ two_s_complement
    return -pulse


def _bvp_b(packet: bytes) -> NDArray[np.int64]:
    """The counter overwrites four bits of the last value; those nearest to its neighbour are put in their place."""
    values = np.frombuffer(packet, "<u2").astype(np.int64)
    candidates = (values[-1] & 0xF0FF) | (np.arange(16) << 8)
    values[-1] = candidates[np.abs(candidates - values[-2]).argmin()]
    return values


def _words_of_24_bits(packet: bytes) -> NDArray[np.int64]:
    words: NDArray[np.int64] = np.frombuffer(packet, np.uint8, 18).reshape(6, 3) @ np.array([1 << 16, 1 << 8, 1])
    return words


def _eda_a(packet: bytes) -> NDArray[np.float64]:
    """No resistance at all cannot be measured: it stands for "no value" and gives 0 µS."""
    ohm = _words_of_24_bits(packet)
    return np.divide(1e6, ohm, out=np.zeros(len(ohm)), where=ohm > 0)


def _eda_b(packet: bytes) -> NDArray[np.float64]:
    return (_words_of_24_bits(packet) >> 12) * (EDA_FULL_SCALE_B_US / 0xFFF)


def _temperature_a(packet: bytes) -> NDArray[np.float64]:
    return np.frombuffer(packet, "<u2", 8) * KELVIN_PER_COUNT - ZERO_CELSIUS_A_K


def _temperature_b(packet: bytes) -> NDArray[np.float64]:
    return np.frombuffer(packet, "<u2", 4) * KELVIN_PER_COUNT - ZERO_CELSIUS_B_K


_DECODERS: dict[tuple[Stream, Layout], tuple[Callable[[bytes], NDArray[np.generic]], tuple[int, ...]]] = {
    (Stream.ACC, Layout.A): (_acc_a, (18, 20)),
    (Stream.ACC, Layout.B): (_acc_b, (18, 20)),
    (Stream.BVP, Layout.A): (_bvp_a, (20,)),
    (Stream.BVP, Layout.B): (_bvp_b, (20,)),
    (Stream.EDA, Layout.A): (_eda_a, (20,)),
    (Stream.EDA, Layout.B): (_eda_b, (20,)),
    (Stream.TEMPERATURE, Layout.A): (_temperature_a, (20,)),
    (Stream.TEMPERATURE, Layout.B): (_temperature_b, (12,)),
}
"""Function and the lengths in bytes that it takes; some firmware adds two bytes to an acc packet."""

DETECTION_NS = 2 * NANOSECONDS_PER_SECOND
"""Long enough that a burst of three packets after a stall of the link does not tip the scales."""
ACC_PACKETS_PER_SECOND_LIMIT = 7.5
"""Between A's 32/6 = 5.3 and B's 32/3 = 10.7 packets a second."""


class LayoutDetector:
    """Tells the layout: by the length of a temperature packet, or by how many acc packets come in two seconds."""

    def __init__(self) -> None:
        self._acc_arrivals_ns: list[int] = []

    def add(self, stream: Stream, packet: bytes, arrival_ns: int) -> Layout | None:
        """The layout, as soon as it is certain."""
        if stream is Stream.TEMPERATURE:
            return {20: Layout.A, 12: Layout.B}.get(len(packet))
        if stream is not Stream.ACC:
            return None
        self._acc_arrivals_ns.append(arrival_ns)
        span_ns = arrival_ns - self._acc_arrivals_ns[0]
        if span_ns < DETECTION_NS:
            return None
        packets_per_second = (len(self._acc_arrivals_ns) - 1) * NANOSECONDS_PER_SECOND / span_ns
        return Layout.A if packets_per_second < ACC_PACKETS_PER_SECOND_LIMIT else Layout.B
