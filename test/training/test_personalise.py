"""A few labels of a person change what is said of her, and nothing that nobody asked about does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmal_ros.datatypes import Modality
from mmal_ros.training.group.models import GroupModel, GroupSettings, fit_group
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.group.windows import FEATURE_FUSION, inputs, standardised
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.personalise import (
    FIDELITY,
    OWN_DATA_ONLY,
    PERSONALISERS,
    PRODUCT,
    Opinions,
    Personalisation,
    group_only,
    personalise,
)
from rigs.made_people import deaf_to, labelled, person

CHOSEN = [np.array([50, 3, 17, 41, 8]), np.arange(0, 60, 4), np.array([30])]
"""Three choices of labels of the same person."""
GROUP = GroupSettings(windows_per_person=40, replayed=30, folds=1)


@pytest.fixture(scope="module")
def group() -> GroupModel:
    return fit_group([person(code, seed) for seed, code in enumerate("abc")], GROUP, seed=0, fused=True)


@pytest.fixture(scope="module")
def her() -> PersonWindows:
    return person("new", 9)


def quick(personalisation: Personalisation) -> Personalisation:
    """The same, with fewer passes and trees."""
    return replace(
        personalisation, epochs=min(personalisation.epochs, 8), trees=min(personalisation.trees, 5), learning_rate=0.01
    )


def assert_same_bits(one: Opinions, other: Opinions) -> None:
    for field in ("probabilities", "heard", "fused_features", "second", "levels"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)


WITH_REPLAY = replace(PRODUCT, name="replay", replayed_share=0.3)


# ---------------------------------------------------------------- nobody looks where nobody asked


@pytest.mark.parametrize("settings", [*PERSONALISERS.values(), WITH_REPLAY], ids=lambda s: s.name)
def test_a_label_that_nobody_asked_about_has_no_influence(
    group: GroupModel, her: PersonWindows, settings: Personalisation
) -> None:
    """All other labels are different ones; opinions are the same, bit by bit. Those that were asked about matter."""
    for chosen in CHOSEN:
        others = (her.labels + 1) % 3
        others[chosen] = her.labels[chosen]
        told = personalise(group, her, [chosen], quick(settings), 0).opinions(her)
        lied = personalise(group, labelled(her, others), [chosen], quick(settings), 0).opinions(labelled(her, others))
        assert_same_bits(told, lied)
        others[chosen[0]] = (her.labels[chosen[0]] + 1) % 3
        asked = personalise(group, labelled(her, others), [chosen], quick(settings), 0).opinions(her)
        changed = asked.second if settings.name == OWN_DATA_ONLY.name else asked.probabilities
        assert not np.array_equal(changed, told.second if settings.name == OWN_DATA_ONLY.name else told.probabilities)


def test_own_data_only_owes_nothing_to_the_group(group: GroupModel, her: PersonWindows) -> None:
    others = fit_group([person(code, 20 + seed) for seed, code in enumerate("de")], GROUP, seed=5)
    said = [personalise(known, her, CHOSEN, quick(OWN_DATA_ONLY), 0).opinions(her) for known in (group, others)]
    np.testing.assert_array_equal(said[0].second, said[1].second)
    np.testing.assert_array_equal(said[0].levels, said[1].levels)
    assert not np.array_equal(said[0].probabilities, said[1].probabilities)


def test_the_group_alone_says_what_its_networks_say(group: GroupModel, her: PersonWindows) -> None:
    opinions = group_only(group, her).opinions(her)
    for column, modality in ((0, Modality.FACE), (2, Modality.PHYSIOLOGY)):
        heard = her.heard(modality)
        expected = spoken(group.networks[modality], *inputs(standardised(her, group.scale_of(her)), modality)[:2])
        np.testing.assert_allclose(opinions.probabilities[0, heard, column], expected[heard], atol=1e-5)
        np.testing.assert_allclose(opinions.probabilities[0, ~heard, column], 1 / 3, rtol=1e-6)
    assert opinions.second is None


# ---------------------------------------------------------------- as if written out


def spoken(network: EngagementLSTM, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(features), torch.from_numpy(mask)).numpy()


def copy_of(network: EngagementLSTM) -> EngagementLSTM:
    copied = EngagementLSTM(network.size)
    copied.load_state_dict(network.state_dict())
    return copied


def surprises(network: EngagementLSTM, windows: PersonWindows, name: str, rows: np.ndarray) -> torch.Tensor:
    features, mask, _ = inputs(windows, name)
    parts = [torch.from_numpy(part[rows]) for part in (features, mask, windows.labels)]
    return torch.nn.functional.cross_entropy(network.logits(*parts[:2]), parts[2], reduction="none")


def mean_by_class(surprise: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """The mean of the classes' means."""
    return torch.stack([surprise[torch.from_numpy(labels == c)].mean() for c in np.unique(labels)]).mean()


