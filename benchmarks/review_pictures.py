"""Takes the pictures of the review and live pages in docs/pictures, of sessions of a simulated child.

python benchmarks/review_pictures.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from playwright.sync_api import Page

from mmal_ros.datatypes import Modality
from mmal_ros.sensors.synthetic import SyntheticCamera, simulated_person
from mmal_ros.session.folder import SessionFolder

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "test"))

from rigs.browser import ReviewServer, Visitor, chromium, until  # type: ignore[import-not-found]  # noqa: E402
from rigs.labelling import all_saved, press  # type: ignore[import-not-found]  # noqa: E402
from rigs.sessions import level_at, make_session  # type: ignore[import-not-found]  # noqa: E402

PICTURES = HERE.parent / "docs" / "pictures"
RATE_HZ = 10
CLIP_S = 7
CHILDREN = ("P004", "P017", "P021")
MINUTES = 25
FLAGS = 6
HISTORY_S = 60
WIDTH, HEIGHT = 160, 120  # of the film: small, so that the pictures of it are small files


def main() -> None:
    """Make sessions, label them, take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        root = Path(folder) / "sessions"
        first, second, _ = (make_session(root, who, MINUTES, FLAGS, n, clips=not n) for n, who in enumerate(CHILDREN))
        _film(first)
        server = ReviewServer(root, Path(folder) / "models", _Graph())
        light, dark = (Visitor(browser, server, color_scheme=scheme, locale="en-GB") for scheme in ("light", "dark"))
        _label(light.review(first.name), _truth(0)[:4])
        _take(_at_the_flag(light.page), "review-session")
        _take(_at_the_flag(dark.review(first.name)), "review-dark")
        _label(light.review(second.name, "C2"), _truth(1)[:-2] + "45")
        _label(light.review(second.name, "C1"), _truth(1))
        press(light.page, ["ArrowLeft"] * 2)
        _take(light.page, "review-labelled", full_page=True)
        _take(light.open("/"), "review-list")
        _take(light.open("/live"), "live", HISTORY_S)
        server.stop()


class _Graph:
    """A graph that has something to show: engagement comes and goes, the wristband is not there."""

    def state(self) -> dict[str, Any]:
        high = 0.5 + 0.4 * np.sin(time.monotonic() / 6)
        shares = [round(float(share), 3) for share in (0.7 * (1 - high), 0.3, 0.7 * high)]
        heard = {"status": "valid", "probabilities": shares}
        modalities = {modality.value: heard for modality in Modality}
        modalities["physiology"] = {"status": "missing", "probabilities": [1 / 3] * 3}
        modalities["body"] = {**heard, "status": "stale"}
        flags = [
            {"window_id": "1", "time": "2026-11-20T10:01:12Z", "reason": "face and voice disagree", "policy": "mmql"},
            {"window_id": "2", "time": "2026-11-20T10:03:47Z", "reason": "flagged by hand", "policy": "person"},
        ]
        session = {"recording": True, "session": "2026-11-20_P017_01", "participant": "P017", "privacy": "clips"}
        level = ("low", "medium", "high")[int(np.argmax(shares))]
        now = {"level": level, "probabilities": shares, "modalities": modalities, "age_s": 0.1, "model": "demo/2"}
        return {**now, "budget": 20, "budget_left": 18, "flags": flags, "session": {**session, "problem": ""}}


def _film(session: SessionFolder) -> None:
    """Replace the clips by some in which there is somebody to see: scikit-image's public domain portrait, moved."""
    pictures = iter(SyntheticCamera(*simulated_person(7), start_ns=0, rate_hz=RATE_HZ, size=(WIDTH, HEIGHT)))
    for clip in sorted(session.clips.iterdir()):
        clip.unlink()  # some are links to one file
        with av.open(str(clip), "w", options={"movflags": "faststart"}) as file:
            video = file.add_stream("libx264", rate=Fraction(RATE_HZ))
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for sample in islice(pictures, RATE_HZ * CLIP_S):
                file.mux(video.encode(av.VideoFrame.from_ndarray(np.asarray(sample.values), "bgr24")))
            file.mux(video.encode())


def _truth(seed: int) -> str:
    """The keys of somebody who is always right."""
    return "".join(str(level_at(seed, at) + 1) for at in np.linspace(4, MINUTES * 60 - 3, FLAGS))


def _label(page: Page, keys: str) -> None:
    press(page, keys)
    all_saved(page)


def _at_the_flag(page: Page) -> Page:
    """Stop the clip within the flagged second."""
    until(page, "(document.querySelector('video.seen')?.currentTime ?? 0) > 3.3")
    page.keyboard.press(" ")
    return page


def _take(page: Page, name: str, wait_s: float = 1.0, *, full_page: bool = False) -> None:
    page.wait_for_timeout(wait_s * 1000)
    picture = np.asarray(Image.open(BytesIO(page.screenshot(full_page=full_page))).convert("RGB"))
    coarse = picture & 0xF8 | picture >> 5  # hardly seen, and two fifths of the file
    Image.fromarray(coarse).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
