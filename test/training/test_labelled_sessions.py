"""Labelled sessions become windows to learn from: those that the live graph saw, and nobody else's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.datatypes import Level, Modality
from mmal_ros.session.agreement import AgreementRule
from mmal_ros.session.card import CARD_NAME, SessionError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.reading import read_features
from mmal_ros.session.records import LabelValue
from mmal_ros.training.data import session_windows
from mmal_ros.training.data.cutting import HOP_NS
from mmal_ros.training.data.labelled_sessions import LabelledWindows, labelled_windows, sessions_of
from mmal_ros.training.data.session_windows import NO_LABEL
from mmal_ros.training.sessions import FEATURE_SETS
from mmal_ros.window_stream import WindowStream
from mmal_ros.windowing import copy_of
from rigs.labelled_sessions import label, write_session
from rigs.sessions import level_at

CODER_ENDS_S = (5.0, 12.3, 21.0, 45.1)
RULE = AgreementRule()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Two sessions of a child, one of another; nothing is labelled."""
    root = tmp_path_factory.mktemp("recorded")
    for participant, seed in (("P017", 1), ("P017", 0), ("P018", 2)):
        write_session(root, participant, seed, minutes=1)
    return root


@pytest.fixture
def root(recorded, tmp_path) -> Path:
    shutil.copytree(recorded, tmp_path / "sessions")
    return tmp_path / "sessions"


def of(root: Path, rule: AgreementRule = RULE, participant: str = "P017") -> LabelledWindows:
    return labelled_windows(sessions_of(participant, root), FEATURE_SETS, rule, participant)


def first(root: Path) -> SessionFolder:
    return sessions_of("P017", root)[0]


def test_what_is_learned_from_is_what_the_live_graph_saw(root):
    """Cut one by one as a running graph does, the windows that end at the labels' stamps are the same bit by bit."""
    stamps_ns = label(first(root), 0, CODER_ENDS_S)
    found = of(root)
    recording = read_features(first(root))
    live = {w.end_ns: copy_of(w) for w in WindowStream(FEATURE_SETS).replay(recording.frames(), recording.start_ns)}
    assert found.ends_ns[found.labelled].tolist() == stamps_ns
    for row, stamp_ns in zip(found.labelled, stamps_ns, strict=True):
        for modality in Modality:
            np.testing.assert_array_equal(found.windows.features[modality][row], live[stamp_ns].features[modality])
            np.testing.assert_array_equal(found.windows.mask[modality][row], live[stamp_ns].mask[modality])
    assert found.windows.labels[found.labelled].tolist() == [int(level_at(0, end - 1)) for end in CODER_ENDS_S]
    assert found.learned_from() == {first(root).name: stamps_ns}


def test_the_windows_around_come_along_without_labels(root):
    label(first(root), 0, CODER_ENDS_S)
    found = of(root)
    others = np.setdiff1d(np.arange(len(found.windows)), found.labelled)
    assert (found.windows.labels[others] == NO_LABEL).all()
    assert len(others) == pytest.approx(60e9 / HOP_NS, abs=4)
    assert np.any([found.windows.heard(m) for m in Modality], axis=0).all(), "in the first half second nothing is heard"
    hops_ns = np.diff(found.ends_ns[others])
    assert hops_ns.max() <= 2 * HOP_NS, "only where a labelled window was due"
    np.testing.assert_allclose(np.diff(found.windows.times_s), np.diff(found.ends_ns) / 1e9)


def test_a_recording_that_is_not_in_order_gives_the_same_windows(root, monkeypatch):
    label(first(root), 0, CODER_ENDS_S)
    quick = of(root)
    monkeypatch.setattr(session_windows, "cut_windows", lambda *_: None)
    slow = of(root)
    np.testing.assert_array_equal(quick.ends_ns, slow.ends_ns)
    for modality in Modality:
        np.testing.assert_array_equal(quick.windows.features[modality], slow.windows.features[modality])


def test_a_long_session_is_taken_more_thinly_but_no_label_is_lost(root, monkeypatch):
    stamps_ns = label(first(root), 0, CODER_ENDS_S)
    monkeypatch.setattr(session_windows, "MOST_WINDOWS", 10)
    found = of(root)
    assert 8 <= len(found.windows) - len(stamps_ns) <= 11
    assert found.ends_ns[found.labelled].tolist() == stamps_ns


