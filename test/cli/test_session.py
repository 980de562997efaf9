"""`mmal session …`: what users type, and what they are told. What it does: test/session."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.cli.session import FORMATS
from mmal_ros.session.card import CARD_NAME
from mmal_ros.session.exchange.exporting import Format
from mmal_ros.session.folder import SessionFolder, sessions_in
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore
from rigs.ctrl_c import hear_ctrl_c
from rigs.sessions import make_session


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MMAL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def session(home) -> SessionFolder:
    folder = make_session(home / "sessions", minutes=0.5, flags=4, clips=False)
    with SessionStore(folder.labels) as store:
        for number, flag in enumerate(store.flags()[:3]):
            for coder, value in (("C1", LabelValue.HIGH), ("C2", LabelValue.LOW if number == 2 else LabelValue.HIGH)):
                label = Label(flag.window_id, flag.stamp_ns, coder, value, 1, "[bold]odd[/bold]")
                store.add_label(label, f"{coder} {number}")
    return folder


def mmal(*arguments: object, says: str = "", code: int = 0):
    """Run it; answers in one line of words."""
    run = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["session", *map(str, arguments)], input=says)
    assert run.exit_code == code, run.output
    return " ".join((run.stdout + run.stderr).split())


def left(home) -> list[str]:
    return [folder.name for folder in sessions_in(home / "sessions")]


def test_without_sessions_it_says_how_to_make_one(home):
    assert "there are no sessions in" in mmal("list")


def test_the_list_has_a_line_per_session_also_for_a_broken_one(session, home):
    make_session(home / "sessions", "P018", minutes=0.5, flags=1, clips=False)
    broken = make_session(home / "sessions", "P019", minutes=0.5, flags=1, clips=False)
    (broken.path / CARD_NAME).write_text("{")
    said = mmal("list")
    assert f"{session.name} P017 10:00 0:00:30 features 4 3 of 4 C1, C2" in said
    assert "2026-11-20_P018_01 P018 10:00 0:00:30 features 1 0 of 1 –" in said
    assert f"2026-11-20_P019_01 broken {broken.path / CARD_NAME}: content: Invalid JSON" in said


def test_show_tells_what_was_flagged_who_said_what_and_how_far_they_agree(session):
    said = mmal("show", session.name)
    for words in (
        "participant: P017",
        "privacy: features_only",
        "0:00:04 face and voice disagree – C1 high, C2 high",
        "labels: C1 3, C2 3; 2 windows count for training",
        "Cohen's kappa of C1 and C2: 0.00 (3 windows)",
        "Krippendorff's alpha, ordinal, of all: 0.00 (3 windows)",
    ):
        assert words in said


def test_labels_go_out_to_elan_and_come_back(session, home, tmp_path):
    path = tmp_path / "P017.eaf"
    assert f"written: {path}" in mmal("export", session.name, "--format", "eaf", "--output", path)
    said = mmal("import-labels", session.name, path, "--annotator", "C1")
    assert said == "0 windows labelled by C1; 3 had that label already"
    (tmp_path / "more.csv").write_text("start_s,end_s,value\n0,60,low\n40,50,low\n50,60,\n")
    said = mmal("import-labels", session.name, tmp_path / "more.csv", "--annotator", "C3")
    assert said.startswith("4 windows labelled by C3; 1 annotations hold no flagged window (see --all-windows); 1 anno")


def test_every_format_of_the_help_is_one():
    assert list(FORMATS) == list(Format)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("show", "~nobody-there/x"), "mmal: '~nobody-there/x' is no session; there are 2026-11-20_P017_01"),
        (("show", "P099"), "mmal: 'P099' is no session; there are 2026-11-20_P017_01"),
        (("export", "2026-11-20_P017_01", "--format", "elan", "--output", "x"), "there is no format 'elan'; "),
        (("import-labels", "2026-11-20_P017_01", "no.eaf", "--annotator", "C1"), "mmal: there is no file no.eaf"),
        (("delete",), "mmal: name one session, or a participant by --participant CODE"),
        (("delete", "2026-11-20_P017_01", "--participant", "P017"), "mmal: name one session, or a participant"),
        (("delete", "--participant", "P099"), "mmal: there is nothing of P099 in"),
        (("delete", "--participant", "../P017"), "mmal: '../P017' is no code of a participant"),
    ],
)
def test_what_users_get_wrong_is_one_sentence(session, home, arguments, complaint):
    assert complaint in mmal(*arguments, code=2)
    assert left(home) == [session.name]


def test_a_damaged_store_is_one_sentence(session):
    session.labels.write_bytes(b"this is no database at all")
    assert "labels.sqlite cannot be used: file is not a database" in mmal("show", session.name, code=2)
    assert session.name in mmal("list")


@pytest.mark.parametrize("says", ["", "n\n", "\n"])
def test_nothing_goes_before_somebody_says_yes(session, home, says):
    said = mmal("delete", session.name, says=says, code=1)
    assert re.search(rf"would be removed: session .*{session.name} \(\d+ files, \d+\.\d MB\)", said)
    assert left(home) == [session.name]


def test_a_session_goes_and_it_is_said_that_the_models_stay(session, home):
    (home / "models" / "P017" / "1").mkdir(parents=True)
    in_a_group(home, "P017")
    (home / "cache" / "groups").mkdir(parents=True)
    (home / "review-123.html").write_text(f"session/{session.name}?token=")  # of a page that was killed
    said = mmal("delete", session.name, says="y\n")
    assert f"models that may have learned from it stay: {home}/models/P017" in said
    assert f"models of groups that P017 was in stay, train them anew, and what was made from them: {home}" in said
    assert f" removed: session {session.path}" in said
    assert f" removed: cache {home}/cache" in said
    assert left(home) == []
    assert not (home / "cache").exists()
    assert not (home / "review-123.html").exists()
    assert (home / "models" / "P017").is_dir()


def in_a_group(home: Path, code: str) -> None:
    folder = home / "models" / "clinic" / "1"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({"training": {"people": {"train": [code]}}}))


def test_groups_are_named_also_where_nothing_else_is_left(home):
    in_a_group(home, "P017")
    said = mmal("delete", "--participant", "P017", "--yes", code=2)
    assert f"models of groups that P017 was in stay, train them anew, and what was made from them: {home}" in said
    assert "there is nothing of P017 in" in said


def test_ctrl_c_at_the_question_is_no_answer(session, home):
    command = [Path(sys.executable).parent / "mmal", "session", "delete", session.name]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, preexec_fn=hear_ctrl_c, **pipes) as process:
        up_to_question(process.stdout)
        for _ in range(20):  # it may not yet read what is typed; then one presses it again
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
                break
        assert process.returncode == 130
    assert left(home) == [session.name]


def test_a_folder_that_may_not_be_entered_hides_no_session(session, home, monkeypatch):
    """Such as `lost+found` of a disk. Root may enter everything, so the system's answer is made."""
    (home / "sessions" / "lost+found").mkdir()
    real = os.stat

    def stat(path, **options):
        if "lost+found/" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert session.name in mmal("list")
    assert session.name in mmal("show", session.name)


