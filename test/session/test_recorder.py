"""A session is recorded: what is acknowledged is on disk, and nothing else is acknowledged."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from mmal_ros.session import bag_queue, inflow, space
from mmal_ros.session import recorder as recorder_module
from mmal_ros.session.bag_metadata import BagTopic, is_complete
from mmal_ros.session.card import CARD_NAME, SessionCard, SessionError, schema
from mmal_ros.session.deletion import is_recording
from mmal_ros.session.folder import SessionFolder, sessions_in
from mmal_ros.session.recorder import OnDisk, SessionRecorder
from mmal_ros.session.records import Flag, Privacy
from mmal_ros.session.space import RESERVE_NAME
from mmal_ros.session.store import SessionStore
from rigs.ros import wait_until

EMPTY = b"\0\1\0\0\0\0\0\0"
"""A serialised string."""
TOPICS = [BagTopic("/mmal/query", "std_msgs/msg/String", "string data\n")]
ONLY_A_WRISTBAND = {"camera": "none", "microphone": "none", "wristband": "ble:E4"}
ROOT = Path(__file__).resolve().parent.parent.parent


def card(privacy: Privacy = Privacy.FEATURES_ONLY) -> SessionCard:
    now_ns = time.time_ns()
    start = datetime.fromtimestamp(now_ns / 1e9, UTC)
    fields = {"name": "", "participant": "P017", "start": start, "start_ns": now_ns, "privacy": privacy}
    return SessionCard.model_validate(fields | {"software": "1", "devices": {"camera": "none"}})


class Recording:
    """A running recorder, and for each acknowledgement what another program finds in the database at that moment."""

    def __init__(self, root: Path, privacy: Privacy = Privacy.FEATURES_ONLY) -> None:
        self.heard: list[OnDisk] = []
        self.found: list[dict[int, Flag]] = []
        self.recorder = SessionRecorder(root, card(privacy), TOPICS, time.time_ns, self._on_disk)
        self.folder: SessionFolder = self.recorder.folder

    def stop(self) -> None:
        self.recorder.stop()
        self.recorder.join()

    def acknowledged(self, count: int) -> None:
        wait_until(lambda: len(self.heard) >= count, 20)

    def _on_disk(self, what: OnDisk) -> None:
        self.found.append(flags_in(self.folder))
        self.heard.append(what)


@pytest.fixture
def recording(tmp_path):
    recording = Recording(tmp_path)
    yield recording
    recording.stop()


def flag(window_id: int) -> Flag:
    return Flag(window_id, time.time_ns(), "sliced-coverage", "face and voice disagree", 0.5)


def flags_in(folder: SessionFolder) -> dict[int, Flag]:
    """By window, as another program reads them."""
    with SessionStore(folder.labels) as store:
        return {found.window_id: found for found in store.flags(withdrawn=True)}


def test_a_flag_is_on_disk_when_it_is_acknowledged(recording):
    for window in range(20):
        recording.recorder.flag(flag(window))
    recording.acknowledged(20)
    assert [what.window_id for what in recording.heard] == list(range(20))
    assert all(what.window_id in found for what, found in zip(recording.heard, recording.found, strict=True))
    assert recording.found[0][0].reason == "face and voice disagree"
    assert recording.recorder.flags == 20


def test_a_flag_that_is_taken_back_is_withdrawn_on_disk(recording):
    recording.recorder.flag(flag(7))
    recording.recorder.withdraw(7, time.time_ns())
    recording.acknowledged(2)
    assert [what.withdrawn for what in recording.heard] == [False, True]
    assert recording.found[1][7].withdrawn
    assert recording.recorder.flags == 0

    recording.recorder.flag(flag(7))
    recording.acknowledged(3)
    assert not recording.found[2][7].withdrawn


def test_what_is_said_again_after_a_restart_is_not_recorded_twice(recording):
    """Queries are kept by their publisher: a recorder that was started again hears all of them again."""
    before = Flag(1, recording.recorder.card.start_ns - 1, "sliced-coverage", "of the session before", 0.5)
    recording.recorder.flag(before)
    recording.recorder.withdraw(2, before.stamp_ns)
    known = flag(3)
    recording.recorder.flag(known)
    recording.recorder.flag(known)
    recording.recorder.flag(flag(4))
    recording.acknowledged(2)
    recording.stop()
    assert [what.window_id for what in recording.heard] == [3, 4]
    assert set(flags_in(recording.folder)) == {3, 4}


@contextmanager
def kept_by_another(folder: SessionFolder) -> Iterator[None]:
    """Nobody else can write flags or labels meanwhile."""
    with closing(sqlite3.connect(folder.labels, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("COMMIT")


def test_a_flag_that_cannot_be_written_waits_and_is_not_acknowledged(tmp_path, monkeypatch):
    """Somebody else keeps the database to himself for longer than one waits."""
    monkeypatch.setattr(recorder_module, "BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(recorder_module, "PERIOD_S", 0.1)
    recording = Recording(tmp_path)
    recording.recorder.flag(flag(1))
    recording.acknowledged(1)
    with kept_by_another(recording.folder):
        recording.recorder.flag(flag(2))
        wait_until(lambda: "flags wait to be written" in recording.recorder.problem, 10)
        assert len(recording.heard) == 1
    recording.acknowledged(2)
    assert recording.recorder.problem == ""
    recording.stop()
    assert set(flags_in(recording.folder)) == {1, 2}


def test_who_keeps_the_database_to_himself_keeps_the_bag_from_nothing(recording):
    recorder = recording.recorder
    with kept_by_another(recording.folder):
        recorder.flag(flag(1))
        wait_until(lambda: "database is locked" in recorder.problem, 10)
        written = recorder.bag.bytes_written
        recorder.bag.add("/mmal/query", EMPTY, 1, 1)
        wait_until(lambda: recorder.bag.bytes_written > written, 10)
        assert (recording.folder.path / RESERVE_NAME).exists(), "it is not room that is missing"
    recording.acknowledged(1)


def test_who_keeps_the_database_to_himself_at_the_end_costs_neither_the_bag_nor_the_last_clip(tmp_path):
    """And who gives it back while the clip is waited for costs nothing at all."""
    recording = Recording(tmp_path, Privacy.CLIPS)
    start_ns = recording.recorder.card.start_ns
    see_and_hear(recording.recorder, 4.0, start_ns)
    with kept_by_another(recording.folder):
        recording.recorder.flag(Flag(5, start_ns + 3_000_000_000, "person", "", 1.0))
        recording.recorder.stop()
        wait_until(lambda: recording.folder.card().end is not None, 10)
        assert is_complete(recording.folder.bag)
        wait_until(recording.folder.clip_of(5).is_file, 10)
    recording.recorder.join()
    assert flags_in(recording.folder)[5].clip == "clips/5.mp4"
    assert not is_recording(recording.folder)
    assert [path for path in recording.folder.path.rglob(".*") if path.is_file()] == []


@contextmanager
def hanging_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever waits for something to be on disk does so until this ends, as on a stick or a server that hangs."""
    answers, real = threading.Event(), os.fsync

    def hang(descriptor: int) -> None:
        answers.wait(60)
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", hang)  # the kernel's own cannot be made to hang without a device of one's own
        try:
            yield
        finally:
            answers.set()


