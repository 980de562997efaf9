"""Flags and labels in SQLite: only added to, several processes at once, damage in one sentence."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from mmal_ros.session.card import SessionError
from mmal_ros.session.records import Flag, Label, LabelValue
from mmal_ros.session.store import SessionStore, standing

FLAG = Flag(window_id=17, stamp_ns=1_700_000_000, policy="mmql", reason="face and voice disagree", utility=0.5)
LOW = Label(window_id=17, stamp_ns=1_700_000_000, annotator="C1", value=LabelValue.LOW, labelled_ns=5, note="yawns")


def said(value: LabelValue | None, **changes) -> Label:
    return replace(LOW, value=value, **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.sqlite"


@pytest.fixture
def store(path):
    with SessionStore(path) as opened:
        yield opened


def test_what_was_written_is_there_for_whoever_opens_it_next(store, path):
    store.flag(FLAG)
    assert store.add_label(LOW, "a")
    with SessionStore(path) as again:
        assert (again.flags(), again.labels()) == ([FLAG], [LOW])


def test_numbers_as_large_as_nanoseconds_since_the_epoch_stay_exact(store):
    large = replace(FLAG, window_id=2**62 + 1, stamp_ns=2**62 + 3)
    store.flag(large)
    assert store.flags() == [large]


def test_nobody_else_may_read_it(store, path):
    store.flag(FLAG)
    there = sorted(part.name for part in path.parent.iterdir())
    assert there == ["labels.sqlite", "labels.sqlite-shm", "labels.sqlite-wal"]
    assert {stat.S_IMODE(part.stat().st_mode) for part in path.parent.iterdir()} == {0o600}


def test_a_commit_is_on_disk_when_it_returns(store):
    """SQLite promises to survive a power cut for these settings: sqlite.org/pragma.html#pragma_synchronous."""
    with store._engine.connect() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]


def test_a_flag_that_comes_twice_is_one_flag_and_keeps_its_clip(store):
    store.flag(FLAG)
    store.attach_clip(17, "clips/17.mp4")
    store.flag(replace(FLAG, utility=0.9))
    assert store.flags() == [replace(FLAG, utility=0.9, clip="clips/17.mp4")]


def test_a_withdrawn_flag_is_not_to_be_labelled_but_not_forgotten(store):
    store.flag(replace(FLAG, clip="clips/17.mp4"))
    store.withdraw(17)
    store.withdraw(99)  # not there: nothing to complain about
    assert store.flags() == []
    assert store.flags(withdrawn=True) == [replace(FLAG, withdrawn=True)]


def test_the_same_request_adds_nothing(store):
    assert store.add_label(LOW, "a")
    assert not store.add_label(LOW, "a")
    assert store.add_labels([(LOW, "a"), (said(LabelValue.HIGH), "b"), (said(LabelValue.HIGH), "b")]) == 1
    assert [label.value for label in store.labels()] == [LabelValue.LOW, LabelValue.HIGH]


def test_several_labels_are_added_all_or_none(store):
    broken = replace(LOW, annotator=None)  # type: ignore[arg-type]
    with pytest.raises(SessionError, match="annotator"):
        store.add_labels([(LOW, "a"), (broken, "b")])
    assert store.labels() == []


def test_more_labels_than_sqlite_takes_variables_at_once(store):
    many = [(replace(LOW, window_id=number), f"r{number}") for number in range(40_000)]
    assert store.add_labels(many) == 40_000
    assert store.add_labels(many) == 0


def test_who_thinks_again_adds_a_word_and_a_retraction_takes_back_the_last_one():
    low, high, back = (said(LabelValue.LOW), said(LabelValue.HIGH), said(None))
    assert standing([low, high]) == [high]
    assert standing([low, high, back]) == [low]
    assert standing([low, high, back, back]) == []
    assert standing([back, low]) == [low]
    assert standing([low, replace(high, annotator="C2"), back]) == [replace(high, annotator="C2")]


def test_standing_labels_come_in_the_order_of_time(store):
    late, early = replace(LOW, window_id=9, stamp_ns=900), replace(LOW, window_id=3, stamp_ns=300)
    store.add_labels([(late, "a"), (early, "b")])
    assert store.standing_labels() == [early, late]


