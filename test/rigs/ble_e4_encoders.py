"""Makes the E4's Bluetooth packets from raw integers: the reverse of `mmal_ros.sensors.e4_packets`.

Also the signal that the virtual band sends: every value tells its own number, so a lost or doubled one is seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mmal_ros.sensors.e4_packets import (
    COUNTS_PER_G_A,
    COUNTS_PER_G_B,
    EDA_FULL_SCALE_B_US,
    KELVIN_PER_COUNT,
    ZERO_CELSIUS_A_K,
    ZERO_CELSIUS_B_K,
    Layout,
    Stream,
)

Integers = NDArray[np.int64]

VALUES_PER_PACKET = {
    (Stream.ACC, Layout.A): 6,
    (Stream.ACC, Layout.B): 3,
    (Stream.BVP, Layout.A): 11,
    (Stream.BVP, Layout.B): 10,
    (Stream.EDA, Layout.A): 6,
    (Stream.EDA, Layout.B): 6,
    (Stream.TEMPERATURE, Layout.A): 8,
    (Stream.TEMPERATURE, Layout.B): 4,
}


def encode(stream: Stream, layout: Layout, raw: Integers, packet_number: int = 0) -> bytes:
    """One packet of raw counts: (n,), or (n, 3) for acc; bvp of layout A are differences of the light."""
    return _ENCODERS[stream, layout](raw, packet_number)


def _bvp_a(differences: Integers, _: int) -> bytes:
    """Pairs of 7-bit numbers; the reference channel stands still."""
    pairs = np.stack([differences, np.zeros_like(differences)], axis=1).ravel()
    bits = 0
    for value in pairs:
        bits = bits << 7 | int(value) & 0x7F
    return (bits << 6).to_bytes(20, "big")


def _bvp_b(light: Integers, packet_number: int) -> bytes:
    overwritten = light.copy()
    overwritten[-1] = light[-1] & 0xF0FF | (packet_number & 0xF) << 8
    return overwritten.astype("<u2").tobytes()


def _words(values: Integers, packet_number: int) -> bytes:
    return b"".join(int(value).to_bytes(3, "big") for value in values) + (packet_number & 0xFFFF).to_bytes(2, "big")


_ENCODERS: dict[tuple[Stream, Layout], Callable[[Integers, int], bytes]] = {
    (Stream.ACC, Layout.A): lambda raw, _: raw.astype(np.int8).tobytes(),
    (Stream.ACC, Layout.B): lambda raw, _: raw.astype("<i2").tobytes(),
    (Stream.BVP, Layout.A): _bvp_a,
    (Stream.BVP, Layout.B): _bvp_b,
    (Stream.EDA, Layout.A): _words,
    (Stream.EDA, Layout.B): lambda raw, number: _words(raw << 12, number),
    (Stream.TEMPERATURE, Layout.A): lambda raw, number: raw.astype("<u2").tobytes() + number.to_bytes(4, "little"),
    (Stream.TEMPERATURE, Layout.B): lambda raw, number: raw.astype("<u2").tobytes() + number.to_bytes(4, "little"),
}

CYCLE = {
    (Stream.ACC, Layout.A): 100**3,
    (Stream.ACC, Layout.B): 1000**3,
    (Stream.BVP, Layout.A): 101,
    (Stream.BVP, Layout.B): 1 << 16,
    (Stream.EDA, Layout.A): 1_000_000,
    (Stream.EDA, Layout.B): 1 << 12,
    (Stream.TEMPERATURE, Layout.A): 2000,
    (Stream.TEMPERATURE, Layout.B): 2000,
}
"""After so many values the signal begins anew."""
_BASE = {Layout.A: 100, Layout.B: 1000}
_BVP_STEP = 37
"""Differences that jump about, and over a whole cycle add up to nothing."""
_EDA_FIRST_OHM = 100_000
_TEMPERATURE_FIRST = 14_500


def counting_signal(stream: Stream, layout: Layout, numbers: Integers) -> Integers:
    """The raw counts of the values with these numbers."""
    n = numbers % CYCLE[stream, layout]
    if stream is Stream.ACC:
        base = _BASE[layout]
        return np.stack([n % base, n // base % base, n // base**2], axis=1) - base // 2
    if stream is Stream.BVP:
        return n * _BVP_STEP % 101 - 50 if layout is Layout.A else n
    if stream is Stream.EDA:
        return n + _EDA_FIRST_OHM if layout is Layout.A else n
    return n + _TEMPERATURE_FIRST


def numbers_of(stream: Stream, layout: Layout, values: NDArray[np.float32]) -> Integers:
    """Which numbers these decoded values carry, modulo CYCLE; for bvp of layout A without that of the first."""
    exact = values.astype(np.float64)
    if stream is Stream.ACC:
        digits = _round(exact * (COUNTS_PER_G_A if layout is Layout.A else COUNTS_PER_G_B)) + _BASE[layout] // 2
        return digits @ np.array([1, _BASE[layout], _BASE[layout] ** 2])
    if stream is Stream.BVP:
        return (50 - _round(np.diff(exact))) * pow(_BVP_STEP, -1, 101) % 101 if layout is Layout.A else _round(exact)
    if stream is Stream.EDA:
        return (
            _round(1e6 / exact) - _EDA_FIRST_OHM if layout is Layout.A else _round(exact * 0xFFF / EDA_FULL_SCALE_B_US)
        )
    zero_k = ZERO_CELSIUS_A_K if layout is Layout.A else ZERO_CELSIUS_B_K
    return _round((exact + zero_k) / KELVIN_PER_COUNT) - _TEMPERATURE_FIRST


def _round(values: NDArray[np.float64]) -> Integers:
    return np.rint(values).astype(np.int64)
