"""Session folders that a disk, an editor or another version spoiled: one `SessionError`, and labels stay."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import example
from hypothesis import strategies as st

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.session.agreement import agreement
from mmal_ros.session.card import CARD_NAME, SessionError
from mmal_ros.session.exchange.coding import Coding
from mmal_ros.session.exchange.importing import _seconds
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.going_on import GoingOn
from mmal_ros.session.reading import read_features
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore
from mmal_ros.session.timeline import DERIVED, TRACE_FILE, Timeline, read_timeline
from rigs.fuzzing import fuzz
from rigs.mutation import LARGE_NUMBERS, damaged_bytes, damaged_json, odd_words
from rigs.sessions import make_session


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    session = make_session(tmp_path_factory.mktemp("recorded"), minutes=0.1, flags=3, clips=False)
    with SessionStore(session.labels) as store:
        for flag in store.flags():
            label = Label(flag.window_id, flag.stamp_ns, "C1", LabelValue.LOW, flag.stamp_ns)
            store.add_label(label, f"request-{flag.window_id}")
    with sqlite3.connect(session.labels) as file:
        file.execute("PRAGMA journal_mode=DELETE")  # all of it in one file
    return session


@pytest.fixture
def session(recorded: SessionFolder, tmp_path: Path) -> SessionFolder:
    return SessionFolder(Path(shutil.copytree(recorded.path, tmp_path / recorded.name)))


def _with(card: dict, **changes: object) -> bytes:
    return json.dumps({**card, **changes}).encode()


@fuzz(st.data())
def test_a_damaged_card(session, recorded, data):
    valid = json.loads((recorded.path / CARD_NAME).read_text())
    (session.path / CARD_NAME).write_bytes(data.draw(damaged_json(valid)))
    _use_card(session)


def test_a_card_whose_start_is_long_before_its_bag_is_not_scored_for_decades(session):
    valid = json.loads((session.path / CARD_NAME).read_text())
    (session.path / CARD_NAME).write_bytes(_with(valid, start_ns=0))
    with pytest.raises(SessionError, match="another week"):
        read_features(session)


@pytest.mark.parametrize(
    "changes",
    [
        {"rate_hz": 0}, {"rate_hz": 1e-300}, {"rate_hz": -10}, {"start_ns": 10**400}, {"start_ns": -(10**30)},
        {"end_ns": 10**25}, {"max_delay_ms": 1e308},
    ],
)  # fmt: skip
def test_a_card_with_a_number_beyond_all_sessions(session, changes):
    valid = json.loads((session.path / CARD_NAME).read_text())
    (session.path / CARD_NAME).write_bytes(_with(valid, **changes))
    with pytest.raises(SessionError):
        session.card()


def _use_card(session: SessionFolder) -> None:
    try:
        card = session.card()
        _seconds(card)
        coding = Coding.of(session)
        assert all(coding.span(flag).end_ms > 0 for flag in coding.flags)
        assert abs(card.start_ns) / NANOSECONDS_PER_SECOND < 1e11
        recording = read_features(session)
        assert recording.start_ns <= recording.arrivals()[0].min()
    except SessionError as error:
        assert str(error)


@fuzz(st.data())
def test_a_damaged_store(session, recorded, data):
    session.labels.write_bytes(data.draw(damaged_bytes(recorded.labels.read_bytes(), most=8)))
    _use_store(session)


CELLS = st.one_of(
    odd_words().map(lambda w: w.replace("\ud800", "")), st.sampled_from(LARGE_NUMBERS), st.binary(max_size=5), st.none()
)


@fuzz(
    st.sampled_from(
        [("flag", c) for c in ("window_id", "stamp_ns", "policy", "reason", "utility", "clip", "withdrawn")]
        + [("label", c) for c in ("request", "window_id", "stamp_ns", "annotator", "value", "labelled_ns", "note")]
    ),
    CELLS,
)  # fmt: skip
@example(("label", "value"), "ecstatic")  # a label of a later version
@example(("flag", "stamp_ns"), "noon")
@example(("flag", "utility"), "much")
def test_a_store_with_a_cell_of_another_kind(session, column, cell):
    if isinstance(cell, int) and not -(1 << 63) <= cell < 1 << 63:
        return
    table, name = column
    file = sqlite3.connect(session.labels)
    try:
        file.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = (SELECT min(rowid) FROM {table})", (cell,))
        file.commit()
    except sqlite3.IntegrityError:
        return
    finally:
        file.close()
    _use_store(session)


def _use_store(session: SessionFolder) -> None:
    try:
        with SessionStore(session.labels) as store:
            flags, labels = store.flags(withdrawn=True), store.standing_labels()
            agreement(labels)
            store.add_label(Label(1, 1, "C1", LabelValue.LOW, 1), "request-of-now")
        coding = Coding.of(session)
        assert all(isinstance(coding.span(flag).end_ms, int) for flag in flags)
        assert all(coding.span(label).middle_ms >= 0 for label in labels)
    except SessionError as error:
        assert str(error)


@pytest.fixture
def note(session: SessionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoingOn:
    """Of the recorder of that session, and with nobody else's beside it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return GoingOn(session.path.parent, "recorder_node")


@fuzz(st.data())
def test_a_damaged_note_of_what_was_going_on(session, note, data):
    """A recorder begins all the same: it goes on with the session that is there, or with none."""
    note.remember(session)
    (path,) = (session.path.parent / "runtime").glob("*/*")
    path.write_bytes(data.draw(damaged_bytes(path.read_bytes())))
    before = GoingOn(session.path.parent, "recorder_node").recall()
    assert before is None or before.card in (None, session.card())


@pytest.fixture(scope="module")
def timeline(recorded: SessionFolder) -> Timeline:
    """As it is; its trace is beside the bag from now on."""
    return read_timeline(recorded)


@pytest.fixture
def drawn(timeline: Timeline, session: SessionFolder) -> SessionFolder:
    """A session of which a timeline was made."""
    return session


@fuzz(st.data())
def test_a_trace_with_damaged_bytes(drawn, recorded, timeline, data):
    content = (recorded.path / DERIVED / TRACE_FILE).read_bytes()
    (drawn.path / DERIVED / TRACE_FILE).write_bytes(data.draw(damaged_bytes(content)))
    assert read_timeline(drawn) == timeline