def test_a_disk_that_hangs_is_told_and_then_what_it_cost_and_then_it_is_well_again(tmp_path, monkeypatch):
    monkeypatch.setattr(bag_queue, "BACKLOG", 50)
    monkeypatch.setattr(bag_queue, "TOLD_S", 5.0)
    recording = Recording(tmp_path)
    recorder = recording.recorder
    with hanging_disk(monkeypatch):
        wait_until(lambda: recorder.problem == recorder_module.NO_ANSWER, 20)
        for _ in range(60):
            recorder.bag.add("/mmal/query", EMPTY, 1, 1)
        assert recorder.bag.dropped >= 10
    wait_until(lambda: recorder.problem == bag_queue.SLOW, 20)
    wait_until(lambda: recorder.problem == "", 20)
    recording.stop()
    assert is_complete(recording.folder.bag)


@pytest.mark.parametrize("what", ["number", "text", "nothing"])
def test_what_no_database_can_keep_is_in_nobodys_way(recording, monkeypatch, caplog, what):
    """Whatever gets past the door."""
    monkeypatch.setattr(recorder_module, "_is_sane", lambda *_: True)
    odd = {
        "number": replace(flag(1), window_id=1 << 63),
        "text": replace(flag(1), reason="\ud800"),
        "nothing": replace(flag(1), utility=float("nan")),
    }
    recording.recorder.flag(odd[what])
    recording.recorder.flag(flag(2))
    recording.acknowledged(1)
    assert [heard.window_id for heard in recording.heard] == [2]
    assert "cannot be kept" in caplog.text
    assert recording.recorder.problem == ""


