"""Labels from ELAN and CSV: what windows they mean, and what is refused so that somebody can mend it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pympi
import pytest

from mmal_ros.session.card import SessionError, write_session_card
from mmal_ros.session.exchange.exporting import Format, export_session
from mmal_ros.session.exchange.importing import Imported, import_labels, read_coding
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Flag, Label, LabelValue
from mmal_ros.session.store import SessionStore
from rigs.sessions import make_session

SECOND = 10**9
LOW, MEDIUM, HIGH, CANNOT_TELL, BAD_CAPTURE = LabelValue


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("sessions"), minutes=0.5, flags=5, clips=False)


@pytest.fixture
def session(recorded, tmp_path) -> SessionFolder:
    """Half a minute; flagged are the seconds from 3, 8.7, 14.5, 20.2 and 26."""
    return SessionFolder(Path(shutil.copytree(recorded.path, tmp_path / recorded.name)))


def flags(session) -> list[Flag]:
    with SessionStore(session.labels) as store:
        return store.flags()


def standing(session) -> list[Label]:
    with SessionStore(session.labels) as store:
        return store.standing_labels()


def words(session) -> list[tuple[int, str, LabelValue | None, str]]:
    return [(label.window_id, label.annotator, label.value, label.note) for label in standing(session)]


def say(session, *said: tuple[int, str, LabelValue]) -> None:
    """(flag number, coder, value)."""
    there = flags(session)
    with SessionStore(session.labels) as store:
        for number, coder, value in said:
            flag = there[number]
            note = "asleep?\nor sad" if value == LOW else ""
            label = Label(flag.window_id, flag.stamp_ns, coder, value, 1, note)
            store.add_label(label, f"{coder} {number} {value}")


def take(session, path: Path, annotator: str = "C1", tier: str | None = None, **options) -> Imported:
    return import_labels(session, read_coding(path, annotator, tier), annotator, 99, **options)


def csv(tmp_path, *lines: str) -> Path:
    (tmp_path / "labels.csv").write_text("\n".join(["start_s,end_s,value", *lines]) + "\n")
    return tmp_path / "labels.csv"


def eaf(tmp_path, *annotations: tuple[int, int, str], tier: str = "child", **attributes) -> Path:
    made = pympi.Eaf()
    made.remove_tier("default")
    made.add_tier(tier, **attributes)
    for annotation in annotations:
        made.add_annotation(tier, *annotation)
    made.to_file(str(tmp_path / "coded.eaf"))
    return tmp_path / "coded.eaf"


@pytest.mark.parametrize("kind", [Format.EAF, Format.CSV])
def test_what_was_exported_comes_back_as_it_was(session, tmp_path, kind):
    say(session, *((n, "C1", value) for n, value in enumerate(LabelValue)), (0, "C2", HIGH), (1, "C2", LOW))
    path = tmp_path / f"labels.{kind}"
    export_session(session, kind, path)
    before = words(session)
    assert take(session, path, "C1") == Imported(0, 5, 0, 0)  # all of it is known here
    bare = flags(session)
    session.labels.unlink()
    with SessionStore(session.labels) as store:
        for flag in bare:
            store.flag(flag)
    assert [take(session, path, coder).labels for coder in ("C1", "C2")] == [5, 2]
    assert sorted(words(session)) == sorted(before)


@pytest.mark.parametrize("kind", [Format.EAF, Format.CSV])
def test_flags_that_overlap_come_back_each_with_its_own_label(session, tmp_path, kind):
    """Two presses of the button within a second: on one tier ELAN could not hold both."""
    first = flags(session)[0]
    with SessionStore(session.labels) as store:
        store.flag(replace(first, window_id=first.window_id + 3, stamp_ns=first.stamp_ns + 3 * SECOND // 10))
    say(session, (0, "C1", LOW), (1, "C1", HIGH))
    path = tmp_path / f"labels.{kind}"
    export_session(session, kind, path)
    before = words(session)
    with SessionStore(session.labels) as store:  # say something else meanwhile
        store.add_labels([(replace(label, value=MEDIUM), f"m{label.window_id}") for label in store.labels()])
    assert take(session, path).labels == 2
    assert words(session) == before


def test_a_long_annotation_labels_what_is_flagged_in_it(session, tmp_path):
    assert take(session, csv(tmp_path, "0,10,low", "10,16,HIGH")) == Imported(3, 0, 0, 0)
    assert [value for _, _, value, _ in words(session)] == [LOW, LOW, HIGH]
    assert [label.window_id for label in standing(session)] == [flag.window_id for flag in flags(session)[:3]]


def test_a_window_belongs_to_the_annotation_that_holds_its_middle(session, tmp_path):
    middle_s = 3.5
    assert take(session, csv(tmp_path, f"0,{middle_s},low", f"{middle_s},5,high")) == Imported(1, 0, 1, 0)
    assert [value for _, _, value, _ in words(session)] == [HIGH]


def test_all_windows_are_the_seconds_of_the_session_and_the_flags(session, tmp_path):
    on_a_second = 2  # of the five flags
    assert take(session, csv(tmp_path, "0,1000000,low"), all_windows=True).labels == 30 + 5 - on_a_second
    card = session.card()
    assert all(card.start_ns + SECOND <= label.stamp_ns <= card.end_ns for label in standing(session))
    assert {label.stamp_ns - label.window_id * SECOND // 10 for label in standing(session)} == {0}


def test_seconds_of_a_session_without_end_cannot_be_counted(session, tmp_path):
    write_session_card(session.path, session.card().model_copy(update={"end": None, "end_ns": None}))
    with pytest.raises(SessionError, match=r"has no end yet.*leave out --all-windows"):
        take(session, csv(tmp_path, "0,10,low"), all_windows=True)


def test_importing_again_changes_nothing_until_the_coder_thinks_again(session, tmp_path):
    """Also when she thinks again twice, and says at last what she said at first."""
    for value, new in (("low", 1), ("low", 0), ("high", 1), ("high", 0), ("low", 1), ("low", 0)):
        assert take(session, csv(tmp_path, f"0,5,{value}")).labels == new
        assert [label.value for label in standing(session)] == [value]


def test_a_file_without_notes_takes_none_back(session, tmp_path):
    say(session, (0, "C1", LOW))
    assert take(session, csv(tmp_path, "0,5,low")) == Imported(0, 1, 0, 0)
    assert standing(session)[0].note == "asleep?\nor sad"


def test_two_imports_at_once_double_nothing(session, tmp_path, monkeypatch):
    said = read_coding(csv(tmp_path, "0,10,low"), "C1")
    assert import_labels(session, said, "C1", 1).labels == 2
    with monkeypatch.context() as patched:  # the second one had read before the first one wrote
        patched.setattr(SessionStore, "labels", lambda _: [])
        assert import_labels(session, said, "C1", 2).labels == 0
    with SessionStore(session.labels) as store:
        assert len(store.labels()) == 2


def test_annotations_that_contradict_each_other_are_named_and_nothing_is_taken(session, tmp_path):
    with pytest.raises(SessionError, match=r"line 2 and .*line 4 say different things of the window 3.0 to 4.0 s"):
        take(session, csv(tmp_path, "0,5,low", "8,10,low", "3,4.2,high"))
    assert standing(session) == []


def test_an_unknown_word_names_annotation_and_tier_and_nothing_is_taken(session, tmp_path):
    path = eaf(tmp_path, (0, 5000, "low"), (8000, 10000, "dunno"))
    with pytest.raises(SessionError, match="annotation a3 of tier 'child': 'dunno' is no label"):
        take(session, path)
    assert standing(session) == []


def test_what_was_not_labelled_is_said(session, tmp_path):
    path = eaf(tmp_path, (0, 5000, "low"), (5500, 6000, "high"), (8000, 10000, ""))
    assert take(session, path) == Imported(labels=1, known=0, elsewhere=1, unsaid=1)


@pytest.mark.parametrize(
    ("tier", "attributes"), [("C1", {}), ("engagement", {"ann": "C1"}), ("the only one", {}), ("x", {"ann": "C1"})]
)
def test_the_tier_of_a_coder_is_found(session, tmp_path, tier, attributes):
    assert take(session, eaf(tmp_path, (0, 5000, "low"), tier=tier, **attributes)).labels == 1


@pytest.mark.parametrize("value", [LOW, HIGH])  # LOW comes with a note, so with a tier of notes
def test_another_coders_tier_is_never_taken_for_mine(session, tmp_path, value):
    say(session, (0, "C2", value))
    export_session(session, Format.EAF, tmp_path / "out.eaf")
    with pytest.raises(SessionError, match="no tier whose annotator is C1; name the one to read by --tier: 'flags'"):
        take(session, tmp_path / "out.eaf")
    assert take(session, tmp_path / "out.eaf", tier="engagement C2").labels == 1


def test_an_unknown_tier_names_those_that_there_are(session, tmp_path):
    with pytest.raises(SessionError, match="has no tier 'Child'; there are 'child'"):
        take(session, eaf(tmp_path, (0, 5000, "low")), tier="Child")


def test_real_files_of_linguists_are_refused_in_one_sentence(session, shared_data):
    """They hold speech and gestures of other people: Yele (MPI), Turkish (poio-api)."""
    for name, tiers in (("pympi_sample_3.0.eaf", 6), ("poio_turkish.eaf", 5)):
        path = shared_data / "eaf-samples" / name
        with pytest.raises(SessionError, match="has no tier whose annotator is C1; name the one to read by --tier"):
            take(session, path)
        for tier in pympi.Eaf(str(path), suppress_version_warning=True).tiers:
            tiers -= 1
            with pytest.raises(SessionError, match=r"is no label|has no beginning and end"):
                take(session, path, tier=tier)
        assert tiers <= 0
    assert standing(session) == []


def test_a_tier_that_refers_to_another_has_its_times(session, tmp_path):
    """ELAN's dependent tiers have no times of their own."""
    made = pympi.Eaf()
    made.add_linguistic_type("word", constraints="Symbolic_Association", timealignable=False)
    made.add_annotation("default", 0, 5000, "looks at the robot")
    made.add_tier("level", ling="word", parent="default")
    made.add_ref_annotation("level", "default", 2500, "high")
    made.to_file(str(tmp_path / "coded.eaf"))
    assert take(session, tmp_path / "coded.eaf", tier="level").labels == 1


