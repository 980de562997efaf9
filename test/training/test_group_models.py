"""What the group knows of a new person is learned from others, and honestly judged on others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from mmal_ros.datatypes import Modality
from mmal_ros.training.group import store as group_store
from mmal_ros.training.group.models import GroupModel, GroupSettings, fit_group
from mmal_ros.training.group.store import stored_group
from mmal_ros.training.group.windows import FEATURE_FUSION, heard_modalities, joined
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.personalise import group_only
from rigs.made_people import deaf_to, person

FACE, PHYSIOLOGY = Modality.FACE, Modality.PHYSIOLOGY
SETTINGS = GroupSettings(windows_per_person=40, replayed=30, folds=3)
CODES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def people() -> list[PersonWindows]:
    return [person(code, seed) for seed, code in enumerate(CODES)]


@pytest.fixture(scope="module")
def group(people: list[PersonWindows]) -> GroupModel:
    return fit_group(people, SETTINGS, seed=0, fused=True)


def assert_same_bits(one: GroupModel, other: GroupModel) -> None:
    assert list(one.networks) == list(other.networks)
    for name, network in one.networks.items():
        for key, values in network.state_dict().items():
            assert torch.equal(values, other.networks[name].state_dict()[key]), (name, key)
    for mine, others in zip(one.held_out, other.held_out, strict=True):
        assert mine.code == others.code
        for field in ("probabilities", "heard", "vectors", "labels"):
            np.testing.assert_array_equal(getattr(mine, field), getattr(others, field))
    for modality, values in one.replayed.features.items():
        np.testing.assert_array_equal(values, other.replayed.features[modality])
        np.testing.assert_array_equal(one.replayed.mask[modality], other.replayed.mask[modality])
        np.testing.assert_array_equal(one.scale.mean[modality], other.scale.mean[modality])
        np.testing.assert_array_equal(one.scale.deviation[modality], other.scale.deviation[modality])
    for field in ("labels", "times_s", "blocks"):
        np.testing.assert_array_equal(getattr(one.replayed, field), getattr(other.replayed, field))
    assert (one.persistence_s, one.centred, one.replayed.code) == (
        other.persistence_s,
        other.centred,
        other.replayed.code,
    )


def marked(number: int, of: int, count: int = 300) -> PersonWindows:
    """Somebody whose label stands in three features of her own; to all others these are noise."""
    random = np.random.default_rng(number)
    labels = random.integers(3, size=count)
    values = random.normal(size=(count, 1, 3 * of))
    values[:, 0, 3 * number : 3 * number + 3] += 6 * np.eye(3)[labels]
    mask = np.ones((count, 1), np.float32)
    return PersonWindows(
        f"P{number}", {FACE: values.astype(np.float32)}, {FACE: mask}, labels, np.arange(count) * 1.0, labels * 0
    )


def test_who_is_held_out_was_really_not_seen() -> None:
    """What only her own labels could have taught is known to the group's networks and not to those that score her."""
    people = [marked(number, of=4) for number in range(4)]
    group = fit_group(people, GroupSettings(windows_per_person=300, folds=2), seed=0)
    assert sorted(scored.code for scored in group.held_out) == [f"P{number}" for number in range(4)]
    for scored in group.held_out:
        who = people[int(scored.code[1:])]
        np.testing.assert_array_equal(scored.labels, who.labels)
        unseen = (scored.probabilities[:, 0].argmax(axis=1) == who.labels).mean()
        seen = (group_only(group, who).opinions(who).probabilities[0, :, 0].argmax(axis=1) == who.labels).mean()
        assert unseen < 0.45
        assert seen > unseen + 0.2