def test_a_window_that_cannot_be_is_not_withdrawn(recording):
    recording.recorder.withdraw(1 << 63, time.time_ns())
    recording.recorder.flag(flag(2))
    recording.acknowledged(1)
    assert [heard.window_id for heard in recording.heard] == [2]


def test_a_disk_that_goes_away_is_told_once_and_is_used_again_when_it_is_back(tmp_path, caplog):
    """Paths lead nowhere, and open files stay: so it is too when a disk is unmounted lazily."""
    root, away = tmp_path / "sessions", tmp_path / "away"
    recording = Recording(root, Privacy.CLIPS)
    recorder = recording.recorder
    recorder.flag(flag(1))
    recording.acknowledged(1)
    root.rename(away)
    wait_until(lambda: "the session's disk cannot be used (No such file" in recorder.problem, 20)
    looks = 8
    wait_until(lambda: recorder.bag.paused, 20)
    time.sleep(looks * recorder_module.LOOK_S)
    assert [record.getMessage() for record in caplog.records] == [recorder.problem]
    assert "Traceback" not in caplog.text
    assert recorder._clips.paused
    recorder.bag.add("/mmal/query", b"\0\1\0\0\0\0\0\0", 1, 1)
    assert recorder.bag.dropped == 1

    away.rename(root)
    wait_until(lambda: recorder.problem == "", 20)
    wait_until(lambda: not (recorder.bag.paused or recorder._clips.paused), 20)
    recorder.flag(flag(2))
    recording.acknowledged(2)
    recording.stop()
    assert len(caplog.records) == 1
    assert recording.folder.card().end is not None
    assert set(flags_in(recording.folder)) == {1, 2}


def test_a_trouble_that_stays_is_logged_once_and_forgotten_when_it_is_over(tmp_path, caplog):
    """Nobody can be told of flags for a while; they are on disk all the same."""
    told, deaf = [], threading.Event()

    def tell(what: OnDisk) -> None:
        if deaf.is_set():
            raise ConnectionError("nobody hears")
        told.append(what.window_id)

    deaf.set()
    recorder = SessionRecorder(tmp_path, card(), TOPICS, time.time_ns, tell)
    for window in (1, 2, 3):
        recorder.flag(flag(window))
    wait_until(lambda: len(flags_in(recorder.folder)) == 3, 20)
    wait_until(lambda: "in trouble: ConnectionError: nobody hears" in recorder.problem, 20)
    deaf.clear()
    recorder.flag(flag(4))
    wait_until(lambda: told == [4], 20)
    wait_until(lambda: recorder.problem == "", 20)
    recorder.stop()
    recorder.join()
    assert not recorder.is_writing
    assert caplog.text.count("Traceback") == 1


