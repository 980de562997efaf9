"""Whoever ends a run that records, and however: the session is whole, with the clips of its last flags."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmal_msgs.srv import FlagNow
from mmal_ros.nodes.topics import FLAG_NOW, IMAGE, RECORDED
from mmal_ros.session.bag import LOCK_FILE
from mmal_ros.session.bag_metadata import is_complete
from mmal_ros.session.folder import SessionFolder, sessions_in
from mmal_ros.session.records import CLIP_LOST
from mmal_ros.session.store import SessionStore
from rigs.ctrl_c import hear_ctrl_c
from rigs.fault_log import Outcome, keep
from rigs.ros import participant, wait_until

MMAL = str(Path(sys.executable).parent / "mmal")
INTERRUPTED = 130
STOP_TIMEOUT_S = 60.0
PICTURES = 30
"""Some seconds of them, for the clip."""
BETWEEN_S = 0.3
"""Somebody who presses Ctrl-C again and again."""


@pytest.fixture
def flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Flags what is happening now in a run that records, and returns when that is on disk."""
    monkeypatch.setenv("MMAL_HOME", str(tmp_path))
    with participant() as ros:
        recorded, pictures = ros.listen(RECORDED), ros.listen(IMAGE)

        def flag() -> None:
            wait_until(lambda: len(pictures) > PICTURES, 60)
            wait_until(lambda: ros.call(*FLAG_NOW, FlagNow.Request(reason="for the test")).success, 60)
            wait_until(lambda: recorded, 30)

        yield flag


@contextmanager
def recording_run(**settings: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [MMAL, "run", "--camera", "synthetic:3", "--record", "P017", "--json"]
    with subprocess.Popen(command, **settings) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def assert_whole(root: Path) -> None:
    (folder,) = sessions_in(root / "sessions")
    assert folder.card().end is not None
    assert is_complete(folder.bag)
    assert not any((part / LOCK_FILE).exists() for part in (folder.path, folder.bag))
    assert clips(folder)
    assert all(clip not in (None, CLIP_LOST) and (folder.path / str(clip)).is_file() for clip in clips(folder))


def clips(folder: SessionFolder) -> list[str | None]:
    with SessionStore(folder.labels) as store:
        return [flag.clip for flag in store.flags()]


def test_ctrl_c_again_and_again_costs_no_clip(tmp_path, flagged):
    with recording_run(stdout=subprocess.DEVNULL, preexec_fn=hear_ctrl_c) as process:
        flagged()
        began_s = time.monotonic()
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(BETWEEN_S)
        assert process.returncode in (INTERRUPTED, -signal.SIGINT)  # the last one may come as Python says goodbye
        ended_s = time.monotonic() - began_s
    assert_whole(tmp_path)
    keep(Outcome("Ctrl-C again and again while recording", f"every {BETWEEN_S} s until it has ended", None, ended_s))


def test_a_terminal_that_goes_away_ends_the_session_in_order(tmp_path, flagged):
    """Its window is closed, or the network breaks under SSH: whoever has it as terminal gets SIGHUP."""
    ours, theirs = pty.openpty()

    def at_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        hear_ctrl_c()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    with recording_run(stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, preexec_fn=at_the_terminal) as process:
        os.close(theirs)
        flagged()
        os.close(ours)
        began_s = time.monotonic()
        assert process.wait(STOP_TIMEOUT_S) == INTERRUPTED
        ended_s = time.monotonic() - began_s
    assert_whole(tmp_path)
    keep(Outcome("terminal goes away while recording", "pseudo-terminal closed: SIGHUP", None, ended_s))
