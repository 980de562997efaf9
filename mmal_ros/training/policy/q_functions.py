"""The two Q-functions, as a module for export and as grouped arithmetic with a gradient by hand for training.

One update of one such small network is some fifty operations on a few thousand numbers. Automatic differentiation
costs several times the arithmetic, so the gradient is written out here, and a test holds it to torch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn

from mmal_ros.training.group.grouped_lstm import quick_tanh

ACTIONS = 2
"""Ask, do not ask: the columns of every array of Q-values (`selector.policy.ASK`, `DO_NOT_ASK`)."""


class QForm(StrEnum):
    """What stands between the state and the two values."""

    LSTM = "lstm"
    """32 units, ReLU (MMQL 2019, sec. 4.1), on a sequence of length one: the order of windows is shuffled, so there is
    nothing to carry from one to the next. Its forget gate and recurrent weights have no influence and are left out,
    and of its two biases, which act as one, there is one."""
    MLP = "mlp"
    """One hidden layer of 50 ReLU units: the control."""


UNITS = {QForm.LSTM: 32, QForm.MLP: 50}
GATES = {QForm.LSTM: 3, QForm.MLP: 1}
"""Numbers that a unit takes in. Of the LSTM: entry, exit, candidate."""


class QNetwork(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """One Q-function: states (N, S) to Q-values (N, 2)."""

    def __init__(self, size: int, form: QForm) -> None:
        """`size` is S; the weights are drawn as torch draws those of LSTM and linear layers."""
        super().__init__()
        self.size, self.form = size, form
        self.entry = nn.Linear(size, UNITS[form] * GATES[form])
        self.output = nn.Linear(UNITS[form], ACTIONS)
        if form is QForm.LSTM:
            for values in self.entry.parameters():
                nn.init.uniform_(values, -1 / math.sqrt(UNITS[form]), 1 / math.sqrt(UNITS[form]))

    def forward(self, states: Tensor) -> Tensor:
        """(N, 2)."""
        values: Tensor = self.output(torch.relu(_hidden(self.entry(states), self.form)[0]))
        return values


class QFunctions:
    """G Q-functions whose weights are the rows of one tensor, (G, P), so that an optimizer moves all at once."""

    def __init__(self, weights: Tensor, size: int, form: QForm) -> None:
        """Wrap the weights (G, P) without a copy; `size` is S."""
        self.flat, self.size, self.form = weights, size, form
        self.parts = _parts(weights, size, form)

    def values(self, states: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Q-values (G, N, 2) of states (G, N, S), and what `gradient` needs of the way there."""
        into, bias, out, offset = self.parts
        hidden, way = _hidden(torch.baddbmm(bias, states, into), self.form)
        active = torch.relu(hidden)
        return torch.baddbmm(offset, active, out), (active, *way)

    def gradient(self, states: Tensor, way: Sequence[Tensor], slopes: Tensor, result: Tensor) -> None:
        """Of the loss by the weights, into `result` (G, P).

        Args:
            states: (G, N, S) as `values` had them.
            way: second result of `values`.
            slopes: (G, N, 2) of the loss by the Q-values.
            result: (G, P), overwritten.
        """
        active, *rest = way
        into, bias, out, offset = _parts(result, self.size, self.form)
        torch.sum(slopes, dim=1, keepdim=True, out=offset)
        out.copy_(torch.bmm(active.transpose(1, 2), slopes))
        inner = torch.bmm(slopes, self.parts[2].transpose(1, 2)) * (active > 0)
        inner = _through_lstm(inner, *rest) if self.form is QForm.LSTM else inner
        torch.sum(inner, dim=1, keepdim=True, out=bias)
        into.copy_(torch.bmm(states.transpose(1, 2), inner))

    def network(self, run: int) -> QNetwork:
        """A copy of one run's Q-function on the CPU."""
        network = QNetwork(self.size, self.form)
        into, bias, out, offset = (part[run].detach().cpu() for part in self.parts)
        network.load_state_dict(
            {"entry.weight": into.T, "entry.bias": bias[0], "output.weight": out.T, "output.bias": offset[0]}
        )
        return network


def flat_weights(network: QNetwork) -> Tensor:
    """(P,) the weights of a module as `QFunctions` orders them."""
    layers = (network.entry, network.output)
    return torch.cat([part.detach().flatten() for layer in layers for part in (layer.weight.T, layer.bias)])


def _parts(flat: Tensor, size: int, form: QForm) -> list[Tensor]:
    """Views of the weights: (G, S, K), (G, 1, K), (G, H, 2), (G, 1, 2)."""
    units, gates = UNITS[form], UNITS[form] * GATES[form]
    shapes = [(size, gates), (1, gates), (units, ACTIONS), (1, ACTIONS)]
    pieces = flat.split([rows * columns for rows, columns in shapes], dim=1)
    return [piece.unflatten(1, shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _hidden(gates: Tensor, form: QForm) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What the units give, (..., H), from what they take in, (..., K); and the steps on the way."""
    if form is QForm.MLP:
        return gates, ()
    units = UNITS[form]
    doors = torch.sigmoid(gates[..., : 2 * units])
    entry, exit_ = doors[..., :units], doors[..., units:]
    candidate = quick_tanh(gates[..., 2 * units :])
    cell = quick_tanh(entry * candidate)
    return exit_ * cell, (entry, exit_, candidate, cell)


def _through_lstm(slopes: Tensor, entry: Tensor, exit_: Tensor, candidate: Tensor, cell: Tensor) -> Tensor:
    """From the slopes by the units' outputs to those by their inputs, (G, N, K)."""
    sigmoid, tanh = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
    inner = tanh(slopes * exit_, cell)
    by_gate = (sigmoid(inner * candidate, entry), sigmoid(slopes * cell, exit_), tanh(inner * entry, candidate))
    return torch.cat(by_gate, dim=2)
