"""What every source promises: bounded, counted, closed at once from anywhere, and never dead without a word."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest

from mmal_ros.datatypes import Sample
from mmal_ros.sensors import pushed
from mmal_ros.sensors.pushed import PushedSource
from mmal_ros.sensors.source import LiveSource, Paced, Source, SourceError, SourceState, back_off

PATIENCE_S = 20
"""How long a test waits for what takes milliseconds on a machine that is not busy."""


def sample(number: int, stamp_ns: int = 0) -> Sample:
    return Sample("eda", stamp_ns, np.array([number], np.float32), 4.0)


def numbers(samples: list[Sample]) -> list[int]:
    return [int(s.values[0]) for s in samples]


def eventually(condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.005)
    return True


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class Device(LiveSource):
    """A device whose thread does what the test says."""

    name = "device"

    def __init__(self, backlog: int, work: Callable[[Device], None]) -> None:
        super().__init__(backlog)
        self._work = work

    def _run(self) -> None:
        self._work(self)

    def send(self, *ns: int) -> None:
        for number in ns:
            self._emit(sample(number))

    def wait(self) -> None:
        self._stop.wait()


class Recording(Source):
    """A recorded source that begins at 0: one sample every quarter of a second."""

    name = "recording"

    def __init__(self, count: int, broken_at: int | None = None) -> None:
        super().__init__()
        self.count, self.broken_at, self.opened, self.closed = count, broken_at, 0, 0

    def open(self) -> None:
        if self.count == 0:
            raise SourceError("there is nothing in this recording")
        self.opened += 1

    def __iter__(self) -> Iterator[Sample]:
        for number in range(self.count):
            if number == self.broken_at:
                raise OSError("the disk is gone")
            yield sample(number, number * 250_000_000)

    def close(self) -> None:
        self.closed += 1


# --- a live source -----------------------------------------------------------------------------------------------


def test_a_reader_gets_what_the_device_sends_in_its_order() -> None:
    def work(device: Device) -> None:
        device.send(*range(100))

    with Device(1000, work) as device:
        assert numbers(list(device)) == list(range(100))
        assert eventually(lambda: device.status.state is SourceState.ENDED)
        assert (device.status.received, device.status.dropped) == (100, 0)


def test_a_reader_that_is_late_gets_the_newest_and_the_rest_is_counted() -> None:
    def work(device: Device) -> None:
        device.send(*range(10))

    with Device(3, work) as device:
        assert eventually(lambda: device.status.state is SourceState.ENDED)
        assert numbers(list(device)) == [7, 8, 9]
        assert (device.status.received, device.status.dropped) == (10, 7)


def test_everything_that_was_received_was_read_or_dropped() -> None:
    def work(device: Device) -> None:
        for number in range(3000):
            device.send(number)
            if number % 100 == 0:
                time.sleep(0.001)

    with Device(5, work) as device:
        read = numbers(list(device))
        assert len(read) + device.status.dropped == device.status.received == 3000
        assert read == sorted(set(read))
        assert read[-1] == 2999


def test_a_waiting_reader_is_let_go_within_two_seconds_of_close() -> None:
    device = Device(3, Device.wait)
    device.open()
    reader = in_a_thread(lambda: list(device))
    begin_s = time.monotonic()
    in_a_thread(device.close).join(PATIENCE_S)
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert time.monotonic() - begin_s < 2
    assert device.status.state is SourceState.ENDED
    device.close()


def test_a_slow_reader_does_not_have_to_work_off_the_backlog_after_close() -> None:
    """64 pictures of 50 ms each would be 3 s: closing means now."""

    def work(device: Device) -> None:
        device.send(*range(64))
        device.wait()

    with Device(64, work) as device:
        assert eventually(lambda: device.status.received == 64)
        read = iter(device)
        first = next(read)
        device.close()
        assert numbers([first]) == [0]
        assert list(read) == []


def test_a_reader_may_close_what_it_reads() -> None:
    def work(device: Device) -> None:
        device.send(1, 2, 3)
        device.wait()

    with Device(10, work) as device:
        for _ in device:
            device.close()
    assert device.status.state is SourceState.ENDED


def test_a_device_may_close_itself() -> None:
    with Device(10, lambda device: device.close()) as device:
        assert list(device) == []


def test_closing_what_was_never_opened_is_harmless() -> None:
    device = Device(10, Device.wait)
    device.close()
    assert list(device) == []


def test_opening_twice_starts_one_thread() -> None:
    def work(device: Device) -> None:
        device.send(1)

    with Device(10, work) as device:
        device.open()
        assert numbers(list(device)) == [1]


def test_a_bug_in_the_thread_is_reported_and_the_device_is_read_anew() -> None:
    def work(device: Device) -> None:
        device.send(1 + device.status.received)
        if device.status.received < 3:
            raise ZeroDivisionError("what a pity")
        device.wait()

    with Device(10, work) as device:
        device.open()
        message = "device stopped: ZeroDivisionError: what a pity"
        assert eventually(lambda: (device.status.state, device.status.message) == (SourceState.LOST, message))
        assert numbers(list(islice(device, 3))) == [1, 2, 3]
        assert device.status.state is SourceState.STREAMING


# --- a recording in real time ------------------------------------------------------------------------------------


def test_a_recording_is_played_when_its_time_has_come() -> None:
    """On a clock that says it is half a second after the beginning, three samples are due and no fourth."""
    start_ns = 1_800_000_000_000_000_000
    with Paced(Recording(100), lambda: start_ns + 500_000_000) as live:
        live.begin_at(start_ns)
        assert [s.stamp_ns - start_ns for s in islice(live, 3)] == [0, 250_000_000, 500_000_000]
        time.sleep(0.1)
        assert live.status.received == 3
        assert live.name == "recording"


def test_a_recording_is_played_to_its_end_at_its_own_pace() -> None:
    with Paced(Recording(4), time.time_ns) as live:
        begin_s = time.monotonic()
        live.begin_at(time.time_ns())
        assert numbers(list(live)) == [0, 1, 2, 3]
        assert time.monotonic() - begin_s > 0.74, "0.75 s long; the steady clock may tick a little differently"
        assert eventually(lambda: live.status.state is SourceState.ENDED)
        assert live.status.dropped == 0


def test_a_reader_slower_than_real_time_loses_the_oldest() -> None:
    with Paced(Recording(20), lambda: 10**18, backlog=4) as live:
        live.begin_at(0)
        assert eventually(lambda: live.status.state is SourceState.ENDED)
        assert numbers(list(live)) == [16, 17, 18, 19]
        assert live.status.dropped == 16


def test_a_recording_that_cannot_be_opened_says_so_at_once() -> None:
    with pytest.raises(SourceError, match="nothing in this recording"), Paced(Recording(0), time.time_ns):
        pass


def test_a_recording_that_breaks_while_it_plays_is_reported() -> None:
    with Paced(Recording(5, broken_at=2), lambda: 10**18) as live:
        live.begin_at(0)
        assert numbers(list(live)) == [0, 1]
        assert eventually(lambda: live.status.state is SourceState.LOST)
        assert "OSError: the disk is gone" in live.status.message


@pytest.mark.parametrize("played", [True, False])
def test_a_recording_is_closed_whether_it_was_played_or_not(played: bool) -> None:
    recording = Recording(1000)
    with Paced(recording, lambda: 0) as live:
        if played:
            live.begin_at(0)
            next(iter(live))
    assert recording.opened == 1
    assert recording.closed >= 1


def test_a_long_pause_in_a_recording_does_not_delay_closing() -> None:
    live = Paced(Recording(10), lambda: -60_000_000_000)
    live.open()
    live.begin_at(0)
    begin_s = time.monotonic()
    live.close()
    assert time.monotonic() - begin_s < 2


# --- what others push --------------------------------------------------------------------------------------------


def test_what_is_pushed_comes_out_and_the_newest_wins() -> None:
    with PushedSource("camera", "the topic /image", backlog=1) as source:
        for number in range(5):
            source.push(sample(number))
        assert numbers([next(iter(source))]) == [4]
        assert (source.status.received, source.status.dropped) == (5, 4)
        assert source.status.state is SourceState.STREAMING


@pytest.fixture
def steady_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a pushed source sees, to be set forward by the test; it looks at them every 33 ms."""
    now_s = [1000.0]
    monkeypatch.setattr(pushed, "monotonic_s", lambda: now_s[0])
    monkeypatch.setattr(pushed, "SILENCE_S", 0.1)
    return now_s


