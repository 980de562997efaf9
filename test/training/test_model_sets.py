"""What was trained is what the live graph loads, and it says live what it said in training."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
import onnx
import pytest
import torch

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Level, Modality
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.features.names import SIZES
from mmal_ros.features.physiology import PhysiologyExtractor
from mmal_ros.model_card import OPSET, ModelError, read_card, sha256
from mmal_ros.models import load_model_set
from mmal_ros.pipeline import frames_of_samples
from mmal_ros.selector import MMQL, P_RIGHT, StateForm
from mmal_ros.sensors.e4_folder import E4Folder
from mmal_ros.training.data.cohort import simulated_person
from mmal_ros.training.export import checked
from mmal_ros.training.export.checked import ExportError
from mmal_ros.training.export.model_sets import About, of_group, of_person, write_model_set
from mmal_ros.training.export.second_opinion import export_second_opinion, largest_trees_difference
from mmal_ros.training.group.models import GroupSettings, fit_group
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.personalise import OWN_DATA_ONLY, PRODUCT, group_only, personalise
from mmal_ros.training.policy.q_functions import QForm, QNetwork
from mmal_ros.training.sessions import FEATURE_SETS as CHOSEN_SETS
from mmal_ros.window_columns import WindowColumns
from mmal_ros.window_stream import WindowStream
from mmal_ros.windowing import copy_of

ABOUT = About("For tests only.", CHOSEN_SETS, {"data": "simulated"}, {"constant": 0.3})
SETTINGS = GroupSettings(windows_per_person=60, folds=1)
REAL_S, START_NS = 40, 1_600_000_000 * NANOSECONDS_PER_SECOND


@pytest.fixture(scope="module")
def group():
    return fit_group([simulated_person(code, 0, 0.05) for code in ("C01", "C02", "C03")], SETTINGS, seed=0, fused=True)


@pytest.fixture(scope="module")
def person():
    """Somebody who is seen on all three levels, and now and then not by the camera."""
    return simulated_person("T07", 0, 0.05)


@pytest.fixture(scope="module")
def personalised(group, person):
    """Two runs, from other labels each."""
    random = np.random.default_rng(0)
    return personalise(group, person, [random.permutation(len(person))[:20] for _ in range(2)], PRODUCT, seed=0)


def columns(person):
    """The person's windows as the live graph has them."""
    count = len(person)
    return WindowColumns(
        id=range(count),
        end_ns=[START_NS] * count,
        features=person.features,
        mask=person.mask,
        coverage={m: mask.mean(axis=1).tolist() for m, mask in person.mask.items()},
        newest_ns={m: [START_NS if row.any() else None for row in mask] for m, mask in person.mask.items()},
        frames_seen={m: [10] * count for m in person.mask},
    )


def check_live_says_what_training_says(models, opinions, windows, run):
    """Every level and every probability."""
    heard = opinions.heard.any(axis=1)
    for row, estimate in enumerate(EngagementEstimator(models).estimate_columns(columns(windows))):
        by_modality = np.stack([estimate.by_modality[m] for m in Modality])
        np.testing.assert_allclose(by_modality, opinions.probabilities[run, row], atol=1e-4)
        assert (estimate.level is not None) == heard[row]
        if heard[row]:
            assert estimate.level == opinions.levels[run, row]


# --- a person's own ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [0, 1])
def test_a_person_s_set_says_live_what_it_said_in_training(tmp_path, personalised, person, run):
    models = write_model_set(tmp_path / "P017" / "2", of_person(personalised, run), ABOUT)
    opinions = personalised.opinions(person)
    assert not opinions.heard.all(), "somebody is not seen now and then, or this proves little"
    assert len(np.unique(opinions.levels[run])) == 3
    check_live_says_what_training_says(models, opinions, person, run)
    second = models.personal.batch(person.features, person.mask)
    np.testing.assert_allclose(second, opinions.second[run], atol=1e-5)


