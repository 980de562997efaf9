"""Sessions of people who do not exist, on disk as a recorder leaves them: bag, card, flags and clips."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

import numpy as np

from mmal_ros import __version__
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, Level, Modality
from mmal_ros.files import PRIVATE_FILE
from mmal_ros.session.card import SessionCard, write_session_card
from mmal_ros.session.folder import SessionFolder, new_session
from mmal_ros.session.records import CLIP_MARGIN_NS, WINDOW_NS, Flag, Privacy
from mmal_ros.session.store import SessionStore
from rigs.session_bag import Message, write_bag
from rigs.session_clip import write_clip
from rigs.session_messages import SIGNALS, estimate_messages, feature_messages, signal_messages

START_NS = 1_795_168_800 * NANOSECONDS_PER_SECOND  # 2026-11-20 10:00 UTC
SEGMENT_S = 20
"""So long the made-up person stays as engaged as she is."""
MODEL = "demo/2"
DIFFERENT_CLIPS = 6
REASONS = ("face and voice disagree", "no modality is sure", "unlike earlier moments")


def make_session(
    root: Path,
    participant: str = "P017",
    minutes: float = 2,
    flags: int = 6,
    seed: int = 0,
    clips: bool = True,
    features: str = "random",
) -> SessionFolder:
    """Write a session below `root`.

    Args:
        root: folder of the sessions.
        participant: whose it is.
        minutes: how long it is.
        flags: how many windows are flagged, evenly over the session.
        seed: the same one gives the same session; others are on other days.
        clips: whether every flag has a small MP4; from the seventh on they share what is in it.
        features: `random`: of no meaning; `synthetic`: they tell something of `level_at`, so that one can learn it.
    """
    start_ns, seconds = START_NS + seed * 86_400 * NANOSECONDS_PER_SECOND, round(minutes * 60)
    folder = new_session(root, participant, start_ns)
    write_bag(folder, list(_streams(start_ns, seconds, seed, features == "synthetic")))
    write_session_card(folder.path, _card(folder, participant, start_ns, seconds, clips, flags))
    with SessionStore(folder.labels) as store:
        names: list[str] = []
        for number, flag in enumerate(_flags(start_ns, seconds, flags)):
            like = names[number % DIFFERENT_CLIPS] if clips and number >= DIFFERENT_CLIPS else None
            names += [_write_clip(folder, flag.window_id, number, like)] if clips else []
            store.flag(replace(flag, clip=names[-1] if clips else None))
    return folder


def level_at(seed: int, since_start_s: float) -> Level:
    """How engaged the made-up person of a seed really is."""
    return _levels(seed, int(since_start_s) + 1)[-1]


def _levels(seed: int, seconds: int) -> list[Level]:
    """The level of every second; each segment's differs from that before."""
    steps = np.random.default_rng([seed, 7]).integers(1, 3, size=seconds // SEGMENT_S + 1).tolist()
    return [level for total in accumulate(steps) for level in [Level(total % 3)] * SEGMENT_S][:seconds]


def _streams(start_ns: int, seconds: int, seed: int, told: bool) -> Iterator[Iterator[Message]]:
    levels = _levels(seed, seconds)
    for modality in Modality:
        yield feature_messages(modality, start_ns, seconds, seed, levels if told else None)
    for name in SIGNALS:
        yield signal_messages(name, start_ns, seconds, seed)
    yield estimate_messages(start_ns, levels, seed, MODEL)


def _card(folder: SessionFolder, participant: str, start_ns: int, seconds: int, clips: bool, flags: int) -> SessionCard:
    end_ns = start_ns + seconds * NANOSECONDS_PER_SECOND
    return SessionCard(
        name=folder.name,
        participant=participant,
        start=datetime.fromtimestamp(start_ns / NANOSECONDS_PER_SECOND, UTC),
        start_ns=start_ns,
        end=datetime.fromtimestamp(end_ns / NANOSECONDS_PER_SECOND, UTC),
        end_ns=end_ns,
        privacy=Privacy.CLIPS if clips else Privacy.FEATURES_ONLY,
        devices={sensor: "synthetic:0" for sensor in ("camera", "microphone", "wristband")},
        model=MODEL,
        policy="sliced-coverage",
        budget=max(flags, 20),
        software=__version__,
    )


def _flags(start_ns: int, seconds: int, count: int) -> Iterator[Flag]:
    """Evenly over the session, and so that every clip lies in it."""
    first, last = WINDOW_NS + CLIP_MARGIN_NS, seconds * NANOSECONDS_PER_SECOND - CLIP_MARGIN_NS
    for number, since_ns in enumerate(np.linspace(first, last, count).tolist()):
        window_id = (start_ns + int(since_ns)) // STEP_NS
        utility = float(np.cos(number) ** 2)
        yield Flag(window_id, window_id * STEP_NS, "sliced-coverage", REASONS[number % len(REASONS)], utility)


def _write_clip(folder: SessionFolder, window_id: int, number: int, like: str | None) -> str:
    path = folder.clip_of(window_id)
    if like is None:
        write_clip(path, shade=number)
        os.chmod(path, PRIVATE_FILE)
    else:
        os.link(folder.path / like, path)
    return str(path.relative_to(folder.path))
