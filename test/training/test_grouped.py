"""Networks trained together come out as if each had been alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mmal_ros.training.group.grouped import GroupedClassifiers, class_balanced
from mmal_ros.training.group.networks import EngagementLSTM

RUNS, WINDOWS, SIZE = 3, 12, 7
LEARNED_ATOL = 2e-3
"""Adam makes up to 7e-4 of the rounding of another processor; weights that are passed over make 0.03 and more."""


def networks() -> list[EngagementLSTM]:
    random = np.random.default_rng(0)
    made = []
    for seed in range(RUNS):
        torch.manual_seed(seed)
        network = EngagementLSTM(SIZE)
        network.standardise_by(
            random.normal(size=SIZE).astype(np.float32), random.uniform(0.5, 2, SIZE).astype(np.float32)
        )
        network.temperature.fill_(0.5 + seed)
        made.append(network)
    return made


def windows(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    features = 3 * random.normal(size=(RUNS, WINDOWS, steps, SIZE)).astype(np.float32)
    mask = random.integers(2, size=(RUNS, WINDOWS, steps)).astype(np.float32)
    return features, mask, random.integers(3, size=(RUNS, WINDOWS))


def alone(network: EngagementLSTM, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(features), torch.from_numpy(mask)).numpy()


@pytest.mark.parametrize("steps", [1, 10])
def test_each_run_says_what_its_network_says(steps: int) -> None:
    features, mask, _ = windows(steps)
    single = networks()
    grouped = GroupedClassifiers.from_networks(single)
    own, shared = grouped.probabilities(features, mask), grouped.probabilities(features[0], mask[0])
    for run, network in enumerate(single):
        np.testing.assert_allclose(own[run], alone(network, features[run], mask[run]), atol=1e-6)
        np.testing.assert_allclose(shared[run], alone(network, features[0], mask[0]), atol=1e-6)
        np.testing.assert_allclose(
            alone(grouped.network(run), features[run], mask[run]), alone(network, features[run], mask[run]), atol=1e-7
        )


@pytest.mark.parametrize("steps", [1, 10])
@pytest.mark.parametrize("batch", [None, 5])
def test_each_run_learns_what_its_network_learns(steps: int, batch: int | None) -> None:
    """Label sets of 12, 7 and 12 windows, weights among them."""
    features, mask, labels = windows(steps)
    weights = np.random.default_rng(2).integers(1, 4, size=labels.shape).astype(np.float32)
    weights[1, 7:] = 0
    single = networks()
    grouped = GroupedClassifiers.from_networks(single)
    random = [np.random.default_rng(run) for run in range(RUNS)]
    grouped.fit(features, mask, labels, weights, epochs=8, learning_rate=0.01, batch=batch, random=random)
    for run, network in enumerate(single):
        parts = [torch.from_numpy(part[run]) for part in (features, mask, labels, weights)]
        fit_alone(network, parts, batch, np.random.default_rng(run))
        np.testing.assert_allclose(
            grouped.probabilities(features, mask)[run], alone(network, features[run], mask[run]), atol=LEARNED_ATOL
        )


def fit_alone(
    network: EngagementLSTM, parts: list[torch.Tensor], batch: int | None, random: np.random.Generator
) -> None:
    features, mask, labels, weights = parts
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    known = np.flatnonzero(weights.numpy())
    for _ in range(8):
        order = known if batch is None else random.permutation(known)
        for start in range(0, len(order), batch or len(order)):
            rows = torch.from_numpy(order[start : start + (batch or len(order))])
            surprise = nn.functional.cross_entropy(
                network.logits(features[rows], mask[rows]), labels[rows], reduction="none"
            )
            loss = (surprise * weights[rows]).sum() / weights[rows].sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@pytest.mark.parametrize("batch", [None, 5])
def test_who_has_no_label_stays_as_he_was_bit_by_bit(batch: int | None) -> None:
    features, mask, labels = windows(10)
    weights = np.ones(labels.shape, np.float32)
    weights[1] = 0
    grouped = GroupedClassifiers.from_networks(networks())
    before = grouped.take(range(RUNS))
    grouped.fit(features, mask, labels, weights, batch=batch, random=[np.random.default_rng(0)] * RUNS)
    for name, values in grouped.weights.items():
        assert torch.equal(values[1], before.weights[name][1])
        assert not torch.equal(values[0], before.weights[name][0])


def test_nobody_has_a_label() -> None:
    features, mask, labels = (part[:, :0] for part in windows(10))
    grouped = GroupedClassifiers.from_networks(networks())
    before = grouped.take(range(RUNS))
    grouped.fit(features, mask, labels, np.zeros(labels.shape, np.float32))
    assert all(torch.equal(values, before.weights[name]) for name, values in grouped.weights.items())


def test_windows_that_are_shared_are_learned_from_as_if_each_run_had_them() -> None:
    features, mask, labels = windows(10)
    weights = np.random.default_rng(3).integers(2, size=labels.shape).astype(np.float32)
    shared, own = (GroupedClassifiers.from_network(networks()[0], RUNS) for _ in range(2))
    shared.fit(features[0], mask[0], labels[0], weights)
    own.fit(*(np.stack([part[0]] * RUNS) for part in (features, mask, labels)), weights)
    np.testing.assert_allclose(shared.probabilities(features, mask), own.probabilities(features, mask), atol=1e-6)


def test_a_rare_class_counts_as_much_as_a_frequent_one() -> None:
    balanced = class_balanced(np.array([0, 0, 0, 2]), np.array([[1, 1, 1, 1], [3, 1, 0, 0]], np.float32))
    np.testing.assert_allclose(balanced, [[1 / 3, 1 / 3, 1 / 3, 1], [0.75, 0.25, 0, 0]])
