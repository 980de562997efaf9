"""A microphone in the field: PyAudio records from a virtual one, whose sound server we mistreat."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.microphone import Microphone, Timekeeper
from mmal_ros.sensors.source import SourceState
from rigs.sound import Halted, SoundServer

ROOT = Path(__file__).parents[2]
NOISE = np.random.default_rng(1).integers(-9000, 9000, 16_000).astype(np.int16)


@pytest.fixture(scope="module")
def server() -> Iterator[SoundServer]:
    with SoundServer() as server:
        yield server


class Listener:
    """Reads a microphone in a thread of its own, as a node does."""

    def __init__(self, device: str = "default") -> None:
        self.microphone = Microphone(device, time.time_ns)
        self.heard: list[tuple[Sample, int]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Listener:
        self.microphone.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.microphone.close()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _read(self) -> None:
        for sample in self.microphone:
            self.heard.append((sample, time.time_ns()))

    @property
    def state(self) -> SourceState:
        return self.microphone.status.state

    def hears_on(self) -> None:
        """Waits until new sound comes."""
        count = len(self.heard)
        until(lambda: len(self.heard) > count + 5, state=lambda: self.microphone.status)


def until(condition: Callable[[], bool], timeout_s: float = 30.0, state: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in time; {state()}"
        time.sleep(0.02)


def test_what_is_said_arrives_value_by_value_and_with_steady_stamps(server: SoundServer) -> None:
    with Listener() as listener:
        for _ in range(5):  # on a busy machine the player may stumble, but not every time
            listener.hears_on()
            assert server.play(NOISE).wait() == 0
            listener.hears_on()
            heard = list(listener.heard)
            pcm = np.concatenate([sample.values * 32768 for sample, _ in heard]).astype(np.int16)
            if NOISE.tobytes() in pcm.tobytes():
                break
        else:
            pytest.fail("what was recorded is not what was played")
    stamps = [sample.stamp_ns for sample, _ in heard]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] == pytest.approx(20_000_000 * (len(stamps) - 1), abs=100_000_000)
    assert all(sample.end_ns <= arrival_ns for sample, arrival_ns in heard)
    assert {(sample.source, sample.rate_hz, sample.values.dtype.name) for sample, _ in heard} == {
        ("microphone", 16_000, "float32")
    }


def test_the_source_is_suspended_and_woken(server: SoundServer) -> None:
    with Listener() as listener:
        listener.hears_on()
        server.suspend(True)
        until(lambda: "pactl suspend-source" in listener.microphone.status.message)
        assert listener.state is SourceState.SILENT
        server.suspend(False)
        listener.hears_on()
        assert listener.microphone.status.reconnects >= 1


def test_a_muted_microphone_is_reported_though_it_sends(server: SoundServer) -> None:
    with Listener() as listener:
        until(lambda: "unmute" in listener.microphone.status.message)
        assert listener.state is SourceState.SILENT
        playing = server.play(NOISE)
        until(lambda: listener.state is SourceState.STREAMING)
        playing.wait()


def test_the_microphone_is_unplugged_and_plugged_in_again(server: SoundServer) -> None:
    with Listener() as listener:
        listener.hears_on()
        server.unplug()
        until(lambda: listener.state is SourceState.LOST)
        assert "microphone 'default'" in listener.microphone.status.message
        server.plug_in()
        listener.hears_on()


def test_the_sound_server_dies_and_is_started_again(server: SoundServer) -> None:
    with Listener() as listener:
        listener.hears_on()
        server.kill()
        until(lambda: "start the sound server" in listener.microphone.status.message)
        assert listener.state is SourceState.LOST
        server.start()
        listener.hears_on()


def test_closing_while_nothing_comes_takes_less_than_two_seconds(server: SoundServer) -> None:
    with Listener() as listener:
        listener.hears_on()
        server.suspend(True)
        until(lambda: listener.state is SourceState.SILENT)
        begin = time.monotonic()
        listener.microphone.close()
        listener.microphone.close()
        assert time.monotonic() - begin < 2
    server.suspend(False)
    assert listener.state is SourceState.ENDED


def test_the_process_stands_still_and_its_old_sound_is_thrown_away(server: SoundServer) -> None:
    """PulseAudio keeps what was said meanwhile and delivers it at once, without any flag of an overflow."""
    command = [sys.executable, str(ROOT / "test" / "rigs" / "listen.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines: list[tuple[int, ...]] = []
        listening = threading.Thread(target=_collect, args=(process.stdout, lines))
        listening.start()
        until(lambda: len(lines) > 50)
        with Halted(process.pid):
            time.sleep(4)
            before = len(lines)
        until(lambda: len(lines) > before + 100)
        process.kill()
        listening.join()
    age_ms, received, dropped = zip(*lines[before:], strict=True)
    assert max(age_ms) < 1500  # 300 ms late, 1 s in the queue
    assert 2.5 / 0.02 < dropped[-1] < 4 / 0.02
    assert received[-1] > dropped[-1] + 100


def _collect(stream: Iterator[str], lines: list[tuple[int, ...]]) -> None:
    for line in stream:
        lines.append(tuple(int(word) for word in line.split()))


def test_a_reader_that_sleeps_loses_the_oldest_sound(server: SoundServer) -> None:
    with Microphone("default", time.time_ns) as microphone:
        sound = iter(microphone)
        next(sound)
        time.sleep(2.5)
        sample = next(sound)
        assert microphone.status.dropped > 0
        assert time.time_ns() - sample.end_ns < 2 * NANOSECONDS_PER_SECOND


def test_a_misspelt_name_lists_the_inputs_and_suggests_one(
    server: SoundServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with Listener("puls") as listener:  # part of a name is enough
        listener.hears_on()
    with Listener("puise") as listener:
        until(lambda: listener.state is SourceState.LOST)
        message = listener.microphone.status.message
    assert "did you mean device:pulse?" in message
    assert "device:default" in message
    assert "ALSA lib" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("hide", "remedy"),
    [("sys.modules['pyaudio'] = None", "mmal_ros[robot]"), ("sys.path.insert(0, '{}')", "libportaudio2")],
)
def test_what_is_missing_is_named_with_its_package(hide: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "pyaudio.py").write_text("raise ImportError('libportaudio.so.2: cannot open shared object file')")
    program = f"import sys; {hide.format(tmp_path)}; import mmal_ros.sensors.microphone"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    last_line = answer.stderr.strip().splitlines()[-1]
    assert "SourceError" in last_line
    assert remedy in last_line


class Stream:
    """20 ms blocks that arrive on time, by a clock that we can set."""

    def __init__(self) -> None:
        self.keeper = Timekeeper(16_000)
        self.true_s, self.clock_error_s = 100.0, 0.0

    def blocks(self, duration_s: float, every_s: float = 0.02) -> list[float | None]:
        """How old the first value of each block is when it comes, in seconds; None: dropped."""
        return [self._block(every_s) for _ in range(round(duration_s / 0.02))]

    def _block(self, every_s: float) -> float | None:
        self.true_s += every_s
        arrival_ns = round((self.true_s + self.clock_error_s) * NANOSECONDS_PER_SECOND)
        stamp_ns = self.keeper.stamp(320, arrival_ns, self.true_s)
        return None if stamp_ns is None else (arrival_ns - stamp_ns) / NANOSECONDS_PER_SECOND


def test_a_back_log_of_four_seconds_arrives_at_once() -> None:
    stream = Stream()
    stream.blocks(3)
    stream.true_s += 4
    ages = stream.blocks(4, every_s=0.0001)
    kept = [age for age in ages if age is not None]
    assert 0 < len(kept) * 0.02 < 0.4
    assert kept == sorted(kept, reverse=True)
    assert ages[: len(ages) - len(kept)].count(None) == len(ages) - len(kept)
    assert None not in stream.blocks(3)


def test_a_sound_server_that_loses_five_seconds_is_believed_again_soon() -> None:
    stream = Stream()
    stream.blocks(3)
    stream.true_s += 5
    ages = stream.blocks(3)
    assert ages[0] is None
    assert ages[-1] == pytest.approx(0.02, abs=0.001)
    assert ages.count(None) * 0.02 < 1.5


@pytest.mark.parametrize("step_s", [5, -5])
def test_somebody_sets_the_clock(step_s: float) -> None:
    stream = Stream()
    stream.blocks(3)
    stream.clock_error_s += step_s
    ages = stream.blocks(3)
    assert ages[-1] == pytest.approx(0.02, abs=0.001)
    assert ages.count(None) * 0.02 < 1.5