def test_sessions_are_blocks_on_one_axis_of_time(root):
    """The session of the day before was written to disk later; one without labels is left out."""
    early, late = sessions_of("P017", root)
    assert early.card().start_ns < late.card().start_ns
    label(late, 1, [10.0, 30.0])
    assert of(root).sessions == (late.name,)
    label(early, 0, [20.0], coder="C2")
    found = of(root)
    assert found.sessions == (early.name, late.name)
    assert found.coders == ("C1", "C2")
    assert found.windows.blocks[found.labelled].tolist() == [0, 1, 1]
    assert (np.diff(found.windows.times_s) > 0).all()
    day_s = found.windows.times_s[found.windows.blocks == 1][0] - found.windows.times_s[0]
    assert day_s == pytest.approx(86_400, abs=2)


def test_what_coders_do_not_agree_on_counts_only_with_a_lead(root):
    session = first(root)
    label(session, 0, [10.0], "C1", LabelValue.LOW)
    label(session, 0, [10.0], "C2", LabelValue.HIGH)
    label(session, 0, [20.0], "C1", LabelValue.CANNOT_TELL)
    with pytest.raises(
        SessionError, match=r"nobody labelled a window low, medium or high; label .* with `mmal review`"
    ):
        of(root)
    found = of(root, AgreementRule(lead="C2"))
    assert found.windows.labels[found.labelled].tolist() == [Level.HIGH]


def test_labels_of_windows_in_which_nothing_was_recorded_are_counted(root):
    label(first(root), 0, [10.0, 3600.0])
    found = of(root)
    assert (len(found.labelled), found.unheard) == (1, 1)
    label(sessions_of("P017", root)[1], 1, [3600.0])
    assert of(root).unheard == 2


def test_only_what_nothing_is_known_of_is_labelled(root):
    label(first(root), 0, [3600.0])
    with pytest.raises(SessionError, match="no features were recorded with any label"):
        of(root)


# --- nobody else's -----------------------------------------------------------------------------------------------


def test_nothing_of_another_child_is_read(root):
    """Her labels are damaged, her card too: that is no reason not to learn from his."""
    label(first(root), 0, CODER_ENDS_S)
    (other,) = sessions_of("P018", root)
    label(other, 2, [10.0])
    before = of(root)
    other.labels.write_bytes(b"no database" * 100)
    (other.path / CARD_NAME).write_text("{")
    shutil.rmtree(other.bag)
    after = of(root)
    np.testing.assert_array_equal(before.windows.labels, after.windows.labels)
    np.testing.assert_array_equal(before.ends_ns, after.ends_ns)


def test_a_session_that_was_named_must_be_of_this_child(root):
    mine, (other,) = first(root), sessions_of("P018", root)
    assert sessions_of("P017", root, [mine.name]) == [mine]
    with pytest.raises(SessionError, match=f"{other.name} is a session of P018, not of P017"):
        sessions_of("P017", root, [mine.name, other.name])
    with pytest.raises(SessionError, match="'yesterday' is no session; there are"):
        sessions_of("P017", root, ["yesterday"])


def test_a_damaged_card_of_the_child_is_not_passed_over(root):
    (first(root).path / CARD_NAME).write_text("{")
    with pytest.raises(SessionError, match=CARD_NAME):
        sessions_of("P017", root)


def test_who_was_never_recorded(root, tmp_path):
    with pytest.raises(SessionError, match=r"nothing of P07 was recorded in .*did you mean 'P017'"):
        sessions_of("P07", root)
    with pytest.raises(SessionError, match="there is no session in it yet"):
        sessions_of("P017", tmp_path / "nowhere")
    with pytest.raises(SessionError, match="'Anna Berg' is no code"):
        sessions_of("Anna Berg", root)


def test_features_that_the_model_does_not_hear_are_refused(root):
    label(first(root), 0, CODER_ENDS_S)
    other = FEATURE_SETS | {Modality.AUDIO: "spectral"}
    with pytest.raises(SessionError, match=r"audio features 'opensmile-egemaps', the model hears 'spectral'.*--from"):
        labelled_windows(sessions_of("P017", root), other, RULE, "P017")
    deaf = {m: name for m, name in FEATURE_SETS.items() if m is not Modality.AUDIO}
    found = labelled_windows(sessions_of("P017", root), deaf, RULE, "P017")
    assert set(found.windows.features) == set(deaf), "what the model has no ear for is left out"
