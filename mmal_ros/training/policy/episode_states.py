"""Where the states of an episode come from: classifiers that learn along, or frozen ones that know nobody of the pool.

Within an episode nothing that makes a state changes, so many windows of all runs are scored at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmal_ros.datatypes import FloatArray, Level, Modality
from mmal_ros.selector.state import StateForm, policy_state, vote
from mmal_ros.training.group.grouped import GroupedClassifiers, class_balanced
from mmal_ros.training.group.models import Scored
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.group.windows import FEATURE_FUSION, inputs
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.policy.settings import MMQLSettings, Run

MODALITIES = tuple(Modality)
Rows = NDArray[np.int64]


class EpisodeStates(Protocol):
    """The windows of all runs, by row."""

    size: int
    """S."""
    fingerprint: str
    """Names the data."""

    @property
    def rows(self) -> Sequence[Sequence[Rows]]:
        """Rows of each person, by run."""

    def view(self, runs: NDArray[np.int64], rows: Rows) -> tuple[Tensor, Tensor]:
        """States (R, n, S) of R runs' windows (R, n), and (R, n) bool, whether the vote is right there.

        Where nothing is heard nobody votes, and that is not right.
        """

    def learn(self, rows: Sequence[Rows], random: Sequence[np.random.Generator]) -> None:
        """The end of an episode: labels of these rows are known, by run; a generator for each."""

    def state_dict(self) -> dict[str, Any]:
        """What `learn` changes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


class FrozenStates:
    """States of classifiers that have not seen the person and do not change while the policy is learned."""

    def __init__(
        self, scored: Sequence[Sequence[Scored]], form: StateForm, device: str = "cpu", content: bool = False
    ) -> None:
        """`scored`: for each run, the people that it learns from, scored by classifiers that have not seen them.

        With `content` the state is what the windows hold (cont = 1) in place of what the classifiers say of them.
        """
        made = {  # runs may share their people
            id(people): tuple(torch.from_numpy(part).to(device) for part in states_of(people, form, content))
            for people in scored
        }
        self._states = [made[id(people)][0] for people in scored]
        self._right = [made[id(people)][1] for people in scored]
        self.size = self._states[0].shape[1]
        self._rows = [_consecutive([len(person.labels) for person in people]) for people in scored]
        self.fingerprint = _digest([*self._states, *self._right])

    @property
    def rows(self) -> Sequence[Sequence[Rows]]:
        """See `EpisodeStates.rows`."""
        return self._rows

    def view(self, runs: NDArray[np.int64], rows: Rows) -> tuple[Tensor, Tensor]:
        """See `EpisodeStates.view`."""
        places = torch.from_numpy(rows).to(self._states[0].device)
        states = [self._states[run][place] for run, place in zip(runs, places, strict=True)]
        right = [self._right[run][place] for run, place in zip(runs, places, strict=True)]
        return torch.stack(states), torch.stack(right)

    def learn(self, rows: Sequence[Rows], random: Sequence[np.random.Generator]) -> None:
        """Nothing: they are frozen."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


class LearnedStates:
    """States of classifiers that start from nothing and are trained at the end of each episode (MMQL 2019, alg. 1).

    Attributes:
        classifiers: the runs' networks, by `Modality` or `FEATURE_FUSION`, on standardised windows.
    """

    def __init__(
        self,
        people: Sequence[PersonWindows],
        names: Sequence[str],
        runs: Sequence[Run],
        settings: MMQLSettings,
        device: str = "cpu",
    ) -> None:
        """New classifiers.

        Args:
            people: standardised windows (`group.windows.standardised`) of everybody whom a run learns from.
            names: which classifiers: one modality, all of them (model fusion), or `FEATURE_FUSION` alone.
            runs: G of them.
            settings: how they learn, and what the policy sees.
            device: where the networks are.
        """
        self.settings, self.names = settings, tuple(map(str, names))
        self._inputs = {name: _joined_inputs(people, name, device) for name in self.names}
        self._labels = np.concatenate([person.labels for person in people])
        self._heard = np.zeros((len(self._labels), len(MODALITIES)), np.bool_)
        for name, (_, _, heard) in self._inputs.items():
            self._heard[:, column_of(name)] = heard
        places = _consecutive([len(person) for person in people])
        self._rows = [
            [rows for rows, person in zip(places, people, strict=True) if person.code not in run.held_out]
            for run in runs
        ]
        self.classifiers = {
            name: GroupedClassifiers.from_networks([first_classifier(run.seed, size, name) for run in runs], device)
            for name, size in self._sizes().items()
        }
        self.size = self._size()
        self.fingerprint = _digest([part for name in self.names for part in self._inputs[name][:2]]) + _digest(
            [torch.from_numpy(self._labels)]
        )

    @property
    def rows(self) -> Sequence[Sequence[Rows]]:
        """See `EpisodeStates.rows`."""
        return self._rows

    def view(self, runs: NDArray[np.int64], rows: Rows) -> tuple[Tensor, Tensor]:
        """See `EpisodeStates.view`."""
        heard = self._heard[rows.ravel()]
        probabilities = np.full((*rows.shape, len(MODALITIES), len(Level)), 1 / len(Level), np.float32)
        for name, networks in self.classifiers.items():
            features, mask = self._windows(name, rows)
            going = networks if len(runs) == len(networks) else networks.take(runs.tolist())
            probabilities[:, :, column_of(name)] = going.probabilities(features, mask)
        flat = probabilities.reshape(-1, len(MODALITIES), len(Level))
        states = self._content(rows) if self.settings.content else policy_state(flat, heard, self.settings.state)
        right = (vote(flat, heard) == self._labels[rows.ravel()]).reshape(rows.shape)
        device = features.device
        return torch.as_tensor(states, device=device).view(*rows.shape, -1), torch.from_numpy(right).to(device)

    def learn(self, rows: Sequence[Rows], random: Sequence[np.random.Generator]) -> None:
        """Train every classifier on the labels of the windows in which it is heard."""
        longest = max(map(len, rows))
        padded = np.stack([np.pad(own, (0, longest - len(own))) for own in rows])
        there = np.arange(longest) < np.array([len(own) for own in rows])[:, None]
        labels = self._labels[padded]
        for name, networks in self.classifiers.items():
            weights = (there & self._heard[padded, column_of(name)]).astype(np.float32)
            weights = class_balanced(labels, weights) if self.settings.balanced else weights
            features, mask = self._windows(name, padded)
            epochs, rate, batch = self.settings.epochs, self.settings.learning_rate, self.settings.batch
            networks.fit(features, mask, labels, weights, epochs, rate, batch, random)

    def state_dict(self) -> dict[str, Any]:
        """The classifiers."""
        return {name: networks.state_dict() for name, networks in self.classifiers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.classifiers = {name: GroupedClassifiers.from_state_dict(state[name]) for name in self.names}

    def _windows(self, name: str, rows: Rows) -> tuple[Tensor, Tensor]:
        features, mask, _ = self._inputs[name]
        places = torch.from_numpy(rows).to(features.device)
        return features[places], mask[places]

    def _content(self, rows: Rows) -> Tensor:
        """(n, S) standardised features, mean over the steps, and in the product's form what is heard."""
        parts = [self._windows(name, rows.ravel()) for name in self.names]
        means = [(features * mask.unsqueeze(2)).mean(dim=1) for features, mask in parts]
        if self.settings.state is StateForm.PRODUCT:
            means.append(torch.from_numpy(self._heard[rows.ravel()]).to(means[0]))
        return torch.cat(means, dim=1)

    def _sizes(self) -> dict[str, int]:
        return {name: features.shape[2] for name, (features, _, _) in self._inputs.items()}

    def _size(self) -> int:
        one = np.zeros((1, 1), np.int64)
        return int(self.view(np.zeros(1, np.int64), one)[0].shape[2])


