"""A coder whose labels are written by a process that is killed, again and again, at any moment."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore

SERVER = """
import sys
from pathlib import Path
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore
with SessionStore(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    for line in sys.stdin:
        number = int(line)
        store.add_label(Label(number, number, "C1", LabelValue.LOW, number), f"request {number}")
        print(number, flush=True)
"""
LONGEST_LIFE_S = 0.12
"""Some twenty labels: a kill meets every part of writing one."""
MOST_ANSWERS = 20


def label_and_kill(path: Path, kills: int, seed: int = 0) -> int:
    """Answer question after question, each again until it is acknowledged, while the writer is killed `kills` times.

    Every other time it dies at any moment, and else right after an acknowledgement: what was not written before it
    is lost for sure then.

    Returns:
        How many were acknowledged.
    """
    dice, number = random.Random(seed), 0
    for life in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", SERVER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            number += _until_killed(server, number, dice, at_any_moment=life % 2 == 0)
            with suppress(BrokenPipeError):  # a question may still wait to be sent
                server.stdin.close()
    return number


def _until_killed(server: subprocess.Popen[str], number: int, dice: random.Random, *, at_any_moment: bool) -> int:
    """How many answers it acknowledged in its life."""
    if at_any_moment:
        killer = threading.Timer(dice.uniform(0, LONGEST_LIFE_S), server.kill)
        killer.start()
    last = dice.randint(1, MOST_ANSWERS)
    answers = 0
    while _ask(server, number + answers):
        answers += 1
        if not at_any_moment and answers == last:
            server.kill()
    return answers


def _ask(server: subprocess.Popen[str], number: int) -> bool:
    """Whether the answer was acknowledged."""
    try:
        server.stdin.write(f"{number}\n")
        server.stdin.flush()
    except BrokenPipeError:
        return False
    return server.stdout.readline() == f"{number}\n"


def check(path: Path, acknowledged: int) -> None:
    """Assert that every acknowledged label is there once, in order, and at most one more, that was not."""
    with SessionStore(path) as store:
        found = store.labels()
    expected = [Label(number, number, "C1", LabelValue.LOW, number) for number in range(len(found))]
    assert found == expected
    assert acknowledged <= len(found) <= acknowledged + 1, (acknowledged, len(found))
