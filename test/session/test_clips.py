"""Clips around flagged windows, decoded again with FFmpeg: what is seen and heard when."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND as SECOND
from mmal_ros.session import clip_encoder, clips
from mmal_ros.session.clips import ClipRecorder
from mmal_ros.session.folder import SessionFolder, new_session
from rigs.browser import chromium
from rigs.ros import wait_until

START_NS = 1_795_168_800 * SECOND
PICTURES_HZ, SOUND_HZ = 15, 16_000
CHUNK = 800
WINDOW, STAMP_S = 17, 6.0
"""The window that is flagged, and when it ends, in seconds since the start: its clip shows 2 s to 9 s."""
LENGTH_S = 7.0
ENCODING_S = 30.0


@dataclass
class Recorder:
    """A recorder, and what it announced."""

    folder: SessionFolder
    clips: ClipRecorder
    announced: list[tuple[int, Path | None]] = field(default_factory=list)

    def play(
        self,
        from_s: float,
        until_s: float,
        *,
        flash_s: float = -1,
        camera: Callable[[float], bool] = lambda _: True,
        microphone: bool = True,
    ) -> None:
        """Picture and sound of some seconds: grey and silent but for a flash and a beep of 0.1 s."""
        for number in range(round(from_s * PICTURES_HZ), round(until_s * PICTURES_HZ)):
            if camera(number / PICTURES_HZ):
                self.clips.picture(*_picture(number / PICTURES_HZ, flash_s))
            if microphone:
                for chunk in range(*(round(n / PICTURES_HZ * SOUND_HZ / CHUNK) for n in (number, number + 1))):
                    self.clips.sound(*_chunk(chunk * CHUNK, flash_s), SOUND_HZ)

    def clip(self) -> Path:
        """The clip, as soon as it is there."""
        wait_until(lambda: self.announced, ENCODING_S)
        ((window, path),) = self.announced
        assert window == WINDOW
        assert path is not None
        assert path == self.folder.clip_of(WINDOW)
        return path


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    announced: list[tuple[int, Path | None]] = []
    folder = new_session(tmp_path, "P017", START_NS)
    recorder = ClipRecorder(folder, lambda window, path: announced.append((window, path)))
    yield Recorder(folder, recorder, announced)
    recorder.close(ENCODING_S)


def test_a_flagged_window_becomes_a_clip_with_picture_and_sound_in_step(recorder: Recorder) -> None:
    recorder.play(0, 6.2, flash_s=5.0)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.play(6.2, 9.2)
    film = Film(recorder.clip())
    assert film.length_s == pytest.approx((LENGTH_S, LENGTH_S), abs=0.07)
    assert film.flash_s == pytest.approx(3.0, abs=1 / PICTURES_HZ)
    assert film.beep_s == pytest.approx(3.0, abs=0.02)
    assert abs(film.flash_s - film.beep_s) <= 1 / PICTURES_HZ


def test_a_clip_is_private_and_the_only_file(recorder: Recorder) -> None:
    recorder.play(0, 6.2)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.play(6.2, 9.2)
    path = recorder.clip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(recorder.folder.clips.iterdir()) == [path]


def test_nothing_is_written_before_the_end_of_the_clip(recorder: Recorder) -> None:
    recorder.play(0, 8.9)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.clips.tick(_ns(9.4))
    assert list(recorder.clips._pending) == [WINDOW]
    recorder.clips.tick(_ns(9.6))
    assert recorder.clip().is_file()


def test_without_a_microphone_there_is_picture_only(recorder: Recorder) -> None:
    recorder.play(0, 9.2, microphone=False, flash_s=5.0)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    film = Film(recorder.clip())
    assert film.sound.size == 0
    assert film.flash_s == pytest.approx(3.0, abs=1 / PICTURES_HZ)


def test_without_a_camera_a_dark_picture_is_heard(recorder: Recorder) -> None:
    recorder.play(0, 9.2, camera=lambda _: False, flash_s=5.0)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    film = Film(recorder.clip())
    assert film.length_s == pytest.approx((LENGTH_S, LENGTH_S), abs=0.07)
    assert max(film.brightness) < 20
    assert film.beep_s == pytest.approx(3.0, abs=0.02)


def test_a_camera_that_stalls_leaves_the_picture_dark(recorder: Recorder) -> None:
    recorder.play(0, 9.2, camera=lambda time_s: not 4 <= time_s < 6)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    film = Film(recorder.clip())
    assert film.at(1.9) > 60
    assert film.at(2.4) > 60
    assert film.at(3.0) < 20
    assert film.at(4.1) > 60


def test_what_began_late_is_dark_at_first(recorder: Recorder) -> None:
    recorder.play(4, 9.2, flash_s=5.0)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    film = Film(recorder.clip())
    assert film.at(1.9) < 20
    assert film.flash_s == pytest.approx(3.0, abs=1 / PICTURES_HZ)
    assert film.beep_s == pytest.approx(3.0, abs=0.02)


def test_of_nothing_there_is_no_clip(recorder: Recorder) -> None:
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.clips.tick(_ns(20))
    recorder.clips.close(ENCODING_S)
    assert recorder.announced == []
    assert list(recorder.folder.clips.iterdir()) == []


def picture_of_a_town() -> bytes:
    """0.4 MB, and 75 MB when it is unpacked."""
    return cv2.imencode(".jpg", np.zeros((5000, 5000, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize("jpeg", [b"no picture at all", picture_of_a_town()], ids=["damaged", "boundless"])
def test_a_damaged_or_boundless_picture_is_left_out(recorder: Recorder, jpeg: bytes) -> None:
    recorder.clips.picture(_ns(0), jpeg)
    recorder.play(0.1, 5)
    recorder.clips.picture(_ns(5), jpeg)
    recorder.play(5.1, 9.2)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    assert min(Film(recorder.clip()).brightness) > 60


def test_a_flag_withdrawn_in_time_leaves_no_clip(recorder: Recorder) -> None:
    recorder.play(0, 6.2)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.clips.drop(WINDOW)
    recorder.play(6.2, 9.2)
    recorder.clips.close(ENCODING_S)
    assert recorder.announced == []
    assert list(recorder.folder.clips.iterdir()) == []


def test_a_flag_withdrawn_while_its_clip_is_encoded_leaves_none(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, dropped, real = threading.Event(), threading.Event(), clip_encoder.encode_clip

    def slow(*arguments: object) -> None:
        encoding.set()
        assert dropped.wait(ENCODING_S)
        real(*arguments)

    monkeypatch.setattr(clip_encoder, "encode_clip", slow)  # the moment is what is tested, not the encoder
    recorder.play(0, 9.2)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    assert encoding.wait(ENCODING_S)
    recorder.clips.drop(WINDOW)
    dropped.set()
    recorder.clips.close(ENCODING_S)
    assert recorder.announced == []
    assert list(recorder.folder.clips.iterdir()) == []


def test_a_flag_withdrawn_later_takes_its_clip_along(recorder: Recorder) -> None:
    recorder.play(0, 9.2)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    path = recorder.clip()
    recorder.clips.drop(WINDOW)
    assert not path.exists()


def test_who_flags_again_after_all_gets_a_clip(recorder: Recorder) -> None:
    recorder.play(0, 6.2)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.clips.drop(WINDOW)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.play(6.2, 9.2)
    assert recorder.clip().is_file()


def test_a_session_that_ends_within_a_clip_keeps_what_there_is(recorder: Recorder) -> None:
    recorder.play(0, 7, flash_s=5.0)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.clips.close(ENCODING_S)
    assert Film(recorder.clip()).flash_s == pytest.approx(3.0, abs=1 / PICTURES_HZ)


def test_after_the_end_nothing_is_kept_of_what_was_seen_and_heard(recorder: Recorder) -> None:
    recorder.play(0, 7)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.clips.close(ENCODING_S)
    assert recorder.clip().is_file()
    assert [len(ring._items) for ring in (recorder.clips._pictures, recorder.clips._sound)] == [0, 0]


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The thread that encodes gets no processor, until the event."""
    freed, real = threading.Event(), clip_encoder.encode_clip

    def encode_clip(*arguments: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            freed.wait(ENCODING_S)
        real(*arguments)

    monkeypatch.setattr(clip_encoder, "encode_clip", encode_clip)  # a machine as full as this cannot be made reliably
    yield freed
    freed.set()


def test_who_ends_the_session_helps_to_encode(recorder: Recorder, stuck: threading.Event) -> None:
    recorder.play(0, 9.2)
    for window in (1, 2, 3):
        recorder.clips.cut(window, _ns(STAMP_S))
    wait_until(lambda: recorder.clips._waiting.qsize() == 2, ENCODING_S)
    recorder.clips.close(2)
    assert {window: path is not None for window, path in recorder.announced} == {1: False, 2: True, 3: True}


def test_what_is_not_encoded_in_time_is_lost_and_leaves_nothing(recorder: Recorder, stuck: threading.Event) -> None:
    recorder.play(0, 9.2)
    for window in (1, 2, 3):
        recorder.clips.cut(window, _ns(STAMP_S))
    recorder.clips.close(0)
    assert recorder.announced == [(1, None), (2, None), (3, None)]
    stuck.set()
    recorder.clips.close(ENCODING_S)
    assert len(recorder.announced) == 3
    assert list(recorder.folder.clips.iterdir()) == []


def test_a_clip_that_cannot_be_written_is_said_to_be_lost_and_harms_no_other(recorder: Recorder) -> None:
    recorder.folder.clip_of(99).mkdir()  # in its way
    recorder.play(0, 9.2)
    recorder.clips.cut(99, _ns(STAMP_S))
    wait_until(lambda: recorder.announced, ENCODING_S)
    assert recorder.announced.pop() == (99, None)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    assert recorder.clip().is_file()


def test_memory_is_bounded_in_time_and_in_bytes(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = recorder.clips._pictures
    for number in range(3000):
        recorder.clips.picture(_ns(number / PICTURES_HZ), b"small")
    assert len(ring._items) == 12 * PICTURES_HZ + 1
    monkeypatch.setattr(clips, "KEPT_BYTES", 10_000)
    for number in range(100):
        recorder.clips.picture(_ns(200 + number / 1000), bytes(999))
    assert len(ring._items) == 10


def test_a_computer_that_sleeps_after_a_flag_keeps_what_there_was(recorder: Recorder) -> None:
    """The next picture comes a minute later, and would push out all that the clip is made of."""
    recorder.play(0, STAMP_S + 1)
    recorder.clips.cut(WINDOW, START_NS + round(STAMP_S * SECOND))
    recorder.play(66, 67)
    with av.open(str(recorder.clip())) as file:
        pictures = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
    assert np.mean([picture.mean() > 40 for picture in pictures]) > 0.6


def test_after_the_clock_was_set_back_only_the_new_time_counts(recorder: Recorder) -> None:
    recorder.play(100, 105)
    recorder.play(0, 6.2)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.play(6.2, 9.2)
    assert Film(recorder.clip()).at(6.5) > 60, "cut too early, at a time that is still to come"


@pytest.mark.parametrize("back_s", [5, 3600])
def test_a_clip_that_is_wanted_as_the_clock_is_set_back_shows_what_was_then(recorder: Recorder, back_s: float) -> None:
    """Its end would come only with what is seen later, or never."""
    before_s = float(back_s)
    recorder.play(before_s, before_s + 6.2, flash_s=before_s + 5)
    recorder.clips.cut(WINDOW, _ns(before_s + STAMP_S))
    recorder.play(6.2, 6.2 + 9, flash_s=before_s + 8)
    film = Film(recorder.clip())
    assert film.flash_s == pytest.approx(3.0, abs=1 / PICTURES_HZ)
    assert film.beep_s == pytest.approx(3.0, abs=0.02)
    assert film.at(5.0) < 20, "what came when the clock was set back is not of its time"


def test_a_clip_that_finds_nothing_at_the_end_is_said_to_be_lost(recorder: Recorder) -> None:
    """As one that was flagged by a clock that was set back a moment ago."""
    recorder.play(0, 6.2)
    recorder.clips.cut(WINDOW, _ns(3600 + STAMP_S))
    recorder.clips.close(ENCODING_S)
    assert recorder.announced == [(WINDOW, None)]


def test_where_nothing_was_ever_seen_or_heard_nothing_is_lost(recorder: Recorder) -> None:
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    recorder.clips.close(ENCODING_S)
    assert recorder.announced == []


def test_a_browser_plays_it_in_step(recorder: Recorder) -> None:
    """In real Chromium: the picture at a time is the one of then, and so is the sound."""
    recorder.play(0, 9.2, flash_s=5.0)
    recorder.clips.cut(WINDOW, _ns(STAMP_S))
    address = "data:video/mp4;base64," + b64encode(recorder.clip().read_bytes()).decode()
    with chromium() as browser:
        seen = browser.new_page().evaluate(LOOK_AND_LISTEN, address)
    assert seen["length_s"] == pytest.approx(LENGTH_S, abs=0.05)
    assert seen["beep_s"] == pytest.approx(3.0, abs=0.02)
    assert seen["before"] == pytest.approx(100, abs=5)
    assert seen["during"] == pytest.approx(250, abs=5)


LOOK_AND_LISTEN = """async (address) => {
  const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(await (await fetch(address)).arrayBuffer());
  const video = document.createElement("video");
  video.src = address;
  await new Promise((done, failed) => { video.oncanplay = done; video.onerror = () => failed(video.error.message); });
  const drawing = document.createElement("canvas").getContext("2d");
  const brightness = async (time) => {
    video.currentTime = time;
    await new Promise((done) => { video.onseeked = done; });
    drawing.drawImage(video, 0, 0);
    return drawing.getImageData(9, 9, 1, 1).data[1];
  };
  return {
    length_s: video.duration,
    beep_s: sound.getChannelData(0).findIndex((value) => Math.abs(value) > 0.2) / 16000,
    before: await brightness(2.95),
    during: await brightness(3.05),
  };
}"""


class Film:
    """A clip, decoded."""

    def __init__(self, path: Path) -> None:
        with av.open(str(path)) as file:
            assert [stream.codec_context.name for stream in file.streams] in (["h264", "aac"], ["h264"])
            frames = list(file.decode(video=0))
            self.length_s = tuple(float(stream.duration * stream.time_base) for stream in file.streams)
        self.times_s = [frame.time for frame in frames]
        self.brightness = [frame.to_ndarray(format="gray").mean() for frame in frames]
        self.flash_s = self.times_s[int(np.argmax(self.brightness))]
        with av.open(str(path)) as file:
            blocks = list(file.decode(audio=0)) if file.streams.audio else []
        self.sound = np.concatenate([block.to_ndarray()[0] for block in blocks]) if blocks else np.zeros(0)
        loud = np.flatnonzero(np.abs(self.sound) > 0.2)
        self.beep_s = blocks[0].time + loud[0] / SOUND_HZ if loud.size else -1.0

    def at(self, time_s: float) -> float:
        """How bright the picture shown at this time is, 0-255."""
        return float(self.brightness[np.searchsorted(self.times_s, time_s, side="right") - 1])


def _ns(since_start_s: float) -> int:
    return START_NS + round(since_start_s * SECOND)


def _picture(time_s: float, flash_s: float) -> tuple[int, bytes]:
    bright = flash_s <= time_s < flash_s + 0.1
    picture = np.full((240, 320, 3), 250 if bright else 100, np.uint8)
    return _ns(time_s), cv2.imencode(".jpg", picture)[1].tobytes()


def _chunk(first: int, flash_s: float) -> tuple[int, np.ndarray]:
    times_s = (first + np.arange(CHUNK)) / SOUND_HZ
    beep = (times_s >= flash_s) & (times_s < flash_s + 0.1)
    return _ns(first / SOUND_HZ), (0.5 * np.sin(2 * np.pi * 1000 * times_s) * beep).astype(np.float32)