def step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def assert_says(opinions: Opinions, run: int, name: str, her: PersonWindows, expected: np.ndarray) -> None:
    heard = inputs(her, name)[2]
    if name == FEATURE_FUSION:
        found = opinions.fused_features[run]
    else:
        found = opinions.probabilities[run, :, list(Modality).index(Modality(name))]
    np.testing.assert_allclose(found[heard], expected[heard], atol=1e-5, err_msg=f"{name}, run {run}")


def test_fidelity_is_algorithm_2(group: GroupModel, her: PersonWindows) -> None:
    """Written out: every network alone goes ten times through the windows that it hears, in minibatches, with Adam."""
    learned = personalise(group, her, CHOSEN, FIDELITY, seed=4).opinions(her)
    windows = standardised(her, group.scale_of(her))
    for run, chosen in enumerate(CHOSEN):
        for name in group.networks:
            network = copy_of(group.networks[name])
            heard = inputs(windows, name)[2]
            random = np.random.default_rng([4, run])
            optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
            places = np.flatnonzero(heard[chosen])
            for _ in range(10):
                order = chosen[random.permutation(places)]
                for start in range(0, len(order), FIDELITY.batch):
                    batch = order[start : start + FIDELITY.batch]
                    step(optimizer, surprises(network, windows, name, batch).mean())
            assert_says(learned, run, name, her, spoken(network, *inputs(windows, name)[:2]))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_every_class_and_the_replayed_windows_have_their_say(
    group: GroupModel, her: PersonWindows, share: float
) -> None:
    """Written out: the mean of the classes' mean losses, and the same of what is replayed with its share."""
    settings = replace(PRODUCT, spreads=False, trees=0, epochs=6, learning_rate=0.01, replayed_share=share)
    learned = personalise(group, her, CHOSEN, settings, seed=0).opinions(her)
    windows = standardised(her, group.scale_of(her))
    for run, chosen in enumerate(CHOSEN):
        for name in group.networks:
            network = copy_of(group.networks[name])
            rows = chosen[inputs(windows, name)[2][chosen]]
            old = np.flatnonzero(inputs(group.replayed, name)[2])
            optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
            for _ in range(6 if len(rows) else 0):
                own = mean_by_class(surprises(network, windows, name, rows), her.labels[rows])
                replayed = mean_by_class(surprises(network, group.replayed, name, old), group.replayed.labels[old])
                step(optimizer, (1 - share) * own + share * replayed)
            assert_says(learned, run, name, her, spoken(network, *inputs(windows, name)[:2]))


def test_trees_hear_a_rare_class_as_loudly_as_a_frequent_one(group: GroupModel) -> None:
    """Windows that cannot be told apart, eight of one class and two of the other: half and half."""
    labels = np.array([0] * 8 + [2] * 2)
    same = person("same", 1, count=10, lost=0, labels=labels)
    for values in same.features.values():
        values[:] = values[:1]
    opinions = personalise(group, same, [np.arange(10)], quick(OWN_DATA_ONLY), 0).opinions(same)
    np.testing.assert_allclose(opinions.second[0], np.tile([0.5, 0, 0.5], (10, 1)), atol=1e-6)


