"""`mmal demo`: the whole loop, as somebody sees it who has just installed this."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmal_ros.session.folder import sessions_in
from mmal_ros.session.store import SessionStore
from rigs.private import open_to_others

MMAL = str(Path(sys.executable).parent / "mmal")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_sessions_are_played_labelled_learned_from_and_compared(tmp_path: Path) -> None:
    """Half as long as a user's: what matters here is that one part of the loop takes what the other gives."""
    environment = os.environ | {"MMAL_HOME": str(tmp_path), "COLUMNS": "120"}
    command = [MMAL, "demo", "--duration", "25"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, umask=0, **pipes) as run:
        assert run.stdout is not None
        said = []
        for line in run.stdout:
            said.append(line)
            if "review page: http://127.0.0.1:" in line:  # left open, until somebody ends it
                run.send_signal(signal.SIGINT)
    text = "".join(said)
    assert run.returncode == 130, text
    assert "Traceback" not in text
    for step in ("1/5 first session", "2/5", "3/5", "4/5 second session", "5/5"):
        assert step in text
    assert [line.split()[1] for line in said if "│" in line and line.split()[1:2] in (["before"], ["after"])] == [
        "before",
        "after",
    ]
    first, second = sessions_in(tmp_path / "demo/sessions")
    with SessionStore(first.labels) as store:
        flags, labels = store.flags(), store.standing_labels()
    assert len(flags) >= 8
    assert {label.window_id for label in labels} == {flag.window_id for flag in flags}
    assert all((first.path / flag.clip).stat().st_size > 1000 for flag in flags if flag.clip)
    assert sum(flag.clip is not None for flag in flags) >= len(flags) - 1
    assert second.card().end_ns is not None
    card = json.loads((tmp_path / "demo/models/DEMO1/1/model.json").read_text())
    assert card["training"]["learned_from"]
    assert open_to_others(tmp_path) == []
    logs = [word for line in said for word in line.split() if word.endswith(".log")]
    assert {stat.S_IMODE(os.stat(log).st_mode) for log in logs} == {0o600}


def test_one_session_alone_keeps_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"MMAL_HOME": str(tmp_path)}
    command = [MMAL, "demo", "--once", "--json", "--duration", "10"]
    began = time.monotonic()
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    assert time.monotonic() - began > 10
    assert len(run.stdout.splitlines()) >= 90
    assert list(tmp_path.iterdir()) == []
