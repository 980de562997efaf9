"""Many small networks trained at once: every tensor has a leading axis G, one slice per run.

Runs of an experiment (people, seeds, budgets, selectors) are networks of one shape on different windows. One at a
time, nearly all of the time goes to calling small operations; together, each call does the work of all runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmal_ros.datatypes import FloatArray, Level
from mmal_ros.training.group.fit import EPOCHS, LEARNING_RATE
from mmal_ros.training.group.grouped_lstm import MeanHidden
from mmal_ros.training.group.networks import HIDDEN, LARGEST_DEVIATION, EngagementLSTM

BETAS = (0.9, 0.999)
EPSILON = 1e-8
"""Both Kingma and Ba 2015, alg. 1."""
PARAMETERS = (
    *("lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0"),
    *("output.weight", "output.bias"),
)
"""What is learned, by its name in EngagementLSTM."""
RECURRENT = "lstm.weight_hh_l0"
"""Has no influence, and no gradient, where a window is one step."""
SCRATCH_FLOATS = 4_000_000
"""Windows are scored in pieces whose gates take about so many numbers (16 MB): more would not stay in the cache."""


class GroupedAdam:
    """Adam for tensors with a leading axis of G runs, each with its own count of steps (Kingma and Ba 2015, alg. 1)."""

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float) -> None:
        """`parameters`: (G, ...) each; they are changed in place."""
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = torch.zeros(len(self.parameters[0]), dtype=torch.float64, device=self.parameters[0].device)

    def step(self, gradients: Sequence[Tensor], active: Tensor) -> None:
        """Move the runs that are active, (G,) bool: weights and moments of the others stay as they are, bit by bit.

        The gradients are used up.
        """
        self.steps += active
        count = self.steps.clamp(min=1)  # a run that never moved must not divide by zero
        decay = (1 - BETAS[1] ** count).sqrt()
        size = active * self.learning_rate * decay / (1 - BETAS[0] ** count)
        rates = [
            values.float() for values in (active * (1 - BETAS[0]), active * (1 - BETAS[1]), -size, EPSILON * decay)
        ]
        for parameter, gradient, first, second in zip(self.parameters, gradients, self.first, self.second, strict=True):
            to_first, to_second, move, epsilon = (rate.view(-1, *[1] * (parameter.ndim - 1)) for rate in rates)
            first.lerp_(gradient, to_first)
            second.lerp_(gradient.square_(), to_second)
            root = torch.sqrt(second, out=gradient).add_(epsilon)
            parameter.addcmul_(torch.div(first, root, out=root), move)


class GroupedClassifiers:
    """G networks that compute what `EngagementLSTM` computes, with all features of one size D.

    Attributes:
        weights: (G, ...) by name, as in EngagementLSTM.
        mean, deviation: (G, D), or (1, D) where all runs have the same.
        temperature: (G,).
    """

    def __init__(self, weights: dict[str, Tensor], mean: Tensor, deviation: Tensor, temperature: Tensor) -> None:
        self.weights = weights
        self.mean, self.deviation, self.temperature = mean, deviation, temperature

    @classmethod
    def from_networks(cls, networks: Sequence[EngagementLSTM], device: str = "cpu") -> Self:
        """One run per network, a copy of it each."""
        states = [network.state_dict() for network in networks]
        stacked = {name: torch.stack([state[name] for state in states]).to(device) for name in states[0]}
        mean, deviation = stacked["mean"], stacked["deviation"]
        if bool((mean == mean[:1]).all()) and bool((deviation == deviation[:1]).all()):
            mean, deviation = mean[:1].clone(), deviation[:1].clone()
        return cls({name: stacked[name] for name in PARAMETERS}, mean, deviation, stacked["temperature"])

    @classmethod
    def from_network(cls, network: EngagementLSTM, count: int, device: str = "cpu") -> Self:
        """`count` runs that all start as a copy of this network."""
        return cls.from_networks([network], device).take([0] * count)

    def __len__(self) -> int:
        return len(self.temperature)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        device: torch.device = self.temperature.device
        return device

    def network(self, run: int) -> EngagementLSTM:
        """A copy of one run's network on the CPU, for export."""
        network = EngagementLSTM(self.mean.shape[1])
        shared = 0 if len(self.mean) == 1 else run
        network.load_state_dict(
            {name: values[run].cpu() for name, values in self.weights.items()}
            | {"mean": self.mean[shared].cpu(), "deviation": self.deviation[shared].cpu()}
            | {"temperature": self.temperature[run].cpu()}
        )
        network.eval()
        return network

    def take(self, runs: Sequence[int]) -> Self:
        """Copies of these runs, in this order; a run may come twice."""
        rows = torch.tensor(runs, device=self.device)
        of_each = rows if len(self.mean) > 1 else slice(None)
        weights = {name: values[rows] for name, values in self.weights.items()}
        return type(self)(weights, self.mean[of_each].clone(), self.deviation[of_each].clone(), self.temperature[rows])

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that makes the networks, as tensors: for a checkpoint."""
        return self.weights | {"mean": self.mean, "deviation": self.deviation, "temperature": self.temperature}

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor]) -> Self:
        """The networks that `state_dict` describes."""
        return cls({n: state[n] for n in PARAMETERS}, state["mean"], state["deviation"], state["temperature"])

    def probabilities(self, features: FloatArray | Tensor, mask: FloatArray | Tensor) -> FloatArray:
        """Calibrated probabilities (G, N, 3).

        Args:
            features: (N, T, D), the same windows for all runs, or (G, N, T, D), each run its own.
            mask: (N, T) or (G, N, T).
        """
        features, mask = self._windows(features, mask)
        rows = max(1, SCRATCH_FLOATS // (len(self) * mask.shape[2] * 4 * HIDDEN))
        pieces = zip(features.split(rows, dim=1), mask.split(rows, dim=1), strict=True)
        with torch.no_grad():
            logits = torch.cat([_logits(self.weights, self.inputs(*piece)) for piece in pieces], dim=1)
        result: FloatArray = torch.softmax(logits / self.temperature.view(-1, 1, 1), dim=2).cpu().numpy()
        return result

    def fit(
        self,
        features: FloatArray | Tensor,
        mask: FloatArray | Tensor,
        labels: NDArray[np.int64] | Tensor,
        weights: FloatArray | Tensor,
        epochs: int = EPOCHS,
        learning_rate: float = LEARNING_RATE,
        batch: int | None = None,
        random: Sequence[np.random.Generator] = (),
    ) -> None:
        """Go on training by weighted cross-entropy with Adam, whose moments start at zero.

        Runs learn from sets of different size: what a run has not got is padded with any window of weight 0. A run
        without any weight stays as it is.

        Args:
            features: (N, T, D) shared by all runs or (G, N, T, D).
            mask: (N, T) or (G, N, T).
            labels: (N,) or (G, N), 0-2.
            weights: (G, N), not negative; only their ratios within a run matter.
            epochs: passes over the labels: steps, with full batches.
            learning_rate: of Adam.
            batch: windows per step, drawn anew in each epoch; None: all in one step, nothing is random.
            random: one generator per run; needed with `batch`.
        """
        inputs = self.inputs(*self._windows(features, mask))
        weights = torch.as_tensor(weights, dtype=torch.float32, device=self.device)
        labels = torch.as_tensor(labels, device=self.device).expand(weights.shape)
        if not bool(weights.any()):
            return
        learned = [name for name in PARAMETERS if inputs.shape[2] > 1 or name != RECURRENT]
        optimizer = GroupedAdam([self.weights[name] for name in learned], learning_rate)
        for _ in range(epochs):
            for rows in _batches(weights, batch, random):
                optimizer.step(*self._gradients(learned, *_drawn(rows, inputs, labels, weights)))

    def _gradients(
        self, learned: Sequence[str], inputs: Tensor, labels: Tensor, weights: Tensor
    ) -> tuple[Sequence[Tensor], Tensor]:
        """Of the loss of every run, and which runs have something to learn from."""
        leaves = {name: self.weights[name].detach().requires_grad_() for name in learned}
        surprise = -torch.log_softmax(_logits(self.weights | leaves, inputs), dim=2)
        surprise = surprise.gather(2, labels.unsqueeze(2)).squeeze(2)  # (G, N)
        total = weights.sum(dim=1)
        shares = weights / torch.where(total > 0, total, 1).unsqueeze(1)
        return torch.autograd.grad((surprise * shares).sum(), list(leaves.values())), total > 0

    def _windows(self, features: FloatArray | Tensor, mask: FloatArray | Tensor) -> tuple[Tensor, Tensor]:
        """(G, N, T, D) and (G, N, T) on the device; 1 in the place of G where the runs share their windows."""
        values, known = (torch.as_tensor(array, device=self.device) for array in (features, mask))
        return (values.unsqueeze(0), known.unsqueeze(0)) if values.ndim == 3 else (values, known)

    def inputs(self, features: Tensor, mask: Tensor) -> Tensor:
        """What the LSTM sees, (G or 1, N, T, D) of the same: standardised, clipped, 0 where not known."""
        mean, deviation = (values[:, None, None, :] for values in (self.mean, self.deviation))
        standardised = ((features - mean) / deviation).clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION)
        return standardised * mask.unsqueeze(-1)


def class_balanced(labels: NDArray[np.int64], weights: FloatArray) -> FloatArray:
    """Weights (G, N) in the same ratio within a class, and the same sum for each class that a run has.

    Args:
        labels: (N,) or (G, N).
        weights: (G, N), 0 for what does not count.
    """
    members = np.broadcast_to(labels, weights.shape)[..., None] == np.arange(len(Level))
    totals = (weights[..., None] * members).sum(axis=1)  # (G, 3)
    shares = np.divide(1, totals, out=np.zeros_like(totals), where=totals > 0)
    balanced: FloatArray = (weights * (members * shares[:, None, :]).sum(axis=2)).astype(np.float32)
    return balanced


def _logits(weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """(G, N, 3) from (G or 1, N, T, D)."""
    *lstm, out, offset = (weights[name] for name in PARAMETERS)
    hidden = MeanHidden.apply(inputs.transpose(1, 2), *lstm)
    return torch.baddbmm(offset.unsqueeze(1), torch.relu(hidden), out.transpose(1, 2))


def _batches(weights: Tensor, batch: int | None, random: Sequence[np.random.Generator]) -> Iterator[Tensor | None]:
    """Rows (G, n) of each step of an epoch: every window with a weight once, in an order of the run's own."""
    if batch is None:
        yield None
        return
    known = [np.flatnonzero(row) for row in weights.cpu().numpy()]
    orders = [run.permutation(rows) for run, rows in zip(random, known, strict=True)]
    longest = max(map(len, orders))
    spare = [np.flatnonzero(row == 0) for row in weights.cpu().numpy()]
    padded = np.stack([np.concatenate([o, s[: longest - len(o)]]) for o, s in zip(orders, spare, strict=True)])
    for start in range(0, longest, batch):
        yield torch.from_numpy(padded[:, start : start + batch]).to(weights.device)


def _drawn(rows: Tensor | None, inputs: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rows (G, n) of each run; None: all."""
    if rows is None:
        return inputs, labels, weights
    runs = torch.arange(len(rows), device=rows.device).unsqueeze(1) if len(inputs) > 1 else 0
    return inputs[runs, rows], labels.gather(1, rows), weights.gather(1, rows)
