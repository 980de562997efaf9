"""A recorded microphone: any sound file, or the sound track of a video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray, Sample
from mmal_ros.sensors.resample import MonoResampler
from mmal_ros.sensors.source import Source, SourceError, SourceState

try:
    import av
except ImportError as missing:
    raise SourceError("sound files need the Python package av: pip install 'mmal_ros[robot]'") from missing

GAP_S = 0.05
"""Where the time marks of the file leap by more than this, sound is missing, and the stamps leap too."""
HIGHEST_RATE_HZ = 1_000_000
"""Of a sound track; the finest converters have 768 kHz."""


class AudioFile(Source):
    """Plays the first sound track of a file, mixed to mono, at the rate of the features; never in memory as a whole.

    Time 0 of the file is `start_ns`, also where the sound begins later than the picture. Damaged parts are left out
    and counted in `status.dropped`.

    Raises:
        SourceError: on opening, when there is no such file, it is no sound or video, or it has no sound track.
    """

    def __init__(self, path: Path | str, start_ns: int, rate_hz: int = 16_000, block_ms: int = 20) -> None:
        super().__init__()
        self.name = "microphone"
        self._path = Path(path)
        self._start_ns = start_ns
        self._rate_hz = rate_hz
        self._block_size = rate_hz * block_ms // 1000
        self._closed = False

    def open(self) -> None:
        """Look whether the file can be played; what it takes to read it is held only while it is read."""
        with _container(self._path) as container:
            _sound_track(container, self._path)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._update(state=SourceState.ENDED)

    def __iter__(self) -> Iterator[Sample]:
        blocks = _Blocks(self._rate_hz, self._block_size)
        for media_s, values in self._sound():
            for block_s, block in blocks.add(media_s, values):
                if self._closed:
                    return
                yield self._sample(block_s, block)
        for block_s, block in blocks.rest():
            yield self._sample(block_s, block)
        self.close()

    def _sample(self, media_s: float, values: FloatArray) -> Sample:
        self._update(count="received", state=SourceState.STREAMING)
        stamp_ns = self._start_ns + round(media_s * NANOSECONDS_PER_SECOND)
        return Sample("microphone", stamp_ns, values, self._rate_hz)

    def _sound(self) -> Iterator[tuple[float, FloatArray]]:
        """Seconds since the start of the file, and mono values at our rate."""
        resampler = MonoResampler(self._rate_hz)
        with _container(self._path) as container:
            begin_s = (container.start_time or 0) / av.time_base
            media_s = 0.0
            for frame in self._frames(container):
                media_s = media_s if frame.time is None else frame.time - begin_s
                with self._damage_left_out():
                    yield media_s, resampler.process(frame)
                media_s += frame.samples / frame.sample_rate
            with self._damage_left_out():
                yield media_s, resampler.process(None)

    def _frames(self, container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
        with self._damage_left_out():  # behind it nothing can be found any more
            for packet in container.demux(_sound_track(container, self._path)):
                with self._damage_left_out():
                    yield from packet.decode()

    @contextmanager
    def _damage_left_out(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError:  # many of its kinds, and some that have no name
            self._update(count="dropped", message=f"{self._path} is damaged: parts of the sound are left out")


class _Blocks:
    """Cuts sound into blocks of one size, timed by counting values; where sound is missing a new count begins."""

    def __init__(self, rate_hz: int, size: int) -> None:
        self._rate_hz = rate_hz
        self._size = size
        self._begin_s: float | None = None
        self._given = 0
        self._waiting: FloatArray = np.zeros(0, np.float32)

    def add(self, media_s: float, values: FloatArray) -> Iterator[tuple[float, FloatArray]]:
        """The blocks, and when each begins, that are whole now that `values`, from `media_s` on, are there."""
        if self._begin_s is None:
            self._begin_s = media_s
        elif media_s - self._time_of(self._given + len(self._waiting)) > GAP_S:
            yield from self.rest()
            self._begin_s, self._given = media_s, 0
        self._waiting = np.concatenate([self._waiting, values])
        while len(self._waiting) >= self._size:
            yield self._take(self._size)

    def rest(self) -> Iterator[tuple[float, FloatArray]]:
        """The last block, shorter than the others; none if nothing is left."""
        if len(self._waiting):
            yield self._take(len(self._waiting))

    def _take(self, count: int) -> tuple[float, FloatArray]:
        block, self._waiting = self._waiting[:count], self._waiting[count:]
        begin_s = self._time_of(self._given)
        self._given += count
        return begin_s, block

    def _time_of(self, value: int) -> float:
        return (self._begin_s or 0.0) + value / self._rate_hz


def _container(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise SourceError(f"there is no file {path}")
    try:
        return av.open(str(path), metadata_errors="replace")  # titles are in any encoding
    except av.error.FFmpegError as error:
        raise SourceError(
            f"{path} ({path.stat().st_size} bytes) is no sound or video file that FFmpeg can read: {error.strerror}"
        ) from error


def _sound_track(container: av.container.InputContainer, path: Path) -> av.AudioStream:
    track = next(iter(container.streams.audio), None)
    if track is None or track.codec_context is None:
        found = ", ".join(f"{stream.type} ({_codec(stream)})" for stream in container.streams) or "nothing"
        raise SourceError(f"{path} has no sound track, only {found}: name another file, or use microphone none")
    rate_hz = track.codec_context.sample_rate
    if rate_hz > HIGHEST_RATE_HZ:  # resampling would take a minute for each block
        raise SourceError(f"{path} has sound of {rate_hz:,} values a second, as nobody records; is it damaged?")
    return track


def _codec(stream: av.stream.Stream) -> str:
    return "unknown" if stream.codec_context is None else str(stream.codec_context.name)
