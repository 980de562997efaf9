"""Kills a recorder with SIGKILL at random moments: is all that it acknowledged there, and does every bag open?

    python benchmarks/kill_recorder.py --kills 200

The process that is killed records as recorder_node does, with the same `SessionRecorder`, but its time runs twenty
times as fast: features, pictures, sound, flags, some of them withdrawn. It says on a pipe what is acknowledged.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rosbags.highlevel import AnyReader

from mmal_ros.session.bag_metadata import BagTopic
from mmal_ros.session.card import SessionCard
from mmal_ros.session.folder import SessionFolder, sessions_in
from mmal_ros.session.recorder import OnDisk, SessionRecorder
from mmal_ros.session.records import CLIP_LOST, Flag, Privacy
from mmal_ros.session.salvage import ensure_readable
from mmal_ros.session.store import SessionStore

TOPIC = BagTopic("/mmal/features/face", "std_msgs/msg/UInt64", "uint64 data\n")
SPEED = 20
STEP_NS = 100_000_000
LONGEST_LIFE_S = 3.0


@dataclass
class Tally:
    """What was found after all kills."""

    kills: int = 0
    before_anything: int = 0
    """Killed before there was a session."""
    acknowledged: int = 0
    acknowledged_clips: int = 0
    clips_lost: int = 0
    """Of acknowledged flags, and marked as lost."""
    messages: int = 0
    most_lost_s: float = 0.0
    """Of features, between the last one in a bag and the kill."""
    faults: list[str] = field(default_factory=list)


def record(root: Path, pipe: int, seed: int) -> None:
    """Record until killed."""
    chance = random.Random(seed)
    begin_ns = start_ns = time.time_ns()

    def now_ns() -> int:
        return start_ns + SPEED * (time.time_ns() - begin_ns)

    def acknowledge(what: OnDisk) -> None:
        os.write(pipe, (json.dumps([what.window_id, what.withdrawn, what.clip]) + "\n").encode())

    fields = {"name": "", "participant": "P017", "start": datetime.now(UTC), "start_ns": start_ns, "software": "1"}
    card = SessionCard.model_validate(fields | {"privacy": Privacy.CLIPS})
    recorder = SessionRecorder(root, card, [TOPIC], now_ns, acknowledge)
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 99, np.uint8))[1].tobytes()
    flagged: list[Flag] = []
    for step in range(100_000):
        stamp_ns = start_ns + step * STEP_NS
        data = b"\0\1\0\0" + step.to_bytes(8, "little") + os.urandom(1000)
        recorder.bag.add(TOPIC.name, data, time.time_ns(), stamp_ns)
        recorder.picture(stamp_ns, jpeg)
        recorder.sound(stamp_ns, np.zeros(1600, np.float32), 16_000.0)
        if chance.random() < 0.05:
            flagged.append(Flag(step, stamp_ns, "person", "", 1.0))
            recorder.flag(flagged[-1])
        if flagged and chance.random() < 0.01:
            taken_back = chance.choice(flagged)
            recorder.withdraw(taken_back.window_id, taken_back.stamp_ns)
        time.sleep(STEP_NS / 1e9 / SPEED)


def kill_once(root: Path, life_s: float, seed: int) -> tuple[list[list[Any]], int]:
    """Start a recorder and kill it; returns what it acknowledged, and when it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            record(root, writing, seed)
        finally:
            os._exit(1)
    os.close(writing)
    time.sleep(life_s)
    killed_ns = time.time_ns()
    os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        acknowledged = [json.loads(line) for line in pipe if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError("the recorder ended by itself")
    return acknowledged, killed_ns


def examine(folder: SessionFolder, acknowledged: list[list[Any]], killed_ns: int, tally: Tally) -> None:
    """Open everything, as whoever comes afterwards does."""
    folder.card()
    if not ensure_readable(folder):
        tally.faults.append(f"{folder.name}: the bag cannot be read")
        return
    with AnyReader([folder.bag]) as reader:
        messages = [(at_ns, int.from_bytes(bytes(raw[4:12]), "little")) for _, at_ns, raw in reader.messages()]
    if [number for _, number in messages] != list(range(len(messages))):
        tally.faults.append(f"{folder.name}: messages are missing in between")
    if messages:
        tally.most_lost_s = max(tally.most_lost_s, (killed_ns - messages[-1][0]) / 1e9)
    tally.messages += len(messages)
    with SessionStore(folder.labels) as store:
        flags = {flag.window_id: flag for flag in store.flags(withdrawn=True)}
    last = {window: (withdrawn, clip) for window, withdrawn, clip in acknowledged}
    for window, (withdrawn, clip) in last.items():
        found = flags.get(window)
        if found is None or (withdrawn and not found.withdrawn):
            tally.faults.append(f"{folder.name}: what was acknowledged of window {window} is not there")
        elif withdrawn and folder.clip_of(window).exists():
            tally.faults.append(f"{folder.name}: the clip of window {window} was not deleted")
        elif not found.withdrawn:
            tally.faults += _clip_faults(folder, clip, found)
            tally.clips_lost += found.clip == CLIP_LOST
    tally.faults += [f"{part.relative_to(folder.path.parent)} was left behind" for part in folder.path.rglob(".*")]
    tally.acknowledged += len(last)
    tally.acknowledged_clips += sum(bool(clip) for _, clip in last.values())


def _clip_faults(folder: SessionFolder, acknowledged: str, flag: Flag) -> list[str]:
    """Every flag has a clip that plays, or one that is marked as lost unless it was acknowledged."""
    if flag.clip == CLIP_LOST and not acknowledged:
        return []
    if not flag.clip or acknowledged not in ("", flag.clip):
        return [f"{folder.name}: the clip of window {flag.window_id} is neither there nor marked as lost"]
    with av.open(str(folder.path / flag.clip)) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    return [] if pictures else [f"{folder.name}: {flag.clip} shows nothing"]


def run(kills: int, seed: int) -> Tally:
    """Kill so many recorders; the first of them early, in the middle of their start."""
    chance = random.Random(seed)
    tally = Tally()
    for number in range(kills):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            life_s = chance.uniform(0.0, 0.1 if number % 4 == 0 else LONGEST_LIFE_S)
            acknowledged, killed_ns = kill_once(root, life_s, seed + number)
            tally.kills += 1
            sessions = list(sessions_in(root))
            tally.before_anything += not sessions
            if acknowledged and not sessions:
                tally.faults.append("something was acknowledged before there was a session")
            for folder in sessions:
                examine(folder, acknowledged, killed_ns, tally)
    return tally


def main() -> None:
    """Kill, and say what was found; exit code 1 when something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tally = run(arguments.kills, arguments.seed)
    print(json.dumps(vars(tally), indent=2))
    sys.exit(1 if tally.faults else 0)


if __name__ == "__main__":
    main()
