"""Any chest strap with the standard Heart Rate Service over Bluetooth Low Energy: inter-beat intervals.

Format: Bluetooth SIG, Heart Rate Service 1.0, section 3.1 (service 180D, characteristic 2A37).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray, Sample
from mmal_ros.sensors.ble import BluetoothSource, PacketHandler, uuid_of
from mmal_ros.sensors.device_clock import DeviceClock
from mmal_ros.sensors.source import Clock, SourceState

HEART_RATE_MEASUREMENT = uuid_of("2a37")

RATE_IS_16_BIT = 0x01
CONTACT_LOST = 0x04
"""Of the two bits 0x06: contact is supported (0x04) and not detected (0x02 is clear)."""
CONTACT_MASK = 0x06
HAS_ENERGY = 0x08
HAS_INTERVALS = 0x10
TICKS_PER_SECOND = 1024


class HeartRatePacketError(ValueError):
    """A packet that is not a Heart Rate Measurement; the message says what is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class HeartRateMeasurement:
    """One notification of a strap."""

    beats_per_minute: int
    worn: bool
    """False: the strap says that it touches no skin."""
    intervals_s: FloatArray
    """(n,) seconds between beats, oldest first; empty when no beat ended since the notification before."""


def decode_heart_rate(packet: bytes) -> HeartRateMeasurement:
    """Read characteristic 2A37.

    Raises:
        HeartRatePacketError: too short for what its flags announce, or half an interval at the end.
    """
    if not packet:
        raise HeartRatePacketError("heart rate packet is empty, expected at least 2 bytes")
    flags = packet[0]
    rate_bytes = 2 if flags & RATE_IS_16_BIT else 1
    intervals_at = 1 + rate_bytes + (2 if flags & HAS_ENERGY else 0)
    rest = len(packet) - intervals_at
    if rest < 0 or (flags & HAS_INTERVALS and rest % 2):
        raise HeartRatePacketError(
            f"heart rate packet with flags 0x{flags:02x} has {len(packet)} bytes, expected {intervals_at}"
            + (" and an even number more" if flags & HAS_INTERVALS else " at least")
        )
    ticks = np.frombuffer(packet[intervals_at:] if flags & HAS_INTERVALS else b"", "<u2")
    return HeartRateMeasurement(
        beats_per_minute=int.from_bytes(packet[1 : 1 + rate_bytes], "little"),
        worn=flags & CONTACT_MASK != CONTACT_LOST,
        intervals_s=(ticks / TICKS_PER_SECOND).astype(np.float32),
    )


class HeartRateStrap(BluetoothSource):
    """Yields one `ibi` sample per beat of the strap with this advertised name or address, stamped at the beat.

    The intervals, added up, are the strap's own clock: so a beat gets its own time, after ten seconds to about 0.2 s,
    although it is told only with the next notification, up to a second later. What is not worn gives no samples and is
    silent, and so is a strap that tells no intervals; what cannot be read is counted in the status.
    """

    name = "heart-rate strap"

    def __init__(self, target: str, clock: Clock) -> None:
        super().__init__(target, clock)
        self._worn = True
        self._begin()

    @property
    def _handlers(self) -> Mapping[str, PacketHandler]:
        return {HEART_RATE_MEASUREMENT: self._on_measurement}

    @property
    def _why_unmeasured(self) -> str:
        return self._trouble or (
            f"{self._target} is connected but tells no intervals between beats: put it on and moisten it; some straps "
            "never tell them"
        )

    def _begin(self) -> None:
        self._beat_clock = DeviceClock()
        self._newest_beat_ns = 0

    def _on_measurement(self, packet: bytes, arrival_ns: int) -> None:
        try:
            measurement = decode_heart_rate(packet)
        except HeartRatePacketError as error:
            self._reject(error)
            return
        was_worn, self._worn = self._worn, measurement.worn
        if not self._worn:
            self._begin()
            self._trouble = f"{self._target} touches no skin: moisten it and put it on"
            self._update(state=SourceState.SILENT, message=self._trouble)
            return
        self._trouble = ""
        if not was_worn:
            self._expect()  # the first beat after it was put on takes its time
        for interval_s in measurement.intervals_s:
            self._emit_beat(float(interval_s), arrival_ns)

    def _emit_beat(self, interval_s: float, arrival_ns: int) -> None:
        self._newest_beat_ns += round(interval_s * NANOSECONDS_PER_SECOND)
        stamp_ns = self._beat_clock.to_host(self._newest_beat_ns, arrival_ns)
        self._emit(Sample("ibi", stamp_ns, np.array([interval_s], np.float32), 0.0))
