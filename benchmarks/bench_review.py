"""How long the review page keeps a coder waiting: four hours of session, 500 flags, real Chromium.

    python benchmarks/bench_review.py

Targets: first paint within 1 s; the next clip's picture within 100 ms of the key.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from report import publish

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))

from rigs.browser import ReviewServer, Visitor, chromium, until  # type: ignore[import-not-found]
from rigs.sessions import make_session  # type: ignore[import-not-found]

OPENINGS = 7
CLIPS = 60
LOOK_MS = 700
"""A coder looks at a clip at least so long before the next key."""
WATCH = """
window.waits = [];
addEventListener('keydown', ({timeStamp}) => requestAnimationFrame(() => {
  const video = document.querySelector('video.seen');
  video.requestVideoFrameCallback((now) => window.waits.push(now - timeStamp));
}), true);
"""
"""From the key to the moment at which the browser hands a picture of the next clip to the screen."""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
LABELLABLE = "document.getElementById('clip-title').textContent.includes(' of ')"
SEEN = "(document.querySelector('video.seen')?.currentTime ?? 0) > 0"


def main() -> None:
    """Measure, and write what came out beside the other results."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        session = make_session(Path(folder) / "sessions", minutes=240, flags=500)
        server = ReviewServer(session.path.parent, Path(folder) / "models")
        paints, readies = zip(*(_open(Visitor(browser, server), session.name) for _ in range(OPENINGS)), strict=True)
        waits = _label(Visitor(browser, server), session.name)
        server.stop()
    rows = {"first paint": _row(paints), "clip plays after opening": _row(readies), "key to next clip": _row(waits)}
    publish("review", rows, f"240 min, 500 flags; {OPENINGS} openings (the first one reads the bag), {CLIPS} answers")


def _open(visitor: Visitor, session: str) -> tuple[float, float]:
    page = visitor.review(session)
    until(page, SEEN)
    times = float(page.evaluate(PAINTED)), float(page.evaluate("performance.now()"))
    visitor.close()
    return times


def _label(visitor: Visitor, session: str) -> list[float]:
    visitor.context.add_init_script(WATCH)
    page = visitor.review(session)
    until(page, SEEN)
    for number in range(CLIPS):
        page.wait_for_timeout(LOOK_MS)
        page.keyboard.press("123"[number % 3])
    page.wait_for_timeout(LOOK_MS)
    waits = [float(wait) for wait in page.evaluate("window.waits")]
    assert len(waits) == CLIPS, f"{len(waits)} of {CLIPS} clips were seen"
    visitor.close()
    return waits


def _row(times_ms: list[float] | tuple[float, ...]) -> dict[str, float | int | str]:
    median, high = np.percentile(times_ms, [50, 99])
    return {"median": float(median), "p99": float(high), "unit": "ms", "n": len(times_ms)}


if __name__ == "__main__":
    main()
