"""The clock of the computer is set under a graph with all its sensors: what its user sees, and what nobody says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mmal_msgs.srv import ReloadModel
from mmal_ros.datatypes import Modality
from mmal_ros.model_card import read_card, write_card
from mmal_ros.nodes.conversions import to_ns
from mmal_ros.nodes.engagement_node import LEFT_OUT, SET_BACK
from mmal_ros.nodes.topics import DIAGNOSTICS, RELOAD_MODEL, SESSION_STATUS
from rigs.estimates import went_on
from rigs.face_pictures import face_picture
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.mjpeg_camera import MjpegCamera, as_jpegs
from rigs.model_sets import CHOSEN_SETS, write_model_set
from rigs.watched_launch import PARTICIPANT, WatchedLaunch, watched_launch

START_TIMEOUT_S = 60.0
SENSORS = ("camera_node", "microphone_node", "e4_node")
FALSE_ALARMS = ("stopped sending", "sent nothing", "nothing has come", "is lost", "went away", "hangs", "again")
BROKEN = "P018"
LIVE_SETS = CHOSEN_SETS | {Modality.AUDIO: "opensmile-egemaps"}
LARGEST_VALUE = 1000
"""Characters of one value on /diagnostics: a picture has many more."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The camera is one that stamps by this computer's clock; the model is the participant's own."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("graph")
    for name in (PARTICIPANT, BROKEN):
        folder_of_set = write_model_set(home / "models" / name, "1", feature_sets=LIVE_SETS)
        card = read_card(folder_of_set)
        card.parent = "demo/2"
        write_card(folder_of_set, card)
    (folder_of_set / "face.onnx").write_bytes(b"no model")
    with (
        MjpegCamera(15.0, as_jpegs(face_picture)) as camera,
        watched_launch(home, folder, camera=camera.url, model=PARTICIPANT) as watched,
    ):
        seconds_until(lambda: watched.hears(*Modality), START_TIMEOUT_S)
        seconds_until(lambda: watched.ros.heard[SESSION_STATUS.name], START_TIMEOUT_S)
        yield watched


@pytest.mark.parametrize(("step_s", "word"), [(5, LEFT_OUT), (-5, SET_BACK)])
def test_the_clock_of_the_computer_is_set(watched, step_s, word):
    """All nodes see another time from one moment to the next, as after `date -s`: said, and estimated again at once."""
    seconds_until(lambda: watched.hears(*Modality), START_TIMEOUT_S)
    before, log = len(watched.estimates), watched.graph.log("engagement_node")
    recorded = watched.graph.log("recorder_node")
    logs, session = {name: watched.graph.log(name) for name in SENSORS}, status(watched).session
    offset_s = 5.0 if step_s > 0 else 0.0  # the second takes back what the first did
    watched.clock.set(offset_s)
    goes_on_s = seconds_until(lambda: stepped(watched.estimates[before - 1 :], step_s))
    detected_s = goes_on_s + seconds_until(lambda: word in watched.said("estimates"))
    back_s = detected_s + seconds_until(lambda: watched.hears(*Modality), START_TIMEOUT_S)
    fault = f"clock of the computer set by {step_s:+d} s"
    keep(Outcome(fault, "preloaded wall clock of all processes: estimates", detected_s, goes_on_s))
    keep(Outcome(fault, "preloaded wall clock of all processes: all sensors count", None, back_s))
    count = len(watched.estimates)
    seconds_until(lambda: len(watched.estimates) > count + 10)
    went_on(watched.estimates[count:])
    lines = watched.graph.log("engagement_node")[len(log) :].splitlines()
    assert 1 <= sum(word in line for line in lines) <= 3, lines  # once for every state, not once a second
    for name in SENSORS:  # their time-outs go by the steady clock
        said = watched.graph.log(name)[len(logs[name]) :]
        assert not any(word in said for word in FALSE_ALARMS), said
    seconds_until(lambda: not status(watched).problem)  # set back, it says so until the clock has caught up
    assert status(watched).recording
    assert status(watched).session == session
    told = watched.graph.log("recorder_node")[len(recorded) :].count("the clock was set back")
    assert told == (step_s < 0), "not once a second"


def stepped(estimates: list, step_s: float) -> bool:
    """Whether one of them is stamped with the new time."""
    stamps = [to_ns(message.header.stamp) / 1e9 for message in estimates]
    return any((late - early) * np.sign(step_s) > abs(step_s) - 2 for early, late in pairwise(stamps))


def status(watched: WatchedLaunch):
    """What the recorder said last."""
    return watched.ros.heard[SESSION_STATUS.name][-1]


def test_no_log_and_no_diagnostics_name_anybody_or_show_a_picture(watched):
    """A session is recorded, the model is her own, and another of hers is refused."""
    answer = watched.ros.call(*RELOAD_MODEL, ReloadModel.Request(model=BROKEN))
    assert not answer.success
    logs = {name: watched.graph.log(name) for name in watched.graph.executables}
    assert all(logs.values()), "somebody says nothing at all"
    named = [line for log in logs.values() for line in log.splitlines() if PARTICIPANT in line or BROKEN in line]
    assert named == []
    parts = [part for array in watched.ros.heard[DIAGNOSTICS.name] for part in array.status]
    texts = [text for part in parts for text in (part.name, part.message, *(item.value for item in part.values))]
    assert not [text for text in texts if PARTICIPANT in text or BROKEN in text]
    assert max(map(len, texts)) < LARGEST_VALUE
