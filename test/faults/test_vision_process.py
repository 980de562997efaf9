"""The process that sees is killed, or stands still, under `mmal run`: everything else in that graph goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mmal_msgs.msg import Engagement, ModalityEstimate
from mmal_ros.datatypes import Modality
from mmal_ros.nodes.conversions import MODALITY_CODES
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT
from rigs.estimates import went_on
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.room import CAMERA, pictures
from rigs.ros import message_of, participant

START_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def ros():
    with participant() as someone, pictures(someone, rate_hz=10):
        someone.listen(ENGAGEMENT)
        someone.listen(DIAGNOSTICS)
        yield someone


@pytest.fixture(scope="module")
def run(ros, tmp_path_factory):
    """`mmal run` with a robot's camera and nothing else."""
    command = [str(Path(sys.executable).parent / "mmal"), "run", "--json", "--camera", f"topic:{CAMERA}"]
    command += ["--microphone", "none", "--wristband", "none"]
    with (tmp_path_factory.mktemp("run") / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def face_in(estimate: Engagement) -> ModalityEstimate:
    return estimate.modalities[MODALITY_CODES[Modality.FACE]]


def face(ros) -> ModalityEstimate:
    """What the newest estimate says of it."""
    return face_in(ros.heard[ENGAGEMENT.name][-1])


def sees(ros) -> bool:
    return bool(ros.heard[ENGAGEMENT.name]) and face(ros).status == ModalityEstimate.VALID


def vision_of(run: subprocess.Popen) -> int | None:
    """None: there is none at the moment."""
    children = psutil.Process(run.pid).children()
    with suppress(psutil.NoSuchProcess):
        return next((child.pid for child in children if "spawn_main" in str(child.cmdline())), None)
    return None


def mistreat(ros, run, what: int, complaint: str) -> tuple[float, float]:
    """Send a signal; seconds until it is said on /diagnostics, and until the face is seen by another process."""
    seconds_until(lambda: sees(ros), START_TIMEOUT_S)
    estimates, diagnostics = ros.heard[ENGAGEMENT.name], ros.heard[DIAGNOSTICS.name]
    before, vision = len(estimates), vision_of(run)
    os.kill(vision, what)
    detected_s = seconds_until(lambda: complaint in message_of(diagnostics[-20:], "camera"))
    back_s = detected_s + seconds_until(lambda: vision_of(run) not in (vision, None), START_TIMEOUT_S)
    frames_seen = face(ros).frames_seen
    back_s += seconds_until(lambda: sees(ros) and face(ros).frames_seen > frames_seen, START_TIMEOUT_S)
    went_on(estimates[before:])
    assert ModalityEstimate.MISSING in [face_in(estimate).status for estimate in estimates[before:]], "windows mix"
    seconds_until(lambda: message_of(diagnostics[-20:], "camera") == "streaming")
    return detected_s, back_s


def test_the_vision_process_is_killed(ros, run):
    detected_s, back_s = mistreat(ros, run, signal.SIGKILL, "starting it again")
    keep(Outcome("vision process is killed", "SIGKILL under `mmal run`", detected_s, back_s))


def test_the_vision_process_stands_still(ros, run):
    """It is as if a driver or a library hung: pictures pile up nowhere, and after five seconds another one looks."""
    detected_s, back_s = mistreat(ros, run, signal.SIGSTOP, "hangs")
    keep(Outcome("vision process hangs", "SIGSTOP under `mmal run`", detected_s, back_s))
