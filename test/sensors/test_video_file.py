"""A recorded video instead of a camera."""

from __future__ import annotations

import itertools
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mmal_ros.sensors.source import SourceError, SourceState
from mmal_ros.sensors.video_file import VideoFile

START_NS = 1_700_000_000_000_000_000
MILLISECOND = 1_000_000


def write_video(path: Path, milliseconds: list[int]) -> Path:
    """One picture at each of these times; its brightness is its number times forty."""
    in_milliseconds = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 160, 120
        stream.time_base = in_milliseconds
        stream.codec_context.time_base = in_milliseconds
        for number, at in enumerate(milliseconds):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 40 * number, np.uint8), format="bgr24")
            frame.pts, frame.time_base = at, in_milliseconds
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_recorded_clip_starts_when_it_is_told_to(shared_data: Path) -> None:
    with VideoFile(shared_data / "grid-av-clips" / "bbaf2n.mpg", START_NS) as video:
        samples = list(video)
        status = video.status
    assert [sample.stamp_ns for sample in samples] == [START_NS + n * 40 * MILLISECOND for n in range(75)]
    assert {sample.values.shape for sample in samples} == {(288, 360, 3)}
    assert {(sample.source, sample.rate_hz) for sample in samples} == {("camera", 25.0)}
    assert (status.state, status.received) == (SourceState.ENDED, 75)


def test_a_telephone_that_pauses_between_pictures_keeps_its_times(tmp_path: Path) -> None:
    times = [0, 40, 80, 500, 533, 1200]
    with VideoFile(write_video(tmp_path / "variable.mp4", times), START_NS) as video:
        samples = list(video)
    assert [(sample.stamp_ns - START_NS) / MILLISECOND for sample in samples] == times
    assert [round(float(sample.values.mean()) / 40) for sample in samples] == list(range(6))


def test_a_screen_recording_with_an_edit_list_stays_in_order(shared_data: Path) -> None:
    with VideoFile(shared_data / "pyfeat-testdata" / "face_noface.mov", START_NS) as video:
        stamps = [sample.stamp_ns for sample in video]
    assert len(stamps) == 169
    assert stamps[0] == START_NS
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
    assert len(set(np.diff(stamps))) > 2, "its rate varies, and so must the stamps"


def test_the_same_file_gives_the_same_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", [0, 40, 80])
    runs = []
    for _ in range(2):
        with VideoFile(path, START_NS) as video:
            runs.append([(sample.stamp_ns, sample.values.tobytes()) for sample in video])
    assert runs[0] == runs[1]


def test_closing_in_the_middle_ends_it(tmp_path: Path) -> None:
    with VideoFile(write_video(tmp_path / "clip.mp4", [0, 40, 80]), START_NS) as video:
        pictures = iter(video)
        next(pictures)
        video.close()
        assert next(pictures, None) is None
        assert video.status.state is SourceState.ENDED


def test_what_is_no_video_is_refused_with_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.mp4").write_text("not a video\n" * 100)
    whole = write_video(tmp_path / "whole.mp4", [0, 40, 80]).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(bytes(32000))
    expected = {
        "missing.mp4": "does not exist",
        ".": "is a folder",
        "empty.mp4": "0 bytes",
        "notes.mp4": r"1200 bytes\) holds no video",
        "cut.mp4": "holds no video|no picture",
        "sound.wav": "holds no video",
    }
    for name, message in expected.items():
        with pytest.raises(SourceError, match=message):
            VideoFile(tmp_path / name, START_NS).open()
