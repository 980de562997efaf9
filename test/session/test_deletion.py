"""Away with it: all of a session, all of a participant, nothing of anybody else, and nothing that is being recorded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmal_ros.session import deletion
from mmal_ros.session.bag import LOCK_FILE
from mmal_ros.session.card import CARD_NAME, SessionError
from mmal_ros.session.deletion import (
    delete,
    doomed_of,
    doomed_session,
    groups_with,
    is_recording,
    ownerless,
    unfinished_trainings,
)
from mmal_ros.session.folder import SessionFolder, new_session, sessions_in
from mmal_ros.session.records import Flag
from mmal_ros.session.salvage import settle
from mmal_ros.session.store import SessionStore
from mmal_ros.training.person.participant_folder import alone_in
from rigs.sessions import START_NS, make_session


@pytest.fixture
def sessions(tmp_path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def models(tmp_path) -> Path:
    for code in ("P017", "P018"):
        version = tmp_path / "models" / code / "1"
        version.mkdir(parents=True)
        (version / "face.onnx").write_bytes(b"weights")
        (version.parent / "current").write_text("1\n")
    return tmp_path / "models"


def small(sessions: Path, participant: str = "P017", seed: int = 0) -> SessionFolder:
    return make_session(sessions, participant, minutes=0.2, flags=1, seed=seed)


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_session_goes_with_all_that_is_in_it(sessions):
    gone, stays = small(sessions), small(sessions, "P018")
    (gone.path / "derived").mkdir()
    (gone.path / "derived" / "cache.npz").write_bytes(b"x" * 100)
    doomed = doomed_session(gone)
    assert (doomed.files, doomed.what) == (6, "session")
    assert doomed.size == sum(path.stat().st_size for path in gone.path.rglob("*") if path.is_file())
    delete([doomed])
    assert [path.name for path in sessions.iterdir()] == [stays.name]


def test_a_participant_goes_with_models_and_nobody_else_does(sessions, models):
    for code, seed in (("P017", 0), ("P017", 1), ("P018", 0), ("P0170", 0), ("17", 0)):
        small(sessions, code, seed)
    doomed = doomed_of("P017", sessions, models, models.parent / "cache")
    assert [one.what for one in doomed] == ["session", "session", "model sets"]
    delete(doomed)
    assert [folder.card().participant for folder in sessions_in(sessions)] == ["17", "P0170", "P018"]
    assert [path.name for path in models.iterdir()] == ["P018"]
    with pytest.raises(SessionError, match=f"there is nothing of P017 in {sessions} or {models}"):
        doomed_of("P017", sessions, models, models.parent / "cache")


def test_with_a_participant_goes_what_evaluations_keep(sessions, models, tmp_path):
    small(sessions)
    kept = tmp_path / "cache" / "groups" / "0123.pt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"windows of P017 and P018")
    delete(doomed_of("P017", sessions, models, tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_where_nothing_of_somebody_is_left_it_is_said_what_may_still_have_her_windows(sessions, models, tmp_path):
    (tmp_path / "cache").mkdir()
    with pytest.raises(SessionError, match=f"nothing of P019 in .*; in {tmp_path}/cache nothing tells whose it is"):
        doomed_of("P019", sessions, models, tmp_path / "cache")


def test_groups_that_somebody_was_in_are_known_by_their_cards(models):
    cards = {
        "clinic/1": '{"training": {"people": {"train": ["P017", "P018"]}}}',
        "clinic/2": '{"training": {"people": {"train": ["P018", "P0171"]}}}',
        "clinic/3": '{"metrics": {"by_person": {"P017": {}}}}',
        "P018/clinic-1": '{"training": {"sessions": ["2026-11-20_P017_01"]}}',
        "P017/1": '{"training": {"participant": "P017"}}',
    }
    for name, card in cards.items():
        (models / name).mkdir(parents=True, exist_ok=True)
        (models / name / "model.json").write_text(card)
    found = [str(path.relative_to(models)) for path in groups_with("P017", [models])]
    assert found == ["P018/clinic-1", "clinic/1", "clinic/3"]


def test_trainings_that_were_cut_off_are_named(models):
    (models / "clinic" / ".2.work").mkdir(parents=True)
    assert unfinished_trainings([models]) == [models / "clinic" / ".2.work"]


def test_while_somebody_is_being_personalised_nothing_goes(sessions, models, tmp_path):
    session = small(sessions)
    with alone_in(models / "P017"), pytest.raises(SessionError, match="P017 is being personalised; wait"):
        delete(doomed_of("P017", sessions, models, tmp_path / "cache"))
    assert session.path.is_dir()
    delete(doomed_of("P017", sessions, models, tmp_path / "cache"))
    assert not (models / "P017").exists()


def test_what_a_crash_left_of_a_session_goes_too(sessions, models):
    """A recorder that died before it wrote the card, and a card that is damaged."""
    new_session(sessions, "P019", START_NS)
    (small(sessions, "P019", 1).path / CARD_NAME).write_text("{")
    doomed = doomed_of("P019", sessions, models, models.parent / "cache")
    assert len(doomed) == 2
    delete(doomed)
    assert list(sessions.iterdir()) == []


def test_a_session_that_was_renamed_is_known_by_its_card(sessions, models):
    small(sessions).path.rename(sessions / "the good one")
    assert [one.path.name for one in doomed_of("P017", sessions, models, models.parent / "cache")] == [
        "the good one",
        "P017",
    ]


def test_a_folder_that_tells_nobodys_code_is_named(sessions):
    small(sessions)
    (sessions / "old stuff").mkdir()
    assert [path.name for path in ownerless(sessions)] == ["old stuff"]
    assert ownerless(sessions / "nowhere") == []


def test_links_are_never_followed(sessions, models, tmp_path):
    """A link in a session goes, and what it points to stays."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "thesis.tex").write_text("years")
    folder = small(sessions)
    (folder.path / "link").symlink_to(elsewhere)
    (folder.clips / "link").symlink_to(elsewhere)
    (folder.clips / "link.mp4").symlink_to(elsewhere / "deep" / "thesis.tex")
    delete(doomed_of("P017", sessions, models, models.parent / "cache"))
    assert everything(elsewhere) == ["deep", "deep/thesis.tex"]
    assert list(sessions.iterdir()) == []