@pytest.mark.parametrize("content", [b"", b"<xml", b"<a/>", b"\xff\x00", b'<ANNOTATION_DOCUMENT VERSION="3.0"/>'])
def test_what_is_no_elan_file_is_one_sentence(session, tmp_path, content):
    (tmp_path / "broken.eaf").write_bytes(content)
    with pytest.raises(SessionError, match=r"broken.eaf (is no ELAN file|has no tier)"):
        take(session, tmp_path / "broken.eaf")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1: the columns are none; expected start_s,end_s,value"),
        ("start_s;end_s;value\n1;2;low\n", "line 1: the columns are start_s;end_s;value; expected"),
        ("start_s,end_s,value,mood\n1,2,low,x\n", "line 1: .*mood"),
        ("start_s,end_s\n1,2\n", "line 1"),
        ("start_s,end_s,value,value\n1,2,low,low\n", "line 1"),
        ("start_s,end_s,value\n1,2,low\n3,four,low\n", "line 3: end_s is 'four'; expected seconds"),
        ("start_s,end_s,value\n-1,2,low\n", "line 2: start_s is '-1'"),
        ("start_s,end_s,value\nnan,2,low\n", "line 2: start_s is 'nan'"),
        ('start_s,end_s,value\n"1,5","2,5",low\n', "line 2: start_s is '1,5'"),
        ("start_s,end_s,value\n5,5,low\n", "line 2: end_s must be after start_s"),
        ("start_s,end_s,value\n1,2\n", "line 2: the row has more or fewer cells"),
        ("start_s,end_s,value\n1,2,low,why\n", "line 2: the row has more or fewer cells"),
        ("start_s,end_s,value\n0,5,lwo\n", "line 2: 'lwo' is no label"),
        ("start_s,end_s,value,note\n1,2,low,gr\xf6\xdfer\n", "is no UTF-8 text; save it as 'CSV UTF-8'"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_its_line(session, tmp_path, content, complaint):
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SessionError, match=complaint):
        take(session, path)
    assert standing(session) == []


def test_a_table_of_excel_begins_with_a_mark_and_ends_lines_its_own_way(session, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes("\ufeffstart_s,end_s,value,note\r\n0,5,low,müde\r\n".encode())
    assert take(session, path).labels == 1
    assert standing(session)[0].note == "müde"


def test_rows_of_other_coders_are_left_alone(session, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("start_s,end_s,value,annotator\n0,5,low,C1\n8,10,high,C2\n14,16,high,\n")
    assert take(session, path).labels == 2


@pytest.mark.parametrize(
    ("name", "annotator", "tier", "complaint"),
    [
        ("labels.xlsx", "C1", None, "labels are read from .eaf and .csv only"),
        ("labels.csv", "C1", "child", "a CSV has no tiers"),
        ("nowhere.csv", "C1", None, "nowhere.csv cannot be read: No such file"),
        ("nowhere.eaf", "C1", None, "there is no file .*nowhere.eaf"),
        ("labels.csv", "Anna Smith", None, "'Anna Smith' is no code of a coder"),
    ],
)
def test_a_wrong_question_is_answered_clearly(tmp_path, name, annotator, tier, complaint):
    with pytest.raises(SessionError, match=complaint):
        read_coding(tmp_path / name, annotator, tier)
