"""Commands on a full disk: one sentence and exit code 2, nothing half-made; with room again they do their work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.model_versions import current
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.store import SessionStore
from mmal_ros.training.person import deploy as deploy_module
from mmal_ros.training.person.personalise import PRODUCT
from rigs.fault_log import Outcome, keep
from rigs.labelled_sessions import label, write_group, write_session
from rigs.small_disk import SmallDisk, small_disk

EVERY_8_S = np.arange(3.0, 118, 8)
FAULT = "disk full after the session"
CODING = "start_s,end_s,value\n" + "".join(f"{second}.0,{second + 1}.0,low\n" for second in range(100))


@dataclass
class Home:
    """$MMAL_HOME on a small disk, with a labelled session, and a group's model elsewhere."""

    disk: SmallDisk
    session: SessionFolder
    group: Path

    def mmal(self, *arguments: object, free: int) -> Result:
        """A command with so many bytes free."""
        self.disk.leave(free)
        return CliRunner().invoke(app, list(map(str, arguments)))

    def half_made(self) -> list[Path]:
        return [path for path in self.disk.path.rglob("*.new") if path.name.startswith(".")]

    def labels(self, coder: str) -> int:
        self.disk.empty()
        with SessionStore(self.session.labels) as store:
            return sum(label.annotator == coder for label in store.labels())


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    label(write_session(folder / "sessions", "P017", 0), 0, EVERY_8_S)
    write_group(folder / "clinic" / "1")
    return folder


@pytest.fixture
def home(made, tmp_path, monkeypatch) -> Iterator[Home]:
    monkeypatch.setattr(deploy_module, "PRODUCT", replace(PRODUCT, epochs=2, trees=20))
    with small_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("MMAL_HOME", str(disk.path))
        shutil.copytree(made / "sessions", disk.path / "sessions")
        (session,) = (disk.path / "sessions").iterdir()
        yield Home(disk, SessionFolder(session), made / "clinic" / "1")


def complains(result: Result) -> None:
    """One sentence and exit code 2."""
    assert result.exit_code == 2, (result.output, result.exception)
    (line,) = result.stderr.splitlines()
    assert "No space left on device" in line or "disk is full" in line


@pytest.mark.parametrize("kind", ["eaf", "csv", "boris", "foxglove"])
def test_an_export_appears_as_a_whole_or_not_at_all(made, home, kind):
    """Of a session on another disk: a store cannot even be opened where not a byte is free."""
    (session,) = (made / "sessions").iterdir()
    output = home.disk.path / f"coding.{kind}"
    command = ("session", "export", session, "--format", kind, "--output", output)
    before = sorted(home.disk.path.iterdir())
    complains(home.mmal(*command, free=200_000 if kind == "foxglove" else 0))
    assert sorted(home.disk.path.iterdir()) == before
    assert home.mmal(*command, free=10_000_000).exit_code == 0
    assert output.exists()


def test_labels_are_imported_all_or_none(home, tmp_path):
    coding = tmp_path / "coding.csv"
    coding.write_text(CODING)
    command = ("session", "import-labels", home.session.name, coding, "--annotator", "C9", "--all-windows")
    for free in (0, 40_960):
        complains(home.mmal(*command, free=free))
        assert home.labels("C9") == 0
    assert home.mmal(*command, free=10_000_000).exit_code == 0
    assert home.labels("C9") == 100
    keep(Outcome(FAULT, "mmal session import-labels, 0 and 40 kB free", lost="nothing: exit code 2, and done again"))


def test_personalising_leaves_what_was_live(home):
    """The disk is full when the group's model is copied, and when the new one is written."""
    command = ("personalise", "P017", "--from", home.group)
    models = home.disk.path / "models" / "P017"
    complains(home.mmal(*command, free=40_960))
    assert home.half_made() == []
    assert current(models) is None
    complains(home.mmal(*command, free=2_000_000))
    assert home.half_made() == []
    assert current(models) == "clinic-1"
    assert home.mmal(*command, free=10_000_000).exit_code == 0
    assert current(models) == "1"

    complains(home.mmal("models", "use", "P017", "clinic-1", free=0))
    assert (current(models), home.half_made()) == ("1", [])
    assert home.mmal("models", "rollback", "P017", free=10_000_000).exit_code == 0
    assert current(models) == "clinic-1"
    keep(Outcome(FAULT, "mmal personalise, 40 kB and 2 MB free", lost="nothing: exit code 2, and done again"))