def test_real_minutes_with_a_wristband_say_live_what_they_said_in_training(tmp_path, shared_data):
    """Windows of the live graph; the labels are made up, the halves of the time."""
    feature_sets = {Modality.PHYSIOLOGY: "e4"}
    people = [worn(shared_data / "stress-predict" / f"{code}.tar.gz", feature_sets) for code in ("S05", "S10")]
    group = fit_group(people[:1], SETTINGS, seed=0)
    personalised = personalise(group, people[1], [np.arange(0, len(people[1]), 30)], PRODUCT, seed=0)
    about = About("For tests only.", feature_sets, {})
    models = write_model_set(tmp_path / "S10" / "1", of_person(personalised), about)
    check_live_says_what_training_says(models, personalised.opinions(people[1]), people[1], 0)


def worn(export, feature_sets):
    with E4Folder(export, START_NS) as source:
        frames = frames_of_samples([(source, PhysiologyExtractor())])
        first_s = takewhile(lambda known: known[0] < START_NS + REAL_S * NANOSECONDS_PER_SECOND, frames)
        windows = [copy_of(window) for window in WindowStream(feature_sets).replay(first_s, START_NS)]
    return PersonWindows(
        export.name,
        {m: np.stack([window.features[m] for window in windows]) for m in feature_sets},
        {m: np.stack([window.mask[m] for window in windows]) for m in feature_sets},
        np.arange(len(windows)) * 2 // len(windows),
        np.array([(window.end_ns - START_NS) / NANOSECONDS_PER_SECOND for window in windows]),
        np.zeros(len(windows), np.int64),
    )


def test_the_card_says_where_a_person_s_set_is_from(tmp_path, group, personalised):
    parent = write_model_set(tmp_path / "group" / "1", of_group(group), ABOUT)
    about = About("For P017 only.", CHOSEN_SETS, {"labels": 20}, {"accuracy": 0.7, "constant": 0.4}, parent)
    folder = tmp_path / "P017" / "3"
    card = write_model_set(folder, of_person(personalised), about).card
    assert card == read_card(folder)
    assert (card.identity, card.parent) == ("P017/3", "group/1")
    assert (card.training, card.metrics) == ({"labels": 20}, {"accuracy": 0.7, "constant": 0.4})
    assert card.feature_sets == CHOSEN_SETS
    assert card.personal.share == PRODUCT.trees_share
    assert {part.file: part.sha256 for part in card.parts} == {p.name: sha256(p) for p in folder.glob("*.onnx")}
    assert card.modalities[Modality.FACE].mean == personalised.scale.mean[Modality.FACE].tolist()


def test_without_trees_there_is_no_second_opinion(tmp_path, group, person):
    unlabelled = group_only(group, person)
    models = write_model_set(tmp_path / "P017" / "1", of_person(unlabelled), ABOUT)
    assert models.personal is None
    assert not (models.folder / "personal.onnx").exists()
    check_live_says_what_training_says(models, unlabelled.opinions(person), person, 0)


def test_what_nobody_of_the_group_was_heard_in_is_not_asked_about(tmp_path, person):
    """No training person wore the wristband; this one does."""
    people = [simulated_person(code, 0, 0.05) for code in ("C01", "C02")]
    for other in people:
        for part in (other.features, other.mask):
            part[Modality.PHYSIOLOGY] *= 0
    own = personalise(fit_group(people, SETTINGS, seed=0), person, [np.arange(10)], PRODUCT, seed=0)
    models = write_model_set(tmp_path / "P017" / "1", of_person(own), ABOUT)
    assert Modality.PHYSIOLOGY not in models.classifiers
    check_live_says_what_training_says(models, own.opinions(person), person, 0)


# --- a group's ---------------------------------------------------------------------------------------------------


def test_a_group_s_set_sees_people_by_the_scale_of_the_training_people(tmp_path, group):
    models = write_model_set(tmp_path / "group" / "1", of_group(group), ABOUT)
    random = np.random.default_rng(0)
    for modality, classifier in models.classifiers.items():
        noise = 4 * random.standard_normal((20, 10, SIZES[modality])).astype(np.float32)  # some is clipped
        mask = (random.random((20, 10)) < 0.8).astype(np.float32)
        mean, deviation = group.scale.mean[modality], group.scale.deviation[modality]
        with torch.no_grad():
            standardised = torch.from_numpy(noise * mask[..., None])
            expected = group.networks[modality](standardised, torch.from_numpy(mask)).numpy()
        np.testing.assert_allclose(classifier.batch(mean + deviation * noise, mask), expected, atol=1e-4)


