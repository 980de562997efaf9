"""A small real clip: a picture with a bar that moves, and a tone."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE_HZ, SOUND_HZ = 160, 120, 10, 16_000


def write_clip(path: Path, seconds: float = 7, shade: int = 0) -> None:
    """Write an MP4 that browsers play."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        video = file.add_stream("libx264", rate=RATE_HZ, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = file.add_stream("aac", rate=SOUND_HZ, layout="mono")
        for number in range(round(seconds * RATE_HZ)):
            picture = np.full((HEIGHT, WIDTH, 3), 40 + 30 * (shade % 7), np.uint8)
            picture[:, number * 2 : number * 2 + 8] = (40, 160, 220)
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
        times_s = np.arange(round(seconds * SOUND_HZ)) / SOUND_HZ
        tone = (0.1 * np.sin(2 * np.pi * (300 + 40 * shade) * times_s)).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        sound.sample_rate = SOUND_HZ
        file.mux(audio.encode(sound))
        for stream in (video, audio):
            file.mux(stream.encode())