def test_a_session_is_complete_when_it_was_stopped(recording):
    started = recording.folder.card()
    assert started.end is None
    assert started.name == recording.folder.name
    recording.recorder.bag.add("/mmal/query", b"\0\1\0\0\0\0\0\0", 1, 1)
    recording.recorder.flag(flag(1))
    recording.recorder.stop()
    ended = recording.folder.card()
    assert ended.end_ns > ended.start_ns
    assert is_complete(recording.folder.bag)
    assert set(flags_in(recording.folder)) == {1}


def test_session_json_is_what_its_schema_says(recording):
    described = (ROOT / "docs" / "session.schema.json").read_text()
    assert described == schema(), "docs/session.schema.json is old: write card.schema() to it"
    recording.stop()
    content = json.loads((recording.folder.path / CARD_NAME).read_text())
    jsonschema.validate(content, json.loads(described), format_checker=jsonschema.FormatChecker())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"name_of_child": "x"}, json.loads(described))


def test_nobody_else_can_read_a_session(recording):
    recording.recorder.flag(flag(1))
    recording.acknowledged(1)
    recording.stop()
    for path in [recording.folder.path, *recording.folder.path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_disk_with_too_little_space_is_refused(tmp_path, monkeypatch):
    """A disk with so little space cannot be had here, so what counts as little is changed."""
    monkeypatch.setattr(space, "FREE_TO_START", 10**18)
    with pytest.raises(SessionError, match=r"has only \d+ MB free; a session needs"):
        Recording(tmp_path / "sessions")
    assert list(sessions_in(tmp_path / "sessions")) == []


def test_the_model_is_named_when_it_is_known(recording):
    recording.recorder.name_model("demo/2")
    wait_until(lambda: recording.folder.card().model == "demo/2", 10)
    recording.recorder.name_model("demo/3")
    recording.stop()
    assert recording.folder.card().model == "demo/2", "the card says with which model the session began"


def see_and_hear(recorder: SessionRecorder, seconds: float, start_ns: int) -> None:
    """So many seconds of grey pictures and of silence, at once."""
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 99, np.uint8))[1].tobytes()
    for number in range(round(seconds * 10)):
        stamp_ns = start_ns + number * 100_000_000
        recorder.picture(stamp_ns, jpeg)
        recorder.sound(stamp_ns, np.zeros(1600, np.float32), 16_000.0)


def test_a_clip_is_on_disk_when_it_is_acknowledged(tmp_path):
    recording = Recording(tmp_path, Privacy.CLIPS)
    start_ns = recording.recorder.card.start_ns
    recording.recorder.flag(Flag(5, start_ns + 4_000_000_000, "person", "", 1.0))
    see_and_hear(recording.recorder, 9.0, start_ns)
    recording.acknowledged(2)
    assert [what.clip for what in recording.heard] == ["", "clips/5.mp4"]
    assert recording.found[1][5].clip == "clips/5.mp4"
    assert (recording.folder.path / "clips/5.mp4").stat().st_size > 1000

    recording.recorder.withdraw(5, start_ns + 4_000_000_000)
    recording.acknowledged(3)
    assert recording.heard[2] == OnDisk(recording.folder.name, 5, withdrawn=True)
    assert not (recording.folder.path / "clips/5.mp4").exists()
    recording.stop()


def test_a_session_that_ends_within_a_clip_keeps_what_there_is_of_it(tmp_path):
    recording = Recording(tmp_path, Privacy.CLIPS)
    start_ns = recording.recorder.card.start_ns
    see_and_hear(recording.recorder, 4.0, start_ns)
    recording.recorder.flag(Flag(5, start_ns + 3_000_000_000, "person", "", 1.0))
    recording.stop()
    assert flags_in(recording.folder)[5].clip == "clips/5.mp4"
    assert list(recording.folder.clips.iterdir()) == [recording.folder.clip_of(5)]