def is_silent_later(source: Source, steady_clock: list[float]) -> bool:
    steady_clock[0] += 60
    return source.status.state is SourceState.SILENT


def test_silence_is_reported_and_over_when_something_comes(steady_clock: list[float]) -> None:
    with PushedSource("camera", "the topic /image", backlog=1) as source:
        assert eventually(lambda: is_silent_later(source, steady_clock))
        assert "nothing comes from the topic /image" in source.status.message

        def recovered() -> bool:  # the watching thread may just be about to report the silence once more
            source.push(sample(1))
            time.sleep(0.2)
            return source.status.state is SourceState.STREAMING

        assert eventually(recovered)
        assert source.status.message == ""


def test_what_is_pushed_after_the_end_is_ignored() -> None:
    with PushedSource("camera", "the topic /image", backlog=1) as source:
        source.push(sample(1))
    source.push(sample(2))
    assert source.status.state is SourceState.ENDED
    assert source.status.received == 1
    assert list(source) == []


def test_a_source_that_waits_to_be_opened_is_not_yet_silent(steady_clock: list[float]) -> None:
    """A node may be configured long before it is activated."""
    source = PushedSource("camera", "the topic /image", backlog=1)
    steady_clock[0] += 60
    with source:
        time.sleep(0.2)
        assert source.status.state is SourceState.STARTING
        assert eventually(lambda: is_silent_later(source, steady_clock))


def test_attempts_become_rarer_up_to_a_limit() -> None:
    assert list(islice(back_off(0.5, 4.0), 6)) == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
