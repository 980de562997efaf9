"""How fast a recorded session is read, scored again and looked at, and what a clip costs.

    python benchmarks/bench_sessions.py

An hour with all sensors at their full rates, and four hours with 500 flags. Targets: an hour is read and scored in
3.6 s (1,000 × real time); the timeline of four hours is there within 0.3 s once it was derived, the curves around a
flag within 50 ms. Features are noise, which compresses worse than real ones.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import cv2
import numpy as np
from report import publish

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.models import load_model_set
from mmal_ros.paths import find_model
from mmal_ros.session.clip_content import ClipContent
from mmal_ros.session.clip_encoder import encode_clip
from mmal_ros.session.reading import read_features
from mmal_ros.session.records import CLIP_MARGIN_NS, WINDOW_NS
from mmal_ros.session.scoring import rescore
from mmal_ros.session.store import SessionStore
from mmal_ros.session.timeline import read_curves, read_timeline
from rigs import session_messages  # type: ignore[import-not-found]
from rigs.sessions import make_session  # type: ignore[import-not-found]

HOUR_S = 3600
TIMES = 3
CURVES = 30
PICTURES_HZ, SOUND_HZ = 15, 16_000


def main() -> None:
    """Measure, and write what came out beside the other results."""
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        session_messages.LONG_S = HOUR_S  # the camera of the hour is as fast as live
        hour = make_session(Path(folder), "P001", minutes=60, flags=1, clips=False)
        models = load_model_set(find_model("demo"), ("cpu",))
        rows["read the features of an hour"] = _measure(lambda: read_features(hour))
        scored = _measure(lambda: rescore(hour, models))
        rows["read and score an hour"] = scored | {"times_real_time": HOUR_S / scored["wall_s"]}
        long = make_session(Path(folder), "P002", minutes=240, flags=500, clips=False)
        rows["timeline of four hours, first time"] = _measure(lambda: read_timeline(long), 1)
        rows["timeline of four hours, again"] = _measure(lambda: read_timeline(long))
        with SessionStore(long.labels) as store:
            ends_ns = [flag.stamp_ns for flag in store.flags()]
        chosen = iter(np.random.default_rng(0).choice(ends_ns, CURVES).tolist())
        rows["curves around a flag, of four hours"] = _measure(lambda: _curves(long, next(chosen)), CURVES)
        content = _clip_content()
        rows["encode a clip, 640 x 480"] = _measure(lambda: encode_clip(Path(folder) / "clip.mp4", content))
    publish("sessions", rows, f"medians of {TIMES} ({CURVES} for curves); CPU is of all threads")


def _measure(action: Callable[[], object], times: int = TIMES) -> dict[str, Any]:
    """Medians of wall and CPU time in seconds."""
    walls_s, cpus_s = [], []
    for _ in range(times):
        wall_s, cpu_s = perf_counter(), process_time()
        action()
        walls_s.append(perf_counter() - wall_s)
        cpus_s.append(process_time() - cpu_s)
    return {"wall_s": float(np.median(walls_s)), "cpu_s": float(np.median(cpus_s))}


def _curves(session: Any, end_ns: int) -> None:
    assert read_curves(session, end_ns - WINDOW_NS, end_ns)


def _clip_content() -> ClipContent:
    """A moving picture that looks a little like a room, and sound."""
    length_ns = WINDOW_NS + 2 * CLIP_MARGIN_NS
    random = np.random.default_rng(0)
    room = cv2.resize(random.integers(0, 255, (24, 40, 3), np.uint8), (800, 480), interpolation=cv2.INTER_CUBIC)
    pictures = []
    for number in range(length_ns * PICTURES_HZ // NANOSECONDS_PER_SECOND):
        picture = np.clip(room[:, number : number + 640] + random.normal(0, 3, (480, 640, 3)), 0, 255)
        jpeg = cv2.imencode(".jpg", picture.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
        pictures.append((number * NANOSECONDS_PER_SECOND // PICTURES_HZ, jpeg))
    sound = random.normal(0, 0.1, length_ns * SOUND_HZ // NANOSECONDS_PER_SECOND).astype(np.float32)
    return ClipContent(0, length_ns, pictures, [(0, sound)], SOUND_HZ)


if __name__ == "__main__":
    main()