def test_centred_a_person_may_be_louder_than_all_others(people: list[PersonWindows]) -> None:
    """Another offset and scale of all her features change nothing; standardised by the group, they do."""
    loud = person("d", 3)
    for modality in loud.features:
        loud.features[modality][:] = (50 + 3 * loud.features[modality]) * loud.mask[modality][..., None]
    for centred in (True, False):
        group = fit_group(people[:3], replace(SETTINGS, centred=centred), seed=0)
        said = [group_only(group, who).opinions(who).probabilities for who in (people[3], loud)]
        assert np.allclose(*said, atol=1e-3) == centred
        assert (group.scale_of(loud) is group.scale) != centred


def test_centred_the_group_is_taught_by_what_changes_within_a_person(people: list[PersonWindows]) -> None:
    loud = person("a", 0)
    for modality in loud.features:
        loud.features[modality][:] = (50 + 3 * loud.features[modality]) * loud.mask[modality][..., None]
    one, other = (fit_group([who, *people[1:3]], SETTINGS, seed=0) for who in (people[0], loud))
    for mine, others in zip(one.held_out, other.held_out, strict=True):
        np.testing.assert_allclose(mine.probabilities, others.probabilities, atol=5e-3)
        np.testing.assert_allclose(mine.vectors, others.vectors, atol=1e-3)


def test_the_temperature_makes_the_labels_of_held_out_people_likeliest(group: GroupModel) -> None:
    """Hotter or colder, they are less likely (Guo et al. 2017)."""
    for column in (0, 2):
        heard = np.concatenate([scored.heard[:, column] for scored in group.held_out])
        logarithms = np.log(np.concatenate([scored.probabilities[:, column] for scored in group.held_out])[heard])
        labels = torch.from_numpy(np.concatenate([scored.labels for scored in group.held_out])[heard])

        scores = torch.from_numpy(logarithms)
        colder, same, hotter = (float(cross_entropy(scores * factor, labels)) for factor in (1.1, 1.0, 0.9))
        assert same < min(colder, hotter)


def test_without_folds_nobody_is_held_out_and_nothing_calibrated(people: list[PersonWindows]) -> None:
    group = fit_group(people, replace(SETTINGS, folds=1), seed=0)
    assert group.held_out == ()
    assert all(network.temperature == 1 for network in group.networks.values())


