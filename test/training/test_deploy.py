"""A child's labels become a model of its own, which is live only if it is better, and never costs what was there."""

from __future__ import annotations

import fcntl
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.datatypes import Modality
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.model_card import ModelError, read_card, write_card
from mmal_ros.model_versions import current, rollback, use, versions
from mmal_ros.models import load_model_set
from mmal_ros.paths import find_model
from mmal_ros.session.agreement import AgreementRule
from mmal_ros.session.card import SessionError
from mmal_ros.session.deletion import delete, doomed_session
from mmal_ros.session.records import LabelValue
from mmal_ros.training.metrics import NO_ANSWER
from mmal_ros.training.person import deploy as deploy_module
from mmal_ros.training.person.acceptance import Verdict
from mmal_ros.training.person.deploy import Deployed, Request, deploy
from mmal_ros.training.person.personalise import PRODUCT
from mmal_ros.training.sessions import FEATURE_SETS
from rigs.labelled_sessions import label, write_group, write_session

QUICK = replace(PRODUCT, epochs=2, trees=20)
EVERY_8_S = np.arange(3.0, 118, 8)
"""15 labels in two minutes."""


@pytest.fixture(scope="module")
def group(tmp_path_factory) -> Path:
    return write_group(tmp_path_factory.mktemp("groups") / "clinic" / "1")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Two sessions of one child; of the first, a window is labelled every eight seconds."""
    root = tmp_path_factory.mktemp("recorded")
    label(write_session(root, "P017", 0), 0, EVERY_8_S)
    write_session(root, "P017", 1)
    return root


@pytest.fixture
def request_(recorded, group, tmp_path, monkeypatch) -> Request:
    """What the therapist asks for."""
    monkeypatch.setattr(deploy_module, "PRODUCT", QUICK)
    shutil.copytree(recorded, tmp_path / "sessions")
    return Request("P017", tmp_path / "sessions", tmp_path / "models", group=str(group))


def second_session(request: Request):
    (later,) = (path for path in request.sessions_root.iterdir() if path.name.startswith("2026-11-21"))
    return deploy_module.sessions_of("P017", request.sessions_root, [later.name])[0]


@pytest.fixture(scope="module")
def deployed(recorded, group, tmp_path_factory) -> tuple[Path, Deployed]:
    """The child's models after the first session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy_module, "PRODUCT", QUICK)
        root = tmp_path_factory.mktemp("deployed")
        return root, deploy(Request("P017", recorded, root, group=str(group)))


@pytest.fixture
def first(deployed, request_) -> Deployed:
    """She was personalised before."""
    shutil.copytree(deployed[0], request_.models_root)
    return deployed[1]


# --- live if it is better ----------------------------------------------------------------------------------------


def test_what_is_better_is_live_and_its_card_says_why(request_, group):
    told = []
    found = deploy(request_, lambda *step: told.append(step))
    folder = request_.folder
    assert (found.version, found.current, found.switched, found.labels) == ("1", "1", True, 15)
    assert found.verdict.accepted
    assert found.verdict.after > found.verdict.before
    assert [(v.name, v.current, v.accepted) for v in versions(folder)] == [("clinic-1", False, None), ("1", True, True)]

    models = load_model_set(folder)
    card = models.card
    assert (card.identity, card.parent, card.accepted) == ("P017/1", "clinic/1", True)
    assert card.training["labels"] == 15
    assert sum(card.training["labels_by_level"].values()) == 15
    assert card.training["sessions"] == list(found.sessions)
    assert card.training["coders"] == ["C1"]
    assert card.training["compared_with"] == "clinic/1"
    assert "torch" in card.training["software"]
    verdict = found.verdict
    assert card.metrics["after"] == round(verdict.after, 3)
    assert card.metrics["before"] == round(verdict.before, 3)
    assert card.metrics["constant"] == round(verdict.constant, 3)
    assert card.purpose.startswith("Engagement of P017 and nobody else.")
    assert models.personal is not None
    assert EngagementEstimator(models).models is models
    assert [done for done, *_ in told] == list(range(len(told)))
    assert {of for _, of, _ in told} == {told[-1][0]}


def test_nobody_else_on_this_computer_can_read_it(request_, first):
    folder = request_.folder
    assert {path.stat().st_mode & 0o777 for path in (folder.parent, folder, folder / "1", folder / "clinic-1")} == {
        0o700
    }
    assert {path.stat().st_mode & 0o777 for v in ("1", "clinic-1") for path in (folder / v).iterdir()} == {0o600}