def test_a_label_speaks_for_the_windows_around_it(group: GroupModel) -> None:
    """Labels at 0 and 10 s: trees, which know by heart what they learned, have learned 1 to 4 s and 6 to 9 s too."""
    her = person("slow", 2, count=11, lost=0)
    her.times_s[:] = np.arange(11)
    her.labels[[0, 10]] = [0, 2]
    chosen, slow = [np.array([10, 0])], replace(group, persistence_s=10.0)
    spread_out = replace(quick(OWN_DATA_ONLY), spreads=True)
    said = personalise(slow, her, chosen, spread_out, 0)
    np.testing.assert_array_equal(said.opinions(her).second[0].argmax(axis=1)[[0, 1, 2, 3, 4]], 0)
    np.testing.assert_array_equal(said.opinions(her).second[0].argmax(axis=1)[[6, 7, 8, 9, 10]], 2)
    assert learned_from(said) == 10, "half-way between two labels that differ nothing is known"
    assert learned_from(personalise(slow, her, chosen, quick(OWN_DATA_ONLY), 0)) == 2
    assert learned_from(personalise(slow, her, chosen, replace(spread_out, most_windows=5), 0)) == 5
    assert learned_from(personalise(slow, her, chosen, replace(spread_out, most_windows=1), 0)) == 2
    hasty = replace(group, persistence_s=0.01)
    assert learned_from(personalise(hasty, her, chosen, spread_out, 0)) == 2


def learned_from(personalised) -> int:
    """Windows that reach the root of a tree."""
    return personalised.trees[0].estimators_[0].tree_.n_node_samples[0]


# ---------------------------------------------------------------- whoever she is


@pytest.mark.parametrize("settings", [FIDELITY, PRODUCT, WITH_REPLAY], ids=lambda s: s.name)
def test_the_same_seed_gives_the_same_opinions(
    group: GroupModel, her: PersonWindows, settings: Personalisation
) -> None:
    once, again, other = (
        personalise(group, her, CHOSEN[:2], quick(settings), seed).opinions(her) for seed in (0, 0, 1)
    )
    assert_same_bits(once, again)
    if settings is FIDELITY:
        assert not np.array_equal(once.probabilities, other.probabilities), "the order is of the seed"
    else:
        assert not np.array_equal(once.second, other.second), "the trees are of the seed"


def test_what_is_learned_does_not_depend_on_the_number_of_threads(group: GroupModel, her: PersonWindows) -> None:
    alone, together = (personalise(group, her, CHOSEN, quick(PRODUCT), 0, jobs=jobs).opinions(her) for jobs in (1, 3))
    assert_same_bits(alone, together)


def test_networks_that_learn_nothing_are_not_copied_for_every_run(group: GroupModel, her: PersonWindows) -> None:
    learned = personalise(group, her, CHOSEN, quick(OWN_DATA_ONLY), 0)
    assert {len(networks) for networks in learned.networks.values()} == {1}
    opinions = learned.opinions(her)
    assert len(opinions.probabilities) == len(opinions.fused_features) == len(opinions.second) == len(CHOSEN)
    assert torch.equal(learned.network(Modality.FACE, 2).output.weight, group.networks[Modality.FACE].output.weight)


@pytest.mark.parametrize("settings", [replace(FIDELITY, batch=None), PRODUCT, WITH_REPLAY], ids=lambda s: s.name)
def test_what_is_learned_does_not_depend_on_the_company(
    group: GroupModel, her: PersonWindows, settings: Personalisation
) -> None:
    """One choice has a single label, the other one all sixty, more than `most_windows`."""
    settings = replace(quick(settings), most_windows=20)
    together = personalise(group, her, [CHOSEN[0], np.arange(60), CHOSEN[2]], settings, 0).opinions(her)
    for run in (0, 2):
        alone = personalise(group, her, [CHOSEN[run]], settings, 0).opinions(her)
        np.testing.assert_allclose(alone.probabilities[0], together.probabilities[run], atol=1e-5)
        if together.second is not None:
            np.testing.assert_array_equal(alone.second[0], together.second[run])


