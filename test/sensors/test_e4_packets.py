"""The E4's Bluetooth packets, in both published layouts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmal_ros.sensors.e4_packets import (
    RATE_HZ,
    E4PacketError,
    Layout,
    LayoutDetector,
    Stream,
    decode,
    decode_battery,
    decode_button,
)
from rigs.ble_e4_encoders import VALUES_PER_PACKET, counting_signal, encode, numbers_of

SECOND = 1_000_000_000


def size(stream: Stream, layout: Layout) -> int:
    return VALUES_PER_PACKET[stream, layout]


BOTH = pytest.mark.parametrize("layout", list(Layout))


def integers(low: int, high: int, *shape: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int64, shape, elements=st.integers(low, high))


@given(integers(-128, 127, 6, 3))
def test_acceleration_of_layout_a_is_in_64ths_of_g(raw: np.ndarray) -> None:
    values = decode(Stream.ACC, Layout.A, encode(Stream.ACC, Layout.A, raw))
    np.testing.assert_array_equal(values * 64, raw)


@given(integers(-32768, 32767, 3, 3))
def test_acceleration_of_layout_b_reaches_two_g(raw: np.ndarray) -> None:
    values = decode(Stream.ACC, Layout.B, encode(Stream.ACC, Layout.B, raw))
    np.testing.assert_array_equal(values * 16384, raw)
    assert np.abs(values).max() <= 2.0


@given(integers(-64, 63, 11))
def test_pulse_of_layout_a_comes_as_differences_of_light_and_more_blood_is_less_light(raw: np.ndarray) -> None:
    values = decode(Stream.BVP, Layout.A, encode(Stream.BVP, Layout.A, raw))
    np.testing.assert_array_equal(values, -raw)


@given(integers(0, 65535, 10), st.integers(-127, 127), st.integers(0, 15))
def test_pulse_of_layout_b_survives_the_counter_in_its_last_value(raw: np.ndarray, step: int, counter: int) -> None:
    raw[-1] = np.clip(raw[-2] + step, 0, 65535)
    values = decode(Stream.BVP, Layout.B, encode(Stream.BVP, Layout.B, raw, counter))
    if raw[-1] >> 12 == raw[-2] >> 12:
        np.testing.assert_array_equal(values, raw)
    else:
        np.testing.assert_array_equal(values[:-1], raw[:-1])
        assert abs(values[-1] - raw[-2]) <= 127


@given(integers(1, (1 << 24) - 1, 6), st.integers(0, 1 << 20))
def test_skin_conductance_of_layout_a_is_the_inverse_of_ohms(raw: np.ndarray, counter: int) -> None:
    values = decode(Stream.EDA, Layout.A, encode(Stream.EDA, Layout.A, raw, counter))
    np.testing.assert_allclose(values, 1e6 / raw, rtol=1e-6)


def test_a_band_that_measures_no_resistance_gives_zero_and_no_infinity() -> None:
    assert np.all(decode(Stream.EDA, Layout.A, bytes(20)) == 0)


@given(integers(0, 4095, 6), st.integers(0, 1 << 20))
def test_skin_conductance_of_layout_b_is_a_share_of_full_scale(raw: np.ndarray, counter: int) -> None:
    values = decode(Stream.EDA, Layout.B, encode(Stream.EDA, Layout.B, raw, counter))
    np.testing.assert_allclose(values, raw / 4095 * 100, rtol=1e-6, atol=1e-6)


@BOTH
@given(st.data())
def test_skin_temperature_comes_in_fiftieths_of_a_kelvin(layout: Layout, data: st.DataObject) -> None:
    raw = data.draw(integers(0, 65535, size(Stream.TEMPERATURE, layout)))
    values = decode(Stream.TEMPERATURE, layout, encode(Stream.TEMPERATURE, layout, raw))
    zero = {Layout.A: 273.15, Layout.B: 275.54}[layout]
    np.testing.assert_allclose(values, raw * 0.02 - zero, atol=1e-3)


def test_known_bytes() -> None:
    """Worked out by hand, so that encoder and decoder cannot be wrong together."""
    assert decode(Stream.ACC, Layout.A, bytes([64, 0xC0, 32] + [0] * 15))[0].tolist() == [1.0, -1.0, 0.5]
    assert decode(Stream.ACC, Layout.B, bytes.fromhex("0040 00c0 0020") + bytes(12))[0].tolist() == [1.0, -1.0, 0.5]
    first_pair_5_minus_1 = bytes([0b0000101_1, 0b111111_00]) + bytes(18)
    assert decode(Stream.BVP, Layout.A, first_pair_5_minus_1).tolist() == [-5.0] + [0.0] * 10
    assert decode(Stream.EDA, Layout.A, bytes.fromhex("030d40") + bytes(17))[0] == pytest.approx(5.0)  # 200 kOhm
    assert decode(Stream.TEMPERATURE, Layout.A, bytes.fromhex("383c") + bytes(18))[0] == pytest.approx(35.17, abs=1e-3)


@given(st.sampled_from(list(Stream)), st.sampled_from(list(Layout)), st.binary(max_size=40))
def test_any_bytes_give_finite_numbers_or_the_one_documented_error(
    stream: Stream, layout: Layout, packet: bytes
) -> None:
    right_length = len(encode(stream, layout, counting_signal(stream, layout, np.arange(size(stream, layout)))))
    if len(packet) == right_length or (stream is Stream.ACC and len(packet) == 20):
        values = decode(stream, layout, packet)
        assert values.dtype == np.float32
        assert len(values) == size(stream, layout)
        assert np.isfinite(values).all()
    else:
        with pytest.raises(E4PacketError, match=f"has {len(packet)} bytes, expected {right_length}"):
            decode(stream, layout, packet)


@given(st.binary(max_size=30))
def test_any_bytes_of_battery_and_button_give_a_value_or_the_documented_error(packet: bytes) -> None:
    if len(packet) == 1:
        assert 0.0 <= decode_battery(packet) <= 1.0
    else:
        with pytest.raises(E4PacketError, match="expected 1"):
            decode_battery(packet)
    if packet:
        assert decode_button(packet) is (packet[0] == 1)
    else:
        with pytest.raises(E4PacketError, match="empty"):
            decode_button(packet)


@BOTH
@pytest.mark.parametrize("stream", list(Stream))
@given(first=st.integers(0, 3500))
def test_the_virtual_band_s_counting_signal_comes_back(stream: Stream, layout: Layout, first: int) -> None:
    """The rig, checked without its radio: what it sends tells its own number."""
    numbers = np.arange(first, first + size(stream, layout))
    values = decode(stream, layout, encode(stream, layout, counting_signal(stream, layout, numbers), first))
    if (stream, layout) == (Stream.BVP, Layout.A):
        np.testing.assert_array_equal(numbers_of(stream, layout, np.cumsum(values)), numbers[1:] % 101)
    elif stream is Stream.TEMPERATURE:
        np.testing.assert_array_equal(numbers_of(stream, layout, values), numbers % 2000)
    else:
        np.testing.assert_array_equal(numbers_of(stream, layout, values), numbers)


@BOTH
def test_the_layout_is_known_after_two_seconds_of_acceleration(layout: Layout) -> None:
    detector = LayoutDetector()
    period_ns = round(size(Stream.ACC, layout) / RATE_HZ[Stream.ACC] * SECOND)
    found = [detector.add(Stream.ACC, bytes(18), n * period_ns) for n in range(3 * SECOND // period_ns)]
    assert found[0] is None
    assert found[-1] is layout


@BOTH
def test_the_layout_is_known_even_after_a_stall_of_the_link(layout: Layout) -> None:
    """Half a second of packets comes at once, at the start, in the middle or at the end of the two seconds."""
    period_ns = round(size(Stream.ACC, layout) / RATE_HZ[Stream.ACC] * SECOND)
    for stall_ns in range(0, 2 * SECOND, SECOND // 10):
        detector = LayoutDetector()
        arrivals_ns = [n * period_ns for n in range(4 * SECOND // period_ns)]
        late_ns = [stall_ns + SECOND // 2 if stall_ns <= t < stall_ns + SECOND // 2 else t for t in arrivals_ns]
        found = [detector.add(Stream.ACC, bytes(18), arrival_ns) for arrival_ns in late_ns]
        assert next(verdict for verdict in found if verdict is not None) is layout


@BOTH
def test_one_temperature_packet_tells_the_layout_by_its_length(layout: Layout) -> None:
    packet = encode(Stream.TEMPERATURE, layout, np.zeros(size(Stream.TEMPERATURE, layout), np.int64))
    assert LayoutDetector().add(Stream.TEMPERATURE, packet, 0) is layout