def test_what_is_not_better_is_written_but_not_live(request_, monkeypatch):
    """The model in use happens to be right always."""
    monkeypatch.setattr(deploy_module, "_levels", lambda models, windows, recorded: windows.labels)
    found = deploy(request_)
    assert (found.version, found.current, found.switched) == ("1", "clinic-1", False)
    assert found.verdict.reason.startswith("not better")
    assert read_card(request_.folder / "1").accepted is False
    assert load_model_set(request_.folder).card.identity == "clinic/1", "who runs the child's model runs the group's"
    use(request_.folder, "1")
    assert current(request_.folder) == "1"


def test_somebody_may_decide_herself(request_):
    found = deploy(replace(request_, switch=False))
    assert found.verdict.accepted
    assert (found.switched, found.current) == (False, "clinic-1")


def test_back_again_and_again_ends_at_the_group(request_, first):
    label(second_session(request_), 1, EVERY_8_S)
    deploy(request_)
    use(request_.folder, "2")
    assert [rollback(request_.folder), rollback(request_.folder)] == ["1", "clinic-1"]


# --- compared on what neither has seen ---------------------------------------------------------------------------


def test_labels_that_the_model_in_use_knows_by_heart_prove_nothing(request_, first):
    """Asked again without new labels: nothing can be compared, and nothing changes."""
    again = deploy(request_)
    assert again.verdict.reason == "0 labels that were not learned from before; 8 are needed to compare"
    assert (again.version, again.current) == ("2", "1")
    assert read_card(request_.folder / "2").accepted is None
    assert read_card(request_.folder / "2").metrics["after"] is None


def test_labels_that_the_group_has_learned_from_prove_nothing_either(request_, group, tmp_path):
    """Trained on all children of the clinic, this one too; labels within the gap of those are as good as known."""
    shutil.copytree(group, tmp_path / "all" / "1")
    card = read_card(tmp_path / "all" / "1")
    session = deploy_module.sessions_of("P017", request_.sessions_root)[0]
    start_ns = session.card().start_ns
    learned = [start_ns + round((end_s + 0.2) * 1e9) for end_s in EVERY_8_S[:10]]
    card.training["learned_from"] = {session.name: learned, "2026-11-20_P018_01": [start_ns]}
    write_card(tmp_path / "all" / "1", card)
    found = deploy(replace(request_, group=str(tmp_path / "all" / "1")))
    assert found.verdict.reason == "5 labels that were not learned from before; 8 are needed to compare"
    assert (found.switched, found.current) == (False, found.current)


def test_after_the_next_session_its_labels_decide(request_, first):
    label(second_session(request_), 1, EVERY_8_S)
    found = deploy(request_)
    assert found.labels == 30
    assert found.verdict.labels == 15
    card = read_card(request_.folder / "2")
    assert (card.training["compared_with"], card.parent) == ("P017/1", "clinic/1")
    assert [len(ends) for ends in card.training["learned_from"].values()] == [15, 15]


def test_the_model_in_use_is_asked_about_these_very_windows(request_, monkeypatch):
    """What stands for the model in use is what its files say of the labelled windows."""
    seen = []

    def spy(group, windows, labelled, in_use, *rest) -> Verdict:
        seen.append((windows, labelled, in_use))
        return Verdict(False, "for the test", np.nan, np.nan, np.nan, 0)

    monkeypatch.setattr(deploy_module, "judge", spy)
    deploy(request_)
    windows, labelled, in_use = seen[0]
    expected = deploy_module.estimates_of(load_model_set(request_.folder / "clinic-1"), windows)
    assert in_use.tolist() == [int(expected[row].level) for row in labelled]


def test_what_the_model_in_use_hears_and_nobody_recorded_is_missing_to_it_as_it_would_be_live(request_, group):
    """The same number of features does not make them the same."""
    found = deploy_module.labelled_windows(
        deploy_module.sessions_of("P017", request_.sessions_root), FEATURE_SETS, AgreementRule(), "P017"
    )
    windows, models = found.windows.take(found.labelled), load_model_set(group)
    mute = dict(windows.mask) | {Modality.AUDIO: np.zeros_like(windows.mask[Modality.AUDIO])}
    expected = [int(estimate.level) for estimate in deploy_module.estimates_of(models, replace(windows, mask=mute))]
    assert deploy_module._levels(models, windows, {**FEATURE_SETS, Modality.AUDIO: "spectral"}).tolist() == expected
    less = {m: values for m, values in windows.features.items() if m is not Modality.AUDIO}
    silent = replace(windows, features=less, mask={m: windows.mask[m] for m in less})
    recorded = {m: name for m, name in FEATURE_SETS.items() if m is not Modality.AUDIO}
    assert deploy_module._levels(models, silent, recorded).tolist() == expected
    assert set(deploy_module._levels(models, windows, {}).tolist()) == {NO_ANSWER}