def test_where_a_modality_is_not_heard_it_says_nothing(group: GroupModel, people: list[PersonWindows]) -> None:
    scored = next(scored for scored in group.held_out if scored.code == "a")
    thinned = np.linspace(0, len(people[0]) - 1, 40).astype(int)
    for column, modality in ((0, FACE), (2, PHYSIOLOGY)):
        np.testing.assert_array_equal(scored.heard[:, column], people[0].heard(modality)[thinned])
    assert 0 < scored.heard[:, 0].sum() < 40
    assert not scored.heard[:, [1, 3]].any()
    np.testing.assert_allclose(scored.probabilities[~scored.heard], 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(scored.probabilities.sum(axis=2), 1, rtol=1e-5)


def test_a_modality_that_nobody_is_heard_in_gets_no_classifier(people: list[PersonWindows]) -> None:
    group = fit_group([deaf_to(who, PHYSIOLOGY) for who in people[:2]], SETTINGS, seed=0, fused=True)
    assert set(group.networks) == {FACE, FEATURE_FUSION}
    opinions = group_only(group, people[2]).opinions(people[2])
    assert not opinions.heard[:, 2].any()
    assert np.isfinite(opinions.probabilities).all()


def test_who_alone_is_heard_in_a_modality_is_no_riddle_to_herself(people: list[PersonWindows]) -> None:
    """Nobody else could teach it: the networks that score her do not know."""
    group = fit_group([people[0], *(deaf_to(who, PHYSIOLOGY) for who in people[1:3])], SETTINGS, seed=0)
    alone = next(scored for scored in group.held_out if scored.code == "a")
    assert alone.heard[:, 2].any()
    np.testing.assert_allclose(alone.probabilities[:, 2], 1 / 3, rtol=1e-6)


def test_a_single_training_person_is_held_out_half_by_half(people: list[PersonWindows]) -> None:
    """A set of two people leaves one when the other is tested."""
    group = fit_group(people[:1], SETTINGS, seed=0)
    assert [scored.code for scored in group.held_out] == ["a", "a"]
    assert [len(scored.labels) for scored in group.held_out] == [20, 20]


def test_people_without_a_doubt_are_no_trouble() -> None:
    """Everybody has one class, whichever."""
    group = fit_group([person(str(c), c, labels=np.full(60, c)) for c in range(3)], SETTINGS, seed=0)
    assert group.persistence_s == 0
    assert all(np.isfinite(scored.probabilities).all() for scored in group.held_out)


def test_the_same_seed_gives_the_same_group(group: GroupModel, people: list[PersonWindows]) -> None:
    assert_same_bits(group, fit_group(people, SETTINGS, seed=0, fused=True))
    other = fit_group(people, SETTINGS, seed=1)
    assert not torch.equal(other.networks[FACE].output.weight, group.networks[FACE].output.weight)


def test_what_is_replayed_is_of_everybody(group: GroupModel, people: list[PersonWindows]) -> None:
    """Seven or eight windows each, with the labels that they have, standardised by the person."""
    assert group.replayed.code == "a+b+c+d"
    assert len(group.replayed) == 4 * (30 // 4)
    rows = np.linspace(0, 59, 40).astype(int)[np.linspace(0, 39, 7).astype(int)]
    np.testing.assert_array_equal(group.replayed.labels, np.concatenate([who.labels[rows] for who in people]))
    assert abs(np.concatenate([group.replayed.features[m].ravel() for m in (FACE, PHYSIOLOGY)]).mean()) < 0.5


def test_blocks_of_several_people_count_on(people: list[PersonWindows]) -> None:
    assert joined(people[:2]).blocks.tolist() == [0] * 30 + [1] * 30 + [2] * 30 + [3] * 30


# ---------------------------------------------------------------- kept on disk


def test_a_group_is_trained_once(
    group: GroupModel, people: list[PersonWindows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stored_group(people, "data", SETTINGS, 0, fused=True, folder=tmp_path)
    monkeypatch.setattr(group_store, "fit_group", None)  # it would be an error to call it again
    second = stored_group(people, "data", SETTINGS, 0, fused=True, folder=tmp_path)
    assert_same_bits(first, second)
    assert_same_bits(group, second)
    assert all(not network.training for network in second.networks.values())


def test_what_is_damaged_is_made_anew(people: list[PersonWindows], tmp_path: Path) -> None:
    first = stored_group(people[:2], "data", SETTINGS, 0, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    assert_same_bits(first, stored_group(people[:2], "data", SETTINGS, 0, folder=tmp_path))
    assert len(file.read_bytes()) > 1000


def test_other_data_people_settings_or_seeds_are_another_group(people: list[PersonWindows], tmp_path: Path) -> None:
    plain = GroupSettings(windows_per_person=8, replayed=4, folds=1)
    for number, changed in enumerate(
        [
            (people[:2], "data", plain, 0, False),
            (people[1:3], "data", plain, 0, False),
            (people[:2], "other data", plain, 0, False),
            (people[:2], "data", replace(plain, replayed=6), 0, False),
            (people[:2], "data", plain, 1, False),
            (people[:2], "data", plain, 0, True),
        ]
    ):
        stored_group(*changed, folder=tmp_path)
        assert len(list(tmp_path.iterdir())) == number + 1


def test_a_modality_that_was_heard_for_a_moment_only_may_be_in_no_window_learned_from() -> None:
    """Of long recordings only some windows are learned from; there is no classifier of what none of them has."""
    people = [deaf_to(person(code, seed, count=200), PHYSIOLOGY) for seed, code in enumerate(CODES)]
    people[0].mask[PHYSIOLOGY][1:3] = 1
    assert heard_modalities(people) == [FACE, PHYSIOLOGY]
    assert list(fit_group(people, SETTINGS, seed=0).networks) == [FACE]
