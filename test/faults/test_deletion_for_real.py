"""A child is deleted: what was recorded, said and learned of it is searched for everywhere, down to the raw disk.

After `mmal session delete --participant` no file on the disk has a byte of it. What that does not do: the blocks of an
unlinked file keep their content until something is written over them, or the disk is told that they are free (`fstrim`,
which most systems run once a week; what a solid-state disk does then nobody outside sees). Names of removed folders,
with the participant's code in them, may stay in the blocks of their folder and in the journal. Against all that only an
encrypted disk helps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.model_card import read_card, write_card
from mmal_ros.models import load_model_set
from mmal_ros.paths import find_model
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore
from mmal_ros.session.timeline import write_derived
from mmal_ros.training.person.participant_folder import alone_in, installed
from rigs.fault_log import Outcome, keep
from rigs.image_disk import image_disk
from rigs.sessions import make_session

NOTE = "the child cried when the robot left"
UNDONE = "no, that was the other one"
LENGTH = 48


def slice_of(path: Path) -> bytes:
    """Some bytes that nothing but this file has."""
    content = path.read_bytes()
    middle = len(content) // 2
    return content[middle : middle + LENGTH]


@contextmanager
def lived(home: Path) -> Iterator[dict[str, bytes]]:
    """A child was recorded, labelled and learned; the review page still has the labels open. What to search for."""
    session = make_session(home / "sessions", "P017", minutes=0.3, flags=2)
    make_session(home / "sessions", "P018", minutes=0.2, flags=1, seed=3)
    write_derived(session)
    _learn(home / "models" / "P017")
    with SessionStore(session.labels) as store:
        said(store, session, NOTE, "request-1")
        said(store, session, UNDONE, "request-2")
        store.add_label(label_of(session, None, ""), "request-3")
        assert session.labels.with_name("labels.sqlite-wal").exists()
        yield {
            "label": NOTE.encode(),
            "undone label": UNDONE.encode(),
            "bag": slice_of(session.bag / "bag_0.mcap"),
            "clip": slice_of(max(session.clips.iterdir())),  # the other child has one that looks like the first
            "derived": slice_of(session.path / "derived" / "trace.npz"),
            "model's card": NOTE.upper().encode(),
            "model": slice_of(home / "models" / "P017" / "demo-2" / "own.onnx"),
        }


def said(store: SessionStore, session: SessionFolder, note: str, request: str) -> None:
    assert store.add_label(label_of(session, LabelValue.LOW, note), request)


def label_of(session: SessionFolder, value: LabelValue | None, note: str) -> Label:
    stamp_ns = session.card().start_ns + 10**10
    return Label(stamp_ns // 10**8, stamp_ns, "C1", value, stamp_ns, note)


def _learn(folder: Path) -> None:
    """A model set with something of the child in its card and in a file."""
    with alone_in(folder):
        installed(load_model_set(find_model("demo")), folder)
    version = folder / "demo-2"
    card = read_card(version)
    write_card(version, card.model_copy(update={"training": {"participant": NOTE.upper()}}))
    (version / "own.onnx").write_bytes(NOTE[::-1].encode() * 20)


def delete(home: Path) -> None:
    places = ("--sessions", home / "sessions", "--models", home / "models")
    run = CliRunner().invoke(app, ["session", "delete", "--participant", "P017", "--yes", *map(str, places)])
    assert run.exit_code == 0, run.output


def reachable(root: Path, wanted: dict[str, bytes]) -> set[str]:
    """What is found in the files of a folder, or in their names."""
    found = set()
    for path in root.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        found |= {what for what, part in wanted.items() if part in content}
        found |= {str(path)} if "P017" in path.name else set()
    return found


def test_no_file_has_a_byte_of_a_child_that_was_deleted(tmp_path):
    with lived(tmp_path) as wanted:
        assert wanted.keys() <= reachable(tmp_path, wanted)
        delete(tmp_path)
        assert reachable(tmp_path, wanted) == set()
    assert reachable(tmp_path, wanted) == set(), "nothing comes back when the last program closes the labels"
    assert len(list((tmp_path / "sessions").iterdir())) == 1, "the other child is there"


def test_the_raw_disk_has_nothing_of_it_once_the_disk_knows_that_its_blocks_are_free(tmp_path):
    disk = image_disk(tmp_path)
    with disk.mounted() as home, lived(home) as wanted:
        pass
    assert {what for what, part in wanted.items() if disk.holds(part)} == wanted.keys(), "the search finds them"
    with disk.mounted() as home:
        delete(home)
    with disk.mounted() as home:
        assert reachable(home, wanted) == set()
    unlinked = [what for what, part in wanted.items() if disk.holds(part)]
    disk.trim()
    assert [what for what, part in wanted.items() if disk.holds(part)] == []
    words = (
        f"no file has any; in free blocks of the raw disk {len(unlinked)} of {len(wanted)} markers, none after fstrim"
    )
    keep(Outcome("a participant is deleted", "ext4 in a file, every byte searched", lost=words))
