"""Pictures and sound with their stamps become a file that every browser plays: MP4, H.264 and AAC.

Time 0 of the file is the beginning of the clip, and its length is that of the clip, whatever was there: a moment
without picture is dark, one without sound is silent. So a player at `t` shows what was at `start + t`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray
from mmal_ros.session.clip_content import HOLD_NS, ClipContent

GAP_NS = 20_000_000
"""Stamps of sound jitter; where they leap by less than this it is gapless, and nobody hears a seam."""
LAST_NS = 40_000_000
"""How long the last picture lasts, so that the file is as long as the clip."""
MOST_PIXELS = 4096 * 4096
"""Of a picture: a small file may claim to be as large as a town, and is unpacked for it."""
NOTHING_SEEN = (320, 240)
"""Width and height of a clip without any picture."""
TICKS = 90_000
"""Per second: what pictures are timed in."""
SOUND_BLOCK = 1024
"""Values that AAC takes at once."""
SOUND_BITS_PER_SECOND = 64_000
QUALITY = {"preset": "veryfast", "crf": "26", "threads": "1", "bf": "0"}  # one core is enough: see benchmarks


def encode_clip(path: Path, content: ClipContent) -> None:
    """Write a clip; raises av.FFmpegError or OSError where that cannot be."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        video = file.add_stream("libx264", options=QUALITY)
        video.width, video.height = _size(content)
        video.pix_fmt, video.time_base = "yuv420p", Fraction(1, TICKS)
        video.codec_context.time_base = video.time_base
        video.codec_context.color_range, video.codec_context.colorspace = ColorRange.MPEG, Colorspace.ITU601
        sound = file.add_stream("aac", rate=round(content.rate_hz), layout="mono") if content.sound else None
        for frame in _frames(content, video.width, video.height):
            file.mux(video.encode(frame))
        file.mux(video.encode())
        if sound is not None:
            sound.bit_rate = SOUND_BITS_PER_SECOND
            for block in _blocks(_gapless(content), round(content.rate_hz)):
                file.mux(sound.encode(block))
            file.mux(sound.encode())


def _frames(content: ClipContent, width: int, height: int) -> Iterator[av.VideoFrame]:
    """The pictures as the encoder wants them, dark ones among them."""
    dark = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8))
    decoder, picture, last_tick = _Jpegs(), dark, -1
    for since_ns, jpeg in _shown(content):
        tick = since_ns * TICKS // NANOSECONDS_PER_SECOND
        picture = dark if jpeg is None else decoder.decode(jpeg) or picture  # a damaged one: the one before goes on
        if tick <= last_tick:
            continue
        frame = picture.reformat(
            width, height, "yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        frame.duration = LAST_NS * TICKS // NANOSECONDS_PER_SECOND
        last_tick = tick
        yield frame


def _shown(content: ClipContent) -> list[tuple[int, bytes | None]]:
    """What is to be seen from when on, in nanoseconds since the start of the clip; None: nothing."""
    changes: list[tuple[int, bytes | None]] = [(min(content.start_ns, content.end_ns), None)]
    for (stamp_ns, jpeg), (next_ns, _) in pairwise([*content.pictures, (content.end_ns, b"")]):
        changes.append((stamp_ns, jpeg))
        if next_ns - stamp_ns > HOLD_NS:
            changes.append((stamp_ns + HOLD_NS, None))
    changes.sort(key=lambda change: change[0])
    first = bisect_right(changes, content.start_ns, key=lambda change: change[0])
    inside = [(at_ns - content.start_ns, jpeg) for at_ns, jpeg in changes[first:] if at_ns < content.end_ns]
    shown = [(0, changes[first - 1][1]), *inside]
    return [*shown, (content.end_ns - content.start_ns - LAST_NS, shown[-1][1])]


def _size(content: ClipContent) -> tuple[int, int]:
    """Width and height of the first picture; H.264 wants even ones."""
    decoder = _Jpegs()
    for picture in map(decoder.decode, (jpeg for _, jpeg in content.pictures)):
        if picture is not None:
            return max(picture.width // 2 * 2, 2), max(picture.height // 2 * 2, 2)
    return NOTHING_SEEN


class _Jpegs:
    """Decodes pictures one by one; a damaged or boundless one is None."""

    def __init__(self) -> None:
        self._decoder = av.CodecContext.create("mjpeg", "r")
        self._decoder.options = {"max_pixels": str(MOST_PIXELS)}
        self._decoder.thread_count = 1  # else a picture comes out when the next ones went in

    def decode(self, jpeg: bytes) -> av.VideoFrame | None:
        """The picture in a JPEG."""
        try:
            return next(iter(self._decoder.decode(av.Packet(jpeg))), None)
        except av.FFmpegError:
            return None


def _gapless(content: ClipContent) -> FloatArray:
    """The sound of the clip from its first moment to its last, silent where nothing was heard."""
    per_ns = content.rate_hz / NANOSECONDS_PER_SECOND
    length = round((content.end_ns - content.start_ns) * per_ns)
    values, after = np.zeros(length, np.float32), 0
    for stamp_ns, chunk in content.sound:
        place = round((stamp_ns - content.start_ns) * per_ns)
        if abs(place - after) < GAP_NS * per_ns:
            place = after
        after = place + len(chunk)
        kept = chunk[max(-place, 0) : max(length - place, 0)]
        values[max(place, 0) : max(place, 0) + len(kept)] = kept
    return values


def _blocks(values: FloatArray, rate_hz: int) -> Iterator[av.AudioFrame]:
    for first in range(0, len(values), SOUND_BLOCK):
        block = av.AudioFrame.from_ndarray(values[None, first : first + SOUND_BLOCK], format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate_hz, first, Fraction(1, rate_hz)
        yield block