def column_of(name: str) -> int:
    """Which of the four places of the state a classifier takes; feature fusion, being alone, the first."""
    return 0 if name == FEATURE_FUSION else MODALITIES.index(Modality(name))


def first_classifier(seed: int, size: int, name: str) -> EngagementLSTM:
    """The classifier that a run starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * len(MODALITIES) + column_of(name))
        return EngagementLSTM(size)


def _joined_inputs(people: Sequence[PersonWindows], name: str, device: str) -> tuple[Tensor, Tensor, NDArray[np.bool_]]:
    features, masks, heard = zip(*(inputs(person, name) for person in people), strict=True)
    known = (torch.from_numpy(np.concatenate(parts)).to(device) for parts in (features, masks))
    return (*known, np.concatenate(heard))


def states_of(people: Sequence[Scored], form: StateForm, content: bool = False) -> tuple[FloatArray, NDArray[np.bool_]]:
    """States (N, S) of all windows of these people, and whether the vote is right there (N,); `content`: cont = 1."""
    states = np.concatenate([p.vectors if content else policy_state(p.probabilities, p.heard, form) for p in people])
    right = np.concatenate([vote(p.probabilities, p.heard) == p.labels for p in people])
    return states, right


def _consecutive(lengths: Sequence[int]) -> list[Rows]:
    ends = np.cumsum(lengths)
    return [np.arange(end - length, end) for length, end in zip(lengths, ends, strict=True)]


def _digest(tensors: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().cpu().numpy().data)
    return digest.hexdigest()[:16]