def test_policies_come_along_and_are_inherited(tmp_path, group, personalised):
    torch.manual_seed(0)
    policy = QNetwork(20, QForm.MLP)
    parent = write_model_set(tmp_path / "group" / "1", of_group(group, policy), ABOUT)
    assert parent.trained.keys() == {MMQL}
    about = About("For P017 only.", CHOSEN_SETS, {}, parent=parent)
    child = write_model_set(tmp_path / "P017" / "1", of_person(personalised), about)
    assert child.card.selector == parent.card.selector
    assert child.trained[MMQL].form is StateForm.PRODUCT
    assert P_RIGHT not in child.trained


# --- all or nothing ----------------------------------------------------------------------------------------------


def test_a_version_is_not_written_over_unless_somebody_wants_it(tmp_path, group):
    folder = tmp_path / "group" / "1"
    write_model_set(folder, of_group(group), ABOUT)
    before = read_card(folder)
    with pytest.raises(ModelError, match="not written over"):
        write_model_set(folder, of_group(group), About("Another.", CHOSEN_SETS, {}))
    assert read_card(folder) == before
    write_model_set(folder, of_group(group), About("Another.", CHOSEN_SETS, {}), again=True)
    assert read_card(folder).purpose == "Another."
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("wrong", [{Modality.FACE: "e4"}, {Modality.FACE: "mediapipe-fcae"}, {}])
def test_features_that_do_not_fit_leave_nothing_behind(tmp_path, group, wrong):
    sets = CHOSEN_SETS | wrong if wrong else {}
    with pytest.raises(ModelError, match="feature set of face"):
        write_model_set(tmp_path / "group" / "1", of_group(group), About("", sets, {}))
    assert list((tmp_path / "group").iterdir()) == []


def test_what_a_killed_run_left_is_no_hindrance(tmp_path, group):
    left = tmp_path / "group" / ".1.new"
    left.mkdir(parents=True)
    (left / "face.onnx").write_bytes(b"half a")
    write_model_set(tmp_path / "group" / "1", of_group(group), ABOUT)
    assert [path.name for path in (tmp_path / "group").iterdir()] == ["1"]
    assert load_model_set(tmp_path / "group" / "1").folder.name == "1"


# --- the trees ---------------------------------------------------------------------------------------------------


def test_the_file_of_the_trees_has_the_agreed_names_shapes_and_opset(tmp_path, personalised):
    path = tmp_path / "personal.onnx"
    export_second_opinion(personalised.trees[0], path)
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == OPSET
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim][1:]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"vector": [sum(SIZES.values())], "probabilities": [3]}
    assert largest_trees_difference(personalised.trees[0], path) < 1e-5


@pytest.mark.parametrize("labelled", [{Level.MEDIUM}, {Level.LOW, Level.HIGH}])
def test_a_level_that_was_never_labelled_has_probability_0(tmp_path, group, person, labelled):
    rows = np.flatnonzero(np.isin(person.labels, list(labelled)))[:10]
    own = personalise(group, person, [rows], OWN_DATA_ONLY, seed=0)
    models = write_model_set(tmp_path / "P017" / "1", of_person(own), ABOUT)
    found = models.personal.batch(person.features, person.mask)
    assert (found[:, [level for level in Level if level not in labelled]] == 0).all()
    np.testing.assert_allclose(found, own.opinions(person).second[0], atol=1e-5)


def test_trees_that_do_not_compute_what_was_grown_are_not_written(tmp_path, personalised, monkeypatch):
    monkeypatch.setattr(checked, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="differ"):
        export_second_opinion(personalised.trees[0], tmp_path / "personal.onnx")
    assert list(tmp_path.iterdir()) == []