def asked(*meanwhile: Callable[[], object]) -> list[str]:
    """What the program says up to each of its questions, and then; each is answered "y", after something happened."""
    command = [Path(sys.executable).parent / "mmal", "session", "delete", "--participant", "P017"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said = [up_to_question(process.stdout)]
        for happens in meanwhile:
            happens()
            process.stdin.write("y\n")
            process.stdin.flush()
            said.append(up_to_question(process.stdout))
        process.communicate(timeout=30)
    return said


def up_to_question(output: IO[str]) -> str:
    said = ""
    while not said.endswith("[y/N]: ") and (sign := output.read(1)):
        said += sign
    return said


@pytest.mark.parametrize("what", ["session", "model sets"])
def test_what_comes_while_somebody_thinks_is_shown_before_it_goes(session, home, what):
    name = home / "sessions" / "2026-11-21_P017_01" if what == "session" else home / "models" / "P017"

    def comes() -> None:
        if what == "session":
            make_session(home / "sessions", minutes=0.2, flags=1, seed=1, clips=False)
        else:
            (name / "1").mkdir(parents=True)

    first, second = asked(comes)
    assert f"would be removed: session {session.path} (" in first
    assert str(name) not in first
    assert second.startswith("there is more by now, so here is all of it:\n")
    assert f"would be removed: session {session.path} (" in second
    assert f"would be removed: {what} {name} (" in second
    assert second.endswith("Remove all of it for good? [y/N]: ")
    assert left(home)[0] == session.name, "the second question was not answered"
    assert name.is_dir()


def test_after_a_second_yes_all_of_it_goes(session, home):
    comes = partial(make_session, home / "sessions", minutes=0.2, flags=1, seed=1, clips=False)
    _, _, end = asked(comes, lambda: None)
    assert f"removed: session {session.path} (" in end
    assert "removed: session " + str(home / "sessions" / "2026-11-21_P017_01") in end
    assert left(home) == []


def test_a_participant_goes_with_the_models(session, home):
    make_session(home / "sessions", "P018", minutes=0.2, flags=1, clips=False)
    (home / "models" / "P017" / "1").mkdir(parents=True)
    (home / "sessions" / "unknown").mkdir()
    in_a_group(home, "P017")
    (home / "models" / "clinic" / ".2.work").mkdir()
    said = mmal("delete", "--participant", "P017", "--yes")
    assert f" removed: model sets {home}/models/P017" in said
    assert f"whose is {home}/sessions/unknown?" in said
    assert f"models of groups that P017 was in stay, train them anew, and what was made from them: {home}" in said
    assert f"trainings that were cut off stay, remove them by hand: {home}/models/clinic/.2.work" in said
    assert left(home) == ["2026-11-20_P018_01"]
    assert not (home / "models" / "P017").exists()


def test_a_damaged_session_can_be_deleted_too(session, home):
    (session.path / CARD_NAME).write_text("{")
    mmal("delete", session.name, "--yes")
    assert left(home) == []


def test_sessions_may_be_elsewhere(session, home):
    (home / "sessions").rename(home / "other")
    assert session.name in mmal("list", "--sessions", home / "other")
    assert "there are no sessions" in mmal("list")


@pytest.mark.parametrize("command", ["list", "show", "export", "import-labels", "delete"])
def test_help_teaches_by_example(command):
    assert "Example" in mmal(command, "--help")
