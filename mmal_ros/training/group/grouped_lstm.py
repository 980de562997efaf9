"""The LSTM of G runs at once, with its gradient by hand.

Automatic differentiation keeps and fills an array per step and operation; by hand, all weights' gradients are one
product each over all steps. A test holds it to torch's own LSTM.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def quick_tanh(values: Tensor) -> Tensor:
    """The hyperbolic tangent, to 1e-7, by the sigmoid, which torch's CPU kernels compute six times as fast."""
    return torch.sigmoid(values * 2) * 2 - 1


class MeanHidden(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed by mypy
    """Mean over the steps of the LSTM's hidden states, (G, N, H).

    Takes the inputs (G or 1, T, N, D), weights of the inputs (G, 4 H, D) and of the hidden state (G, 4 H, H), and the
    two biases (G, 4 H), all in torch's order of gates: entry, forget, candidate, exit. There is no gradient by the
    inputs.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, into: Tensor, again: Tensor, bias: Tensor, other_bias: Tensor) -> Tensor:
        """See the class."""
        steps, count = inputs.shape[1:3]
        flat = inputs.flatten(1, 2).expand(len(into), -1, -1)
        gates = torch.baddbmm((bias + other_bias).unsqueeze(1), flat, into.transpose(1, 2)).unflatten(1, (steps, count))
        cells = torch.empty_like(gates.chunk(4, dim=3)[0])
        hidden, bent = torch.empty_like(cells), torch.empty_like(cells)
        for step in range(steps):
            now = gates[:, step]
            if step:
                now.baddbmm_(hidden[:, step - 1], again.transpose(1, 2))
            entry, forget, candidate, exit_ = _opened(now)
            torch.mul(entry, candidate, out=cells[:, step])
            if step:
                cells[:, step].addcmul_(forget, cells[:, step - 1])
            bent[:, step] = quick_tanh(cells[:, step])
            torch.mul(exit_, bent[:, step], out=hidden[:, step])
        ctx.save_for_backward(flat, again, gates, cells, bent, hidden)
        return hidden.mean(dim=1)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        """From the slopes by the mean to those by the weights."""
        flat, again, gates, cells, bent, hidden = ctx.saved_tensors
        steps = gates.shape[1]
        share, by_gates = slopes / steps, torch.empty_like(gates)
        by_hidden, by_cell = share, torch.zeros_like(slopes)
        for step in reversed(range(steps)):
            entry, forget, candidate, exit_ = gates[:, step].chunk(4, dim=2)
            by_cell = by_cell + _tanh_backward(by_hidden * exit_, bent[:, step])
            before = cells[:, step - 1] if step else torch.zeros_like(by_cell)
            to_entry, to_forget, to_candidate, to_exit = by_gates[:, step].chunk(4, dim=2)
            to_entry.copy_(_sigmoid_backward(by_cell * candidate, entry))
            to_forget.copy_(_sigmoid_backward(by_cell * before, forget))
            to_candidate.copy_(_tanh_backward(by_cell * entry, candidate))
            to_exit.copy_(_sigmoid_backward(by_hidden * bent[:, step], exit_))
            by_cell = by_cell * forget
            if step:
                by_hidden = torch.baddbmm(share, by_gates[:, step], again)
        every = by_gates.flatten(1, 2)
        by_bias, by_again = every.sum(dim=1), None
        if ctx.needs_input_grad[2]:
            later = by_gates[:, 1:].flatten(1, 2).transpose(1, 2)
            by_again = torch.bmm(later, hidden[:, :-1].flatten(1, 2))
        return None, torch.bmm(every.transpose(1, 2), flat), by_again, by_bias, by_bias.clone()


_sigmoid_backward, _tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward


def _opened(gates: Tensor) -> tuple[Tensor, ...]:
    """The four gates after their functions, views of what is overwritten."""
    candidate = gates.chunk(4, dim=2)[2]
    candidate.mul_(2)
    gates.sigmoid_()
    candidate.mul_(2).sub_(1)
    opened: tuple[Tensor, ...] = gates.chunk(4, dim=2)
    return opened
