"""The simulated cohort is what its description says, and the same tomorrow."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmal_ros.datatypes import Modality
from mmal_ros.features.names import SIZES
from mmal_ros.training.data.cohort import (
    CHANNELS,
    GAP_S,
    HOP_S,
    TEST_CODES,
    TEST_COUNTS,
    TRAIN_CODES,
    simulated_cohort,
    simulated_person,
)
from mmal_ros.training.people import DataError

SCALE = 0.02


@pytest.fixture(scope="module")
def cohort():
    return simulated_cohort(scale=SCALE)


@pytest.fixture(scope="module")
def child():
    """A person with three levels and several stretches, at full length."""
    return simulated_person("T08")


def counts(person):
    return tuple(np.bincount(person.labels, minlength=3).tolist())


def between(first, second):
    """Mean distance of the features of windows, (N, T, D) each."""
    return float(np.abs(first.mean(axis=1) - second.mean(axis=1)).mean())


def test_same_seed_same_bytes_other_seed_other_people(cohort):
    assert simulated_cohort(scale=SCALE).fingerprint() == cohort.fingerprint()
    assert simulated_cohort(seed=1, scale=SCALE).fingerprint() != cohort.fingerprint()


def test_a_person_made_alone_is_the_one_of_the_cohort(cohort):
    (within,) = cohort.of(["C07"])
    alone = simulated_person("C07", scale=SCALE)
    for modality in Modality:
        np.testing.assert_array_equal(alone.features[modality], within.features[modality])
        np.testing.assert_array_equal(alone.mask[modality], within.mask[modality])


def test_all_features_of_the_paper_are_there_under_names_that_no_live_model_takes(cohort):
    assert {m: len(names) for m, names in cohort.features.items()} == SIZES
    assert sum(SIZES.values()) == 378
    assert cohort.steps == 10
    assert all(name.startswith("made_") for names in cohort.features.values() for name in names)
    assert "no evidence about people" in cohort.source


def test_training_and_test_people_are_different_people(cohort):
    assert cohort.codes == (*TRAIN_CODES, *TEST_CODES)
    assert (len(TRAIN_CODES), len(TEST_CODES)) == (20, 14)
    values = [person.features[Modality.FACE][0].tobytes() for person in cohort.people]
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("number", [1, 2, 5, 9, 14])
def test_test_people_have_the_class_counts_of_the_paper(number):
    assert counts(simulated_person(f"T{number:02d}")) == TEST_COUNTS[number - 1]


def test_a_small_cohort_keeps_the_shares_and_loses_no_class(cohort):
    for person, full in zip(cohort.of(TEST_CODES), TEST_COUNTS, strict=True):
        assert counts(person) == tuple(max(round(SCALE * count), min(count, 1)) for count in full)


def test_training_people_are_as_uneven_as_test_people(cohort):
    largest = [max(counts(person)) / len(person) for person in cohort.of(TRAIN_CODES)]
    assert 0.7 < np.mean(largest) < 0.9
    assert sum(share == 1 for share in largest) >= 1, "somebody is always equally engaged"
    assert len({counts(person).index(max(counts(person))) for person in cohort.of(TRAIN_CODES)}) == 3


def test_neighbouring_windows_resemble_each_other_and_distant_ones_do_not(child):
    values = child.features[Modality.FACE][child.mask[Modality.FACE].all(axis=1)]
    assert between(values[1:], values[:-1]) < 0.6 * between(values[200:], values[:-200])


def test_windows_follow_each_other_in_stretches_of_five_minutes_with_pauses(child):
    hops = np.diff(child.times_s)
    same = np.diff(child.blocks) == 0
    assert hops[same].mean() == pytest.approx(HOP_S, abs=0.001)
    assert set(np.round(hops[same], 1)) == {0.6, 0.7}
    assert hops[~same].min() > GAP_S
    lengths = [np.ptp(child.times_s[child.blocks == block]) for block in range(child.blocks[-1] + 1)]
    assert len(lengths) == 3
    assert min(lengths) > 240
    assert max(lengths) < 360


def test_a_level_lasts_but_comes_back(child):
    changes = np.count_nonzero(np.diff(child.labels))
    assert 8 < changes < len(child) / 15
    levels = [set(child.labels[child.blocks == block]) for block in range(child.blocks[-1] + 1)]
    assert min(map(len, levels)) > 1, "no stretch has one level only"


@pytest.mark.parametrize("modality", Modality)
def test_a_modality_is_lost_for_seconds_at_a_time(child, modality):
    mask, lost = child.mask[modality], CHANNELS[modality].lost
    assert 0.3 * lost < 1 - mask.mean() < 1.7 * lost
    assert (mask.max(axis=1) == 0).any(), "a whole window without it"
    assert not child.features[modality][mask == 0].any()
    edges = np.count_nonzero(np.diff(mask[:, 0]))
    assert edges < np.count_nonzero(mask[:, 0] == 0), "stretches, not single windows"


@pytest.fixture(scope="module")
def signal():
    """How well low engagement is told from more by the direction between their means: areas under the curve.

    Of five people and four modalities, with the direction found in the other half of the person's own stretches, and
    with those of the other people.
    """
    people = [simulated_person(code) for code in ("T01", "T06", "T07", "T08", "T09")]
    by_modality = [areas([centred(person, modality) for person in people]) for modality in Modality]
    return [np.transpose(table) for table in zip(*by_modality, strict=True)]


def centred(person, modality):
    """Features, whether more than low, and half, of the windows in which the modality is heard."""
    heard = person.heard(modality)
    values = person.features[modality][heard].mean(axis=1)
    return values - values.mean(axis=0), person.labels[heard] > 0, person.blocks[heard] % 2


def areas(people):
    """Own and others', one a person."""
    own = [
        np.mean([area(values[half == h], more[half == h], values[half != h], more[half != h]) for h in (0, 1)])
        for values, more, half in people
    ]
    others = [np.mean([area(*person[:2], *other[:2]) for other in people if other is not person]) for person in people]
    return own, others


def area(values, more, known_values, known_more):
    direction = known_values[known_more].mean(axis=0) - known_values[~known_more].mean(axis=0)
    return roc_auc_score(more, values @ direction)


def test_people_show_their_engagement_in_different_modalities(signal):
    """One modality carries much and another nothing, and it is not the same one in everybody."""
    own, _ = signal
    assert own.max(axis=1).mean() > 0.9
    assert np.mean(own.max(axis=1) - own.min(axis=1)) > 0.4
    assert len(set(own.argmax(axis=1))) >= 3


def test_one_direction_does_not_fit_all(signal):
    """What tells one person's engagement is little use for another's, but for the part that people share."""
    own, others = signal
    best = own.argmax(axis=1)[:, None]
    assert np.mean(np.take_along_axis(own - others, best, axis=1)) > 0.15
    assert others.mean() > 0.52


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5, float("nan")])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(DataError, match="above 0 and at most 1"):
        simulated_cohort(scale=scale)


def test_somebody_who_is_not_in_the_cohort_is_named():
    with pytest.raises(DataError, match="no person 'T15'; there are C01 to C20, T01 to T14"):
        simulated_person("T15")
