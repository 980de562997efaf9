"""A group's weights in a model set are those that were trained, and nothing but arrays."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from mmal_ros.datatypes import Modality
from mmal_ros.model_card import ModelError, read_card, sha256, write_card
from mmal_ros.models import load_model_set
from mmal_ros.training.data.cohort import simulated_person
from mmal_ros.training.export.groups import read_group
from mmal_ros.training.export.model_sets import About, of_group, of_person, write_model_set
from mmal_ros.training.group.models import GroupSettings, fit_group
from mmal_ros.training.person.personalise import PRODUCT, personalise
from mmal_ros.training.sessions import FEATURE_SETS

ABOUT = About("For tests only.", FEATURE_SETS, {})


@pytest.fixture(scope="module")
def group():
    people = [simulated_person(code, 0, 0.05) for code in ("C01", "C02")]
    return fit_group(people, GroupSettings(windows_per_person=40, folds=2), seed=0)


@pytest.fixture
def models(group, tmp_path):
    return write_model_set(tmp_path / "clinic" / "1", of_group(group, centred=group), ABOUT)


def test_who_is_personalised_from_a_file_is_personalised_from_the_group(group, models):
    """Every weight, the temperatures, the scale, the persistence: opinions are the same bit by bit."""
    found = read_group(load_model_set(models.folder))
    assert (found.centred, found.persistence_s) == (group.centred, group.persistence_s)
    for name, network in group.networks.items():
        for part, values in network.state_dict().items():
            assert torch.equal(found.networks[name].state_dict()[part], values)
    for modality in Modality:
        np.testing.assert_array_equal(found.scale.mean[modality], group.scale.mean[modality])
        np.testing.assert_array_equal(found.scale.deviation[modality], group.scale.deviation[modality])
    person, rows = simulated_person("T07", 0, 0.05), [np.arange(0, 60, 6)]
    told = [personalise(known, person, rows, PRODUCT, 0).opinions(person) for known in (group, found)]
    np.testing.assert_array_equal(told[0].probabilities, told[1].probabilities)
    np.testing.assert_array_equal(told[0].second, told[1].second)


def test_the_same_group_gives_the_same_bytes(group, models, tmp_path):
    again = write_model_set(tmp_path / "clinic" / "2", of_group(group, centred=group), ABOUT)
    assert (again.folder / "group.npz").read_bytes() == (models.folder / "group.npz").read_bytes()


def test_a_person_s_set_is_nobody_s_group(group, tmp_path):
    person = simulated_person("T07", 0, 0.05)
    own = of_person(personalise(group, person, [np.arange(10)], PRODUCT, seed=0))
    models = write_model_set(tmp_path / "P017" / "1", own, ABOUT)
    assert models.card.group is None
    with pytest.raises(ModelError, match=r"nothing that a person's own model could be made from.*mmal train"):
        read_group(models)


def test_weights_that_were_changed_are_refused_with_the_set(models):
    (models.folder / "group.npz").write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"group\.npz is not the file that the card describes"):
        load_model_set(models.folder)


def _not_a_zip(path):
    path.write_bytes(b"something else")


def _objects(path):
    np.savez(path, **{"face/output.bias": np.array([{"a": 1}], dtype=object)})


def _one_missing(path):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays.pop("face/output.bias")
    np.savez(path, **arrays)


def _other_size(path):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["face/output.bias"] = np.zeros(2, np.float32)
    np.savez(path, **arrays)


@pytest.mark.parametrize("damage", [_not_a_zip, _objects, _one_missing, _other_size], ids=lambda f: f.__name__)
def test_what_is_no_group_is_one_sentence(models, damage):
    """The card describes the file, but the file is not what is needed; nothing in it is ever run."""
    path = models.folder / "group.npz"
    damage(path)
    card = read_card(models.folder)
    card.group.sha256 = sha256(path)
    write_card(models.folder, card)
    with pytest.raises(ModelError, match=r"group\.npz does not hold the weights of this set"):
        read_group(load_model_set(models.folder))


def test_the_file_is_arrays_only(models):
    with zipfile.ZipFile(models.folder / "group.npz") as file:
        assert all(name.endswith(".npy") for name in file.namelist())
    with np.load(models.folder / "group.npz", allow_pickle=False) as file:
        assert all(file[name].dtype.kind == "f" for name in file.files)
