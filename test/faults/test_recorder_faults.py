"""Recorders die: at random moments, several in one second, and one whose last clip was being written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from mmal_ros.session.bag_metadata import is_complete
from mmal_ros.session.deletion import is_recording
from mmal_ros.session.folder import SessionFolder, sessions_in
from mmal_ros.session.records import CLIP_LOST
from mmal_ros.session.salvage import ensure_readable
from mmal_ros.session.store import SessionStore
from rigs.browser import Visitor
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.killed_server import KilledServer

RECORDER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
import cv2, numpy as np
from mmal_ros.session.bag_metadata import BagTopic
from mmal_ros.session.card import SessionCard
from mmal_ros.session.recorder import SessionRecorder
from mmal_ros.session.records import Flag, Privacy

root, start_ns, own = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
fields = {"name": "", "participant": "P017", "start": datetime.now(UTC), "start_ns": start_ns, "software": "1"}
card = SessionCard.model_validate(fields | {"privacy": Privacy.CLIPS})
topic = BagTopic("/mmal/query", "std_msgs/msg/String", "string data\\n")
recorder = SessionRecorder(root, card, [topic], time.time_ns, lambda what: print(what.window_id, flush=True))
noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
jpeg = cv2.imencode(".jpg", noise)[1].tobytes()  # takes long to encode again
for number in range(80):
    recorder.picture(start_ns + number * 100_000_000, jpeg)
recorder.flag(Flag(own, start_ns + 4_000_000_000, "person", "", 1.0))
sys.stdin.readline()
recorder.stop()
print("stopped", flush=True)
time.sleep(60)
"""
START_NS = 1_795_168_800_000_000_000
ROOT = Path(__file__).resolve().parent.parent.parent
LOST_AT_MOST_S = 5.0
"""A second between two flushes, and a machine that is busy with other tests."""


def recorder(root: Path, window_id: int) -> subprocess.Popen[str]:
    """A process that records a session which began in that very nanosecond, and flags one window."""
    command = [sys.executable, "-c", RECORDER, str(root), str(START_NS), str(window_id)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def flags(folder: SessionFolder) -> dict[int, str | None]:
    """Clip by window."""
    with SessionStore(folder.labels) as store:
        return {flag.window_id: flag.clip for flag in store.flags()}


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(1500)])])
def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(kills):
    """Sessions that run twenty times as fast, so that a kill meets flags, withdrawals and clips at work."""
    command = [sys.executable, str(ROOT / "benchmarks/kill_recorder.py"), "--kills", str(kills), "--seed", "7"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=5 * kills + 50)
    assert run.returncode == 0, run.stdout + run.stderr
    tally = json.loads(run.stdout)
    assert tally["kills"] == kills
    assert tally["acknowledged"] > 2 * kills
    assert tally["acknowledged_clips"] > 0
    assert tally["most_lost_s"] < LOST_AT_MOST_S
    lost = f"no flag of {tally['acknowledged']}, no clip of {tally['acknowledged_clips']} acknowledged"
    keep(
        Outcome(
            "recorder killed",
            f"SIGKILL at {kills} random moments",
            lost=f"{lost}; of features at most {tally['most_lost_s']:.1f} s",
        )
    )


def test_sessions_that_begin_in_the_same_second_and_are_killed_have_each_their_own(tmp_path):
    running = [recorder(tmp_path, window) for window in (1, 2, 3)]
    assert [process.stdout.readline() for process in running] == ["1\n", "2\n", "3\n"]
    for process in running:
        end(process)
    folders = list(sessions_in(tmp_path))
    assert [folder.name[-3:] for folder in folders] == ["_01", "_02", "_03"]
    assert not any(map(is_recording, folders))
    assert all(map(ensure_readable, folders))
    assert sorted(window for folder in folders for window in flags(folder)) == [1, 2, 3]
    assert [flags(folder).keys() for folder in folders].count(set()) == 0
    assert [part for folder in folders for part in folder.path.rglob(".*")] == []


def test_a_clip_that_was_being_written_is_said_to_be_lost_and_its_pictures_are_gone(tmp_path, browser: Browser):
    """The bag is complete already; the process ends before its last clip is."""
    process = recorder(tmp_path / "sessions", 5)
    assert process.stdout.readline() == "5\n"
    process.stdin.write("stop\n")
    process.stdin.flush()
    assert process.stdout.readline() == "stopped\n"
    (folder,) = sessions_in(tmp_path / "sessions")
    seconds_until(lambda: any(scrap.stat().st_size for scrap in folder.clips.glob(".5.mp4.*.new")))
    assert is_complete(folder.bag)
    assert is_recording(folder), "nobody deletes a session under the hands of its recorder"
    end(process)
    assert list(folder.clips.iterdir()) != []

    server = KilledServer(folder.path.parent, tmp_path / "models")
    visitor = Visitor(browser, server)
    page = visitor.review(folder.name)
    expect(page.locator("#stage-words")).to_contain_text("The clip of this moment is lost")
    assert list(folder.clips.iterdir()) == []
    assert flags(folder) == {5: CLIP_LOST}
    assert [part for part in folder.path.rglob(".*") if part.is_file()] == []
    visitor.close()
    server.kill()
    keep(Outcome("recorder killed while it writes a clip", "SIGKILL", lost="the clip, marked as lost; no scratch file"))