@pytest.mark.parametrize("which", ["session", "models"])
def test_a_folder_that_is_a_link_is_refused_before_anything_goes(sessions, models, tmp_path, which):
    folder = small(sessions)
    moved, link = (folder.path, folder.path) if which == "session" else (models / "P017", models / "P017")
    target = tmp_path / "other disk"
    moved.rename(target)
    link.symlink_to(target)
    before = everything(tmp_path)
    with pytest.raises(SessionError, match=r"is a link to .*other disk; remove by hand what it points to"):
        delete(doomed_of("P017", sessions, models, models.parent / "cache"))
    assert everything(tmp_path) == before


RECORDER = """
import sys
from pathlib import Path
from mmal_ros.session.bag import claimed
with claimed(Path(sys.argv[1])) as free:
    print(free, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def recorder(sessions):
    """Another process that has a session's bag open, as a recorder has."""
    folder = small(sessions, seed=1)
    with subprocess.Popen(
        [sys.executable, "-c", RECORDER, folder.bag], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True\n"
        yield folder, process
        process.kill()


def test_what_is_being_recorded_stays_and_so_does_everything_else(recorder, sessions, models):
    folder, process = recorder
    other = small(sessions, seed=0)  # comes first
    assert is_recording(folder)
    assert not is_recording(other)
    with pytest.raises(SessionError, match=f"{folder.name} is being recorded; stop .* Nothing was removed"):
        delete(doomed_of("P017", sessions, models, models.parent / "cache"))
    assert len(list(sessions_in(sessions))) == 2
    process.kill()
    process.wait(10)
    assert not is_recording(folder)  # the lock dies with the recorder
    delete(doomed_of("P017", sessions, models, models.parent / "cache"))
    assert list(sessions.iterdir()) == []


@pytest.mark.parametrize("who", ["recorder", "personalised"])
@pytest.mark.parametrize("unfinished", [False, True], ids=["finished", "cut off"])
def test_what_stays_because_of_another_is_as_it_was(recorder, sessions, models, who, unfinished):
    """A lock that came would say that it was cut off, one that goes that it was not."""
    other = small(sessions)  # comes first
    if unfinished:
        (other.path / LOCK_FILE).touch()
    before = everything(other.path)
    if who == "recorder":
        with pytest.raises(SessionError, match="is being recorded"):
            delete(doomed_of("P017", sessions, models, models.parent / "cache"))
    else:
        recorder[1].kill()
        recorder[1].wait(10)
        with alone_in(models / "P017"), pytest.raises(SessionError, match="is being personalised"):
            delete(doomed_of("P017", sessions, models, models.parent / "cache"))
    assert everything(other.path) == before
    assert not (models / "P017" / LOCK_FILE).exists()


def test_a_clip_is_not_lost_because_another_session_could_not_be_deleted(recorder, sessions, models):
    other = small(sessions)
    unseen = Flag(17, START_NS + 5 * 10**9, "person", "she waved", 1.0)  # when there was no picture
    with SessionStore(other.labels) as store:
        store.flag(unseen)
    with pytest.raises(SessionError, match="is being recorded"):
        delete(doomed_of("P017", sessions, models, models.parent / "cache"))
    settle(other)  # as whoever opens it does
    with SessionStore(other.labels) as store:
        assert unseen in store.flags()


WRITER = """
import sys
from pathlib import Path
from mmal_ros.session.card import SessionError
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore
number = 0
for line in sys.stdin:
    labels = Path(line.strip())
    print("writing", flush=True)
    while labels.parent.is_dir():
        number += 1
        try:
            with SessionStore(labels) as store:
                store.add_label(Label(number, number, "C1", LabelValue.LOW, number), str(number))
        except SessionError:
            pass
    print("gone", flush=True)
"""


def test_a_session_goes_while_a_page_writes_into_it(sessions):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as page:
        for seed in range(20):
            folder = small(sessions, seed=seed)
            page.stdin.write(f"{folder.labels}\n")
            page.stdin.flush()
            assert page.stdout.readline() == "writing\n"
            delete([doomed_session(folder)])
            assert page.stdout.readline() == "gone\n"
            assert list(sessions.iterdir()) == []
        page.stdin.close()


def test_a_session_goes_while_a_page_replaces_a_file_in_it(sessions, monkeypatch):
    """The old file was seen, and is not there any more when its turn comes."""
    folder, real = small(sessions), deletion.shutil.rmtree
    (folder.path / "derived").mkdir()
    written = folder.path / "derived" / "trace.npz.new"
    written.write_bytes(b"x" * 100)

    def replaced_meanwhile(path: Path) -> None:
        if written.exists() and path == written.parent:
            written.replace(path / "trace.npz")
            written.unlink()
        real(path)

    monkeypatch.setattr(deletion.shutil, "rmtree", replaced_meanwhile)
    delete([doomed_session(folder)])
    assert list(sessions.iterdir()) == []


def test_a_removal_that_is_cut_off_can_be_named_and_done_again(sessions, models, monkeypatch):
    folder = small(sessions)
    real = deletion.shutil.rmtree
    with monkeypatch.context() as patched:
        patched.setattr(deletion.shutil, "rmtree", lambda path: real(path) if path.name == "bag" else _fail(path))
        with pytest.raises(SessionError, match=r"clips cannot be removed: Input/output error"):
            delete([doomed_session(folder)])
    assert [session.name for session in sessions_in(sessions)] == [folder.name]
    delete([doomed_session(folder)])
    assert list(sessions.iterdir()) == []


def _fail(path: Path) -> None:
    """A disk that fails; none of ours does when asked to."""
    raise OSError(5, "Input/output error", str(path))