def test_the_verdict_says_what_the_model_in_use_could_not_hear(request_, monkeypatch):
    monkeypatch.setattr(deploy_module, "_missing_to", lambda models, recorded: [Modality.AUDIO])
    reason = deploy(request_).verdict.reason
    assert reason.endswith("; it was asked without audio, of which the new one hears other features or none")


def test_a_model_in_use_that_was_not_asked_lacked_nothing(request_, first, monkeypatch):
    monkeypatch.setattr(deploy_module, "_missing_to", lambda models, recorded: [Modality.AUDIO])
    assert deploy(request_).verdict.reason.endswith("8 are needed to compare")


def test_what_was_made_live_meanwhile_stays(request_, first, monkeypatch):
    """Somebody goes back while it learns: the new one was not compared with what is live then."""
    label(second_session(request_), 1, EVERY_8_S)
    real = deploy_module.personalise

    def meanwhile(*arguments, **options):
        rollback(request_.folder)
        return real(*arguments, **options)

    monkeypatch.setattr(deploy_module, "personalise", meanwhile)
    monkeypatch.setattr(deploy_module, "_levels", lambda models, windows, recorded: np.full(len(windows), NO_ANSWER))
    found = deploy(request_)
    assert found.verdict.accepted
    assert (found.version, found.switched, found.current) == ("2", False, "clinic-1")


# --- where it starts ---------------------------------------------------------------------------------------------


def test_the_next_time_it_starts_from_the_same_group(request_, first):
    deploy(replace(request_, group=None))
    assert read_card(request_.folder / "2").parent == "clinic/1"


def test_at_first_it_starts_from_what_comes_along(request_):
    found = deploy(replace(request_, group=None))
    assert read_card(request_.folder / found.version).parent == load_model_set(find_model("demo")).card.identity


def test_a_person_s_set_is_nothing_to_start_from(request_, first):
    with pytest.raises(ModelError, match="nothing that a person's own model could be made from"):
        deploy(replace(request_, group=str(request_.folder / "1")))


def test_another_group_of_the_same_name_and_version_is_not_mixed_up(request_, first, tmp_path):
    other = tmp_path / "clinic" / "1"
    shutil.copytree(request_.folder / "clinic-1", other)
    card = (other / "model.json").read_text()
    (other / "model.json").write_text(card.replace("For tests only.", "Another one."))
    with pytest.raises(ModelError, match="a version never changes"):
        deploy(replace(request_, group=str(other)))


def test_the_same_labels_and_seed_give_the_same_files(request_, tmp_path):
    folders = []
    for name in ("one", "other"):
        asked = replace(request_, models_root=tmp_path / name)
        deploy(asked)
        folders.append(asked.folder / "1")
    files = [{path.name: path.read_bytes() for path in folder.glob("*.onnx")} for folder in folders]
    assert len(files[0]) == 5
    assert files[0] == files[1]


# --- what cannot be learned from ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends_s", "value", "why"),
    [
        ([], None, "nobody labelled a window"),
        ([10.0], None, "1 label counts for P018 so far, 8 are needed; label more with `mmal review`"),
        (EVERY_8_S[:7], None, "7 labels count for P018 so far, 8 are needed"),
        (EVERY_8_S, LabelValue.HIGH, "all 15 labels of P018 are 'high'; at least two levels are needed"),
        (EVERY_8_S, LabelValue.CANNOT_TELL, "nobody labelled a window low, medium or high"),
    ],
)
def test_too_little_to_learn_from_leaves_nothing_behind(request_, ends_s, value, why):
    label(write_session(request_.sessions_root, "P018", 2), 2, ends_s, value=value)
    with pytest.raises(SessionError, match=why):
        deploy(replace(request_, participant="P018"))
    assert not request_.models_root.exists()


def test_who_was_deleted_while_her_sessions_were_read_leaves_not_even_a_folder(request_):
    """Its name would be her code."""
    read, _ = deploy_module.sessions_of("P017", request_.sessions_root)

    def meanwhile(done: int, of: int, what: str) -> None:
        if done == 1:
            delete([doomed_session(read)])

    with pytest.raises(SessionError, match=f"{read.name} was deleted meanwhile, so no model was made"):
        deploy(request_, meanwhile)
    assert list(request_.models_root.iterdir()) == []


def test_what_she_had_stays_when_there_is_no_new_one(request_, first):
    before = sorted(request_.folder.rglob("*"))
    read, _ = deploy_module.sessions_of("P017", request_.sessions_root)
    with pytest.raises(SessionError, match="was deleted meanwhile"):
        deploy(request_, lambda done, of, what: delete([doomed_session(read)]) if done == 1 else None)
    assert sorted(request_.folder.rglob("*")) == before


def test_two_at_once_do_not_write_over_one_another(request_, first):
    with (request_.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ModelError, match="P017 is being personalised already"):
            deploy(request_)
    assert deploy(request_).version == "2"
