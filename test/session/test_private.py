"""Nobody else on the computer can read what is kept of a child, however careless the process that writes it."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mmal_ros.files import open_private, private_folder, replacing
from mmal_ros.model_versions import rollback, use
from mmal_ros.review.report import write_report
from mmal_ros.session.bag import BagWriter
from mmal_ros.session.exchange.exporting import Format, export_session
from mmal_ros.session.folder import new_session
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.salvage import ensure_readable
from mmal_ros.session.store import SessionStore
from mmal_ros.session.timeline import read_timeline
from mmal_ros.training.person.participant_folder import alone_in, make_files_private
from rigs.model_sets import write_model_set
from rigs.private import careless, open_to_others
from rigs.sessions import START_NS, make_session


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An $MMAL_HOME that is not there yet."""
    return tmp_path / "home"


def modes(folder: Path) -> set[str]:
    return {f"{stat.S_IMODE(path.stat().st_mode):o}" for path in folder.rglob("*")}


def test_a_session_from_its_first_byte_to_its_reports(home: Path) -> None:
    with careless():
        session = make_session(home / "sessions", minutes=0.5, flags=2)
        with SessionStore(session.labels) as store:
            flag = store.flags()[0]
            store.add_label(Label(flag.window_id, flag.stamp_ns, "C1", LabelValue.LOW, 1), "a request")
            assert sorted(path.name for path in session.path.glob("labels.sqlite-*")) == [
                "labels.sqlite-shm",
                "labels.sqlite-wal",
            ]
            assert open_to_others(home) == []  # also of a database that is open
        read_timeline(session, 100)
        for kind in Format:
            export_session(session, kind, private_folder(home / "exports") / kind)
        write_report(session, home / "exports" / "report.html")
    assert open_to_others(home) == []
    assert modes(home) == {"600", "700"}
    assert home.stat().st_mode & 0o077 == 0


def test_a_bag_while_it_is_written_and_when_it_is_mended(home: Path) -> None:
    with careless():
        folder = new_session(home / "sessions", "P017", START_NS)
        bag = BagWriter(folder.bag, [])
        assert open_to_others(home) == []
        bag.flush()
        bag.abandon()
        assert ensure_readable(folder)
    assert open_to_others(home) == []


def test_a_childs_models_and_what_was_live_when(home: Path) -> None:
    folder = home / "models" / "P017"
    with careless():
        with alone_in(folder):
            for version in ("1", "2"):
                write_model_set(folder, version)
                make_files_private(folder / version)  # as `deploy` does
        use(folder, "1")
        rollback(folder)
    assert {"current", "history", ".lock"} <= {path.name for path in folder.iterdir()}
    assert open_to_others(home) == []


def test_a_file_is_private_while_it_is_still_written(tmp_path: Path) -> None:
    """And what somebody left who was killed does not keep it from being so."""
    stale = tmp_path / f".scores.csv.{os.getpid()}.new"
    stale.touch(0o666)
    with careless(), replacing(tmp_path / "scores.csv") as scratch:
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o600
        assert scratch.read_bytes() == b""


def test_a_file_that_cannot_be_made_private_is_not_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without rights of its own."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refused)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(PermissionError):
        open_private(tmp_path / "file", os.O_WRONLY)
    assert os.listdir("/proc/self/fd") == before


CARELESS_PROGRAM = """
import os, resource, sys
os.umask(0)
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
sys.argv = ["mmal", "version"]
{start}
open("file", "w").close()
os.mkdir("folder")
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""
STARTS = {
    "mmal": "from mmal_ros.cli import main\ntry:\n    main.main()\nexcept SystemExit:\n    pass",
    "a node": "from mmal_ros.nodes.node_process import spin\nsys.argv = ['a_node']\ntry:\n    spin(lambda: 1 / 0)\n"
    "except ArithmeticError:\n    pass",
}


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY, reason="core dumps are off here anyway"
)
@pytest.mark.parametrize("start", STARTS)
def test_whatever_a_program_of_ours_writes_is_private_and_it_leaves_no_core_dump(tmp_path: Path, start: str) -> None:
    """Also what libraries write for it: logs of ROS, figures, tables."""
    code = CARELESS_PROGRAM.format(start=STARTS[start])
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.split()[-2] == "0"
    assert open_to_others(tmp_path) == []


def test_what_an_earlier_version_left_open_is_closed(home: Path) -> None:
    folder = home / "models" / "P017"
    for version in ("1", "2"):
        make_files_private(write_model_set(folder, version))
    for name in ("current", "history"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    use(folder, "1")
    assert open_to_others(folder) == []