@pytest.mark.parametrize(
    "damage", [b"this is no database at all, it is a text", b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_damaged_file_is_one_clear_sentence(path, damage):
    path.write_bytes(damage)
    with pytest.raises(SessionError, match=r"labels.sqlite cannot be used: (file is not a database|.*malformed)"):
        SessionStore(path)
    assert path.read_bytes() == damage


def test_a_file_whose_middle_is_damaged_is_one_clear_sentence(path):
    with SessionStore(path) as store:
        store.add_labels([(replace(LOW, window_id=number), f"r{number}") for number in range(500)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(SessionError, match="cannot be used"), SessionStore(path) as store:
        store.labels()


def test_a_place_where_no_file_can_be_is_one_clear_sentence(tmp_path):
    with pytest.raises(SessionError, match="cannot be used"):
        SessionStore(tmp_path / "nowhere" / "labels.sqlite")


ENDLESS = """
CREATE VIEW flag AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)
SELECT n AS window_id, n AS stamp_ns, '' AS policy, '' AS reason, 0.5 AS utility, NULL AS clip, 0 AS withdrawn FROM n
"""
IN_CAPITALS = "UPDATE sqlite_schema SET type = 'VIEW' WHERE name = 'flag'"
FOREIGN = {
    "a view without an end": ["DROP TABLE flag", ENDLESS],
    "a VIEW": ["DROP TABLE flag", ENDLESS, "PRAGMA writable_schema=ON", IN_CAPITALS],
    "a trigger": ["CREATE TRIGGER gone AFTER INSERT ON label BEGIN DELETE FROM label; END"],
    "a computed column": ["ALTER TABLE flag ADD COLUMN more TEXT AS (hex(zeroblob(1000000000)))"],
    "a table of a module": ["DROP TABLE flag", "CREATE VIRTUAL TABLE flag USING fts5(window_id, stamp_ns)"],
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_from_elsewhere_with_more_than_tables_is_one_clear_sentence(path, kind):
    SessionStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        for statement in FOREIGN[kind]:
            file.execute(statement)
    with pytest.raises(SessionError, match=r"labels\.sqlite cannot be used: it has a view, a trigger or a computed"):
        SessionStore(path)


def test_a_value_without_end_is_one_clear_sentence(path):
    SessionStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("INSERT INTO label VALUES (1, 'r', 1, 1, 'C1', 'low', 1, hex(zeroblob(20000000)))")
    with pytest.raises(SessionError, match=r"labels\.sqlite cannot be used: .*too big"), SessionStore(path) as store:
        store.labels()


LAST_READER = "import sys; from pathlib import Path; from mmal_ros.session.store import SessionStore as Store; "
LAST_READER += "Store(Path(sys.argv[1])).close()"
COUNT = "import sys, sqlite3; print(sqlite3.connect(sys.argv[1]).execute('select count(*) from label').fetchone())"


def test_a_look_from_the_same_process_leaves_a_recorder_its_locks(path):
    """Else whoever closes the file next, in another process, takes away what the recorder still writes to."""
    with SessionStore(path) as recorder:
        recorder.add_label(LOW, "first")
        SessionStore(path).close()  # as a page of `mmal run --page` looks at it
        subprocess.run([sys.executable, "-c", LAST_READER, path], check=True, timeout=60)
        recorder.add_label(LOW, "second")
        assert path.with_name(f"{path.name}-wal").exists()
        said = subprocess.check_output([sys.executable, "-c", COUNT, path], timeout=60, text=True)
        assert said == "(2,)\n", "another process sees all that was acknowledged"


WRITER = """
import sys
from pathlib import Path
from mmal_ros.session.records import Flag, Label, LabelValue
from mmal_ros.session.store import SessionStore
path, who = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
with SessionStore(path) as store:
    for number in range(60):
        if who == "recorder":
            store.flag(Flag(number, number, "mmql", "why", 0.5))
            store.attach_clip(number, f"clips/{number}.mp4")
        else:
            store.add_label(Label(number, number, who, LabelValue.HIGH, 1), f"{who} {number}")
            store.add_label(Label(number, number, who, LabelValue.LOW, 1), f"both {number}")
"""


def test_a_recorder_and_two_coders_write_at_once(path):
    """Nobody's word is lost, and one request that comes from two processes counts once."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, who], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for who in ("recorder", "C1", "C2")
    ]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=60)
    assert [process.returncode for process in started] == [0, 0, 0]
    with SessionStore(path) as store:
        assert [flag.clip for flag in store.flags()] == [f"clips/{number}.mp4" for number in range(60)]
        values = [(label.annotator, label.value) for label in store.labels()]
    high, low = LabelValue.HIGH, LabelValue.LOW
    assert [values.count((who, high)) for who in ("C1", "C2")] == [60, 60]
    assert sum(value == low for _, value in values) == 60


@pytest.mark.parametrize("name", ["what?", "a%20b", "100 %"])
def test_a_folder_may_have_any_name(tmp_path, name):
    (tmp_path / name).mkdir()
    path = tmp_path / name / "labels.sqlite"
    with SessionStore(path) as store:
        store.flag(Flag(1, 10**18, "random", "why not", 0.0))
    assert path.stat().st_size > 0
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
