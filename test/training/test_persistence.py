"""How long a label holds is learned from people, and a label never says more than that."""

from __future__ import annotations

import numpy as np
import pytest

from mmal_ros.training.group.persistence import persistence_s, spread
from mmal_ros.training.people import PersonWindows
from rigs.made_people import chain


def somebody(labels: np.ndarray, times_s: np.ndarray) -> PersonWindows:
    return PersonWindows("P", {}, {}, labels, times_s.astype(float), np.zeros(len(labels), np.int64))


def people(persistence: float, hop_s: float = 1.0) -> list[PersonWindows]:
    made = (chain(1500, hop_s, persistence, np.random.default_rng(seed)) for seed in range(8))
    return [somebody(labels, hop_s * np.arange(1500)) for labels in made]


@pytest.mark.parametrize(("persistence", "hop_s"), [(8.0, 0.67), (40.0, 1.0), (900.0, 60.0)])
def test_how_long_labels_hold_is_found(persistence: float, hop_s: float) -> None:
    """Eight people whose labels were drawn anew after that time on average."""
    assert persistence / 1.4 < persistence_s(people(persistence, hop_s)) < persistence * 1.4


def test_who_has_one_class_says_nothing_about_it() -> None:
    some, constant = people(20.0), somebody(np.full(300, 2), np.arange(300))
    assert persistence_s([*some, constant]) == persistence_s(some)
    assert persistence_s([constant, constant]) == 0
    assert persistence_s([somebody(np.array([1]), np.zeros(1))]) == 0


@pytest.mark.parametrize("count", range(2, 12))
def test_a_few_windows_are_enough_for_a_number(count: int) -> None:
    times_s = np.array([0, 1, 5, 7.3, 20, 30, 31, 32.5, 90, 91, 150])[:count]
    assert 0 < persistence_s([somebody(np.arange(count) % 2, times_s)]) <= times_s[-1]


def weights(times: object, rows: list[int], labels: list[int], persistence: float = 10.0) -> np.ndarray:
    return spread(np.array(times, float), np.array(rows), np.array(labels), persistence)


def test_a_label_speaks_fully_for_itself() -> None:
    """Whatever its neighbours say, a moment away."""
    found = weights(range(5), [1, 2, 3], [0, 2, 0])
    np.testing.assert_array_equal(found[[1, 2, 3]], np.eye(3)[[0, 2, 0]])


def test_beside_a_single_label_its_word_fades() -> None:
    """By exp(-distance / persistence), both ways, and for its own class only."""
    found = weights([0, 5, 10, 20, 30], [2], [1])
    np.testing.assert_allclose(found[:, 1], np.exp([-1, -0.5, 0, -1, -2]), rtol=1e-5)
    np.testing.assert_allclose(found[:, [0, 2]], 0, atol=1e-7)


def test_half_way_between_two_equal_labels_both_speak() -> None:
    """By hand: at a distance of one persistence each, s = 1/e; two labels say more than one."""
    stays = np.exp(-1)
    same, other = (stays + (1 - stays) / 3) ** 2, ((1 - stays) / 3) ** 2
    expected = (same / (same + 2 * other) - 1 / 3) * 3 / 2
    found = weights([0, 10, 20], [0, 2], [1, 1])
    np.testing.assert_allclose(found[1], [0, expected, 0], atol=1e-6)
    assert expected > stays


def test_half_way_between_two_different_labels_neither_wins() -> None:
    found = weights([0, 3, 10, 17, 20], [0, 4], [0, 2])
    assert found[2, 0] == found[2, 2] < 0.25
    assert found[1, 0] > found[1, 2]
    assert found[3, 2] > found[3, 0]
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-7)


def test_far_from_all_labels_nothing_is_said() -> None:
    np.testing.assert_allclose(weights([0, 500, 1000], [0, 2], [1, 1])[1], 0, atol=1e-6)


def test_a_label_that_does_not_hold_speaks_for_its_own_window_only() -> None:
    found = weights([0, 0.001, 1], [0], [2], persistence=0)
    np.testing.assert_array_equal(found, [[0, 0, 1], [0, 0, 0], [0, 0, 0]])


def test_windows_and_labels_may_come_in_any_order() -> None:
    random = np.random.default_rng(0)
    times_s, rows, labels = random.uniform(0, 200, 50), np.arange(0, 50, 7), random.integers(3, size=8)
    order = random.permutation(50)
    shuffled = weights(times_s[order], [order.tolist().index(row) for row in rows[::-1]], labels[::-1])
    np.testing.assert_array_equal(shuffled, weights(times_s, rows, labels)[order])
