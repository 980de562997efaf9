"""A recorded session on the topics again: real nodes hear it, as it was or as if it happened now."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from rclpy.serialization import deserialize_message
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND as SECOND
from mmal_ros.datatypes import STEP_NS, Modality
from mmal_ros.models import load_model_set
from mmal_ros.nodes.conversions import to_ns
from mmal_ros.nodes.replay_node import ReplayNode, ReplaySettings, Stamps
from mmal_ros.nodes.topics import ENGAGEMENT, FEATURES, SIGNALS
from mmal_ros.session.bag_reading import Bag
from mmal_ros.session.card import SessionError
from mmal_ros.session.folder import SessionFolder
from rigs.live_sessions import record_live
from rigs.model_sets import write_model_set
from rigs.ros import Participant, node_process, participant, wait_until
from rigs.sessions import START_NS, make_session

MMAL = Path(sys.executable).parent / "mmal"
VOICE = FEATURES[Modality.AUDIO]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("sessions"), minutes=0.1, flags=1, clips=False)


@pytest.fixture
def ros() -> Iterator[Participant]:
    with participant() as someone:
        yield someone


def play(session: SessionFolder, settings: ReplaySettings, ros: Participant) -> int:
    """Replay in this process, beside those who listen."""
    node = ReplayNode(Bag(session), settings, namespace="/mmal")
    try:
        wait_until(lambda: all(node.count_subscribers(f"/mmal/{name}") for name in ros.heard), 20)
        return node.play(threading.Event())
    finally:
        node.destroy_node()


def test_what_was_recorded_is_heard_again(session: SessionFolder, ros: Participant) -> None:
    frames, pulse, estimates = ros.listen(VOICE), ros.listen(SIGNALS["bvp"]), ros.listen(ENGAGEMENT)
    published = play(session, ReplaySettings(rate=4, stamps=Stamps.ORIGINAL), ros)
    wait_until(lambda: (len(frames), len(pulse), len(estimates)) == (60, 12, 60), 10)
    recorded = Bag(session).read(list(Bag(session).topics))
    assert published == sum(len(received.data) for received in recorded.values())
    for name, heard in ((VOICE.name, frames), (SIGNALS["bvp"].name, pulse), (ENGAGEMENT.name, estimates)):
        kind = type(heard[0])
        expected = [deserialize_message(bytes(data), kind) for data in recorded[f"/mmal/{name}"].data]
        assert list(map(repr, heard)) == list(map(repr, expected))  # NaN is not equal to itself


def test_stamps_are_moved_to_now_and_stay_as_far_apart(session: SessionFolder, ros: Participant) -> None:
    frames = ros.listen(VOICE)
    before_ns = time.time_ns()
    play(session, ReplaySettings(only=("features/audio",), from_s=3), ros)
    wait_until(lambda: len(frames) == 30, 10)
    stamps_ns = [to_ns(frame.header.stamp) for frame in frames]
    assert before_ns < stamps_ns[0] < time.time_ns()
    assert {later - earlier for earlier, later in pairwise(stamps_ns)} == {SECOND // 10}
    assert stamps_ns[0] % STEP_NS == START_NS % STEP_NS, "on the same grid, or windows would be cut otherwise"


def test_only_what_was_asked_for_is_published(session: SessionFolder, ros: Participant) -> None:
    node = ReplayNode(Bag(session), ReplaySettings(only=("e4/acc", "features")), namespace="/mmal")
    topics = {name for name, _ in node.get_publisher_names_and_types_by_node("replay", "/mmal")}
    node.destroy_node()
    assert {name for name in topics if name.startswith("/mmal/")} == {
        "/mmal/e4/acc",
        *(f"/mmal/features/{modality}" for modality in Modality),
    }


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (ReplaySettings(only=("feat",)), "of feat nothing was recorded; there is e4/acc"),
        (ReplaySettings(from_s=7), "the recording is only 6.0 s long"),
    ],
)
def test_what_is_not_there_is_said(
    session: SessionFolder, ros: Participant, settings: ReplaySettings, sentence: str
) -> None:
    with pytest.raises(SessionError, match=sentence):
        ReplayNode(Bag(session), settings)


def test_a_live_node_estimates_from_a_replay_what_it_did_then(ros: Participant, tmp_path: Path) -> None:
    """The features of a recording run through engagement_node in a process of its own."""
    write_model_set(tmp_path / "random")
    models = load_model_set(tmp_path / "random", ("cpu",))
    session = record_live(tmp_path / "sessions", models, seconds=5)
    with node_process("engagement_node", model=str(tmp_path / "random")):
        estimates = ros.listen(ENGAGEMENT)
        ros.activate("engagement_node")
        play(session, ReplaySettings(only=("features",)), ros)
        heard = [estimate for estimate in list(estimates) if all(part.frames_seen for part in estimate.modalities)]
        assert len(heard) > 20
        assert {estimate.level for estimate in heard} - {0}


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_publishes_and_says_how_much(session: SessionFolder, ros: Participant) -> None:
    frames = ros.listen(VOICE)
    command = [MMAL, "session", "replay", session.path, "--only", "features/audio", "--rate", "3"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "60 messages of 6.0 s published" in ran.stdout
    wait_until(lambda: len(frames) > 50, 10)


def test_a_loop_goes_on_until_somebody_ends_it(session: SessionFolder, ros: Participant) -> None:
    frames = ros.listen(VOICE)
    command = [MMAL, "session", "replay", session.path, "--only", "features/audio", "--from", "5.5", "--loop"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(frames) > 9, 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "'nothing' is no session"),
        (["{session}", "--stamps", "orginal"], "did you mean 'original'?"),
    ],
)
def test_what_cannot_be_replayed_is_said(session: SessionFolder, arguments: list[str], sentence: str) -> None:
    ran = CliRunner().invoke(app, ["session", "replay", *(text.format(session=session.path) for text in arguments)])
    assert ran.exit_code == 2
    assert sentence in ran.stderr