def test_a_person_who_flags_what_is_flagged_already_is_heard(recording):
    """The window becomes hers, with her reason; its clip is cut once."""
    recording.recorder.flag(flag(7))
    recording.recorder.flag(replace(flag(7), policy="person", reason="he looked at me"))
    recording.acknowledged(2)
    assert flags_in(recording.folder)[7].reason == "he looked at me"
    assert recording.recorder.flags == 1


def test_a_clock_that_was_set_back_is_told(tmp_path):
    hour_ns = 3_600 * 10**9
    recorder = SessionRecorder(tmp_path, card(), TOPICS, lambda: time.time_ns() - hour_ns, lambda what: None)
    assert "the clock was set back" in recorder.problem
    recorder.stop()
    recorder.join()


def test_a_clock_that_was_set_back_within_the_session_is_told_until_it_has_caught_up(tmp_path):
    set_back_s = [0]
    long_ago = card().model_copy(update={"start_ns": time.time_ns() - 3_600 * 10**9})

    def clock() -> int:
        return time.time_ns() - set_back_s[0] * 10**9

    recorder = SessionRecorder(tmp_path, long_ago, TOPICS, clock, lambda what: None)
    time.sleep(1.5)
    set_back_s[0] = 3
    wait_until(lambda: "set back by" in recorder.problem, 10)
    assert "until it has caught up" in recorder.problem
    wait_until(lambda: not recorder.problem, 20)
    recorder.stop()
    recorder.join()


def test_a_clock_that_leaps_by_months_is_told(tmp_path):
    months_ns = 80 * 86_400 * 10**9
    recorder = SessionRecorder(tmp_path, card(), TOPICS, lambda: time.time_ns() + months_ns, lambda what: None)
    assert "set forward by more than a week" in recorder.problem
    recorder.stop()
    recorder.join()


def test_a_clock_that_leapt_by_a_week_and_came_back_is_well_again():
    """What came meanwhile is left out when it is read, so what comes now repeats nothing."""
    this = card()
    watched, now_ns, leapt_ns = inflow.Inflow(this), this.start_ns + 60 * 10**9, this.start_ns + 8 * 86_400 * 10**9
    for time_ns in (now_ns, leapt_ns):
        watched.note_time(time_ns)
    assert "set forward" in watched.problem(leapt_ns)
    for seconds, told in ((1, ""), (-30, "set back by 31 s"), (-20, "set back by 31 s"), (2, "")):
        watched.note_time(now_ns + seconds * 10**9)
        assert told in watched.problem(now_ns + seconds * 10**9)
        assert told or not watched.problem(now_ns + seconds * 10**9)


@pytest.mark.parametrize(("devices", "told"), [({}, True), ({"camera": "device:0"}, True), (ONLY_A_WRISTBAND, False)])
def test_clips_of_which_nothing_comes_are_told(tmp_path, monkeypatch, devices, told):
    """As where camera and microphone were launched with another privacy than the session has."""
    monkeypatch.setattr(inflow, "NOTHING_COMES_S", 0.5)
    wanted = card(Privacy.CLIPS).model_copy(update={"devices": devices})
    recorder = SessionRecorder(tmp_path, wanted, TOPICS, time.time_ns, lambda what: None)
    assert recorder.problem == ""
    time.sleep(0.6)
    assert ("neither picture nor sound comes" in recorder.problem) is told
    recorder.sound(time.time_ns(), np.zeros(1600, np.float32), 16_000.0)
    assert recorder.problem == ""
    recorder.stop()
    recorder.join()


def test_a_start_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder_module, "write_session_card", full)
    threads = threading.active_count()
    with pytest.raises(SessionError, match="No space left on device"):
        SessionRecorder(tmp_path, card(Privacy.CLIPS), TOPICS, time.time_ns, lambda what: None)
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: threading.active_count() == threads, 10)


def test_a_place_that_cannot_be_is_one_sentence(tmp_path):
    with pytest.raises(SessionError, match="no session can be written to"):
        SessionRecorder(tmp_path / ("x" * 300), card(), TOPICS, time.time_ns, lambda what: None)