@pytest.mark.parametrize("settings", [*PERSONALISERS.values(), WITH_REPLAY], ids=lambda s: s.name)
def test_one_label_is_enough(group: GroupModel, her: PersonWindows, settings: Personalisation) -> None:
    opinions = personalise(group, her, [np.array([7])], quick(settings), 0).opinions(her)
    assert np.isfinite(opinions.probabilities).all()
    if settings is OWN_DATA_ONLY:
        np.testing.assert_array_equal(opinions.levels, her.labels[7])


@pytest.mark.parametrize("settings", [*PERSONALISERS.values(), WITH_REPLAY], ids=lambda s: s.name)
def test_who_is_never_heard_in_a_modality_gets_no_opinion_of_it(
    group: GroupModel, her: PersonWindows, settings: Personalisation
) -> None:
    deaf = deaf_to(her, Modality.PHYSIOLOGY)
    learned = personalise(group, deaf, CHOSEN, quick(settings), 0)
    opinions = learned.opinions(deaf)
    assert not opinions.heard[:, 2].any()
    np.testing.assert_allclose(opinions.probabilities[:, :, 2], 1 / 3, rtol=1e-6)
    for values in (opinions.probabilities, opinions.fused_features):
        assert np.isfinite(values).all()
    unheard = group.networks[Modality.PHYSIOLOGY].output.weight
    assert torch.equal(learned.networks[Modality.PHYSIOLOGY].weights["output.weight"][0], unheard)


def test_who_is_never_heard_at_all_is_told_so(group: GroupModel, her: PersonWindows) -> None:
    """Without trees there is no level; with them there is the commonest thing that she said."""
    silent = deaf_to(deaf_to(her, Modality.PHYSIOLOGY), Modality.FACE)
    np.testing.assert_array_equal(personalise(group, silent, CHOSEN, FIDELITY, 0).opinions(silent).levels, -1)
    levels = personalise(group, silent, CHOSEN, quick(PRODUCT), 0).opinions(silent).levels
    assert np.isin(levels, (0, 1, 2)).all()


# ---------------------------------------------------------------- two opinions


def opinions(second: list | None, share: float) -> Opinions:
    """Three windows: two modalities that agree and one that shouts; one alone; nobody."""
    probabilities = np.full((1, 3, 4, 3), 1 / 3, np.float32)
    probabilities[0, 0, :3] = [[0.4, 0.35, 0.25], [0.4, 0.35, 0.25], [0, 0, 1]]
    probabilities[0, 1, 3] = [0.2, 0.6, 0.2]
    heard = np.array([[1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    trees = None if second is None else np.array([second], np.float32)
    return Opinions(probabilities, heard, None, trees, share)


def test_without_a_second_opinion_the_majority_decides() -> None:
    np.testing.assert_array_equal(opinions(None, 0.5).levels, [[0, 1, -1]])


def test_with_a_second_opinion_the_average_decides() -> None:
    """By hand: who is heard says (.27, .23, .5) and (.2, .6, .2) on average; where nobody is, the trees are alone.

    With half of the weight on the trees that makes (.53, .22, .25), (.3, .5, .2) and (0, .2, .3).
    """
    second = [[0.8, 0.2, 0], [0.4, 0.4, 0.2], [0, 0.4, 0.6]]
    np.testing.assert_array_equal(opinions(second, 0.5).levels, [[0, 1, 2]])
    np.testing.assert_array_equal(opinions(second, 0.1).levels, [[2, 1, 2]])
    np.testing.assert_array_equal(opinions([[0, 1, 0], [1, 0, 0], [0, 1, 0]], 1.0).levels, [[1, 0, 1]])
    np.testing.assert_array_equal(opinions([[0, 1, 0], [1, 0, 0], [0, 1, 0]], 0.2).levels, [[2, 1, 1]])
    np.testing.assert_array_equal(opinions([[0, 1, 0], [1, 0, 0], [0, 1, 0]], 0.3).levels, [[1, 0, 1]])
