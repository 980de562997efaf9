"""Fit one classifier, and find its temperature."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mmal_ros.datatypes import FloatArray
from mmal_ros.training.group.networks import EngagementLSTM

EPOCHS = 10
LEARNING_RATE = 1e-3
"""Both MMQL 2019, sec. 4.1, with Adam."""
BATCH = 64
WEIGHT_DECAY = 1e-3
NOISE = 0.3
"""Deviation of the noise added to the standardised features while training: few people, many correlated features."""
LOG_TEMPERATURES = (-2.0, 2.0)

Windows = tuple[FloatArray, FloatArray, NDArray[np.int64]]
"""Features (N, T, D), mask (N, T), levels (N,)."""


def fit(windows: Windows, seed: int) -> EngagementLSTM:
    """Train on labelled windows; the same seed and windows give the same network."""
    torch.set_num_threads(1)  # sums of several threads differ from run to run, and so small a network gains nothing
    torch.manual_seed(seed)
    network = EngagementLSTM(windows[0].shape[2])
    network.standardise_by(*statistics(windows[0], windows[1]))
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    loader = DataLoader(TensorDataset(*map(torch.from_numpy, windows)), BATCH, shuffle=True)
    network.train()
    for _ in range(EPOCHS):
        for features, mask, levels in loader:
            noisy = features + NOISE * network.deviation * torch.randn_like(features)
            loss = nn.functional.cross_entropy(network.logits(noisy, mask), levels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    return network


def statistics(features: FloatArray, mask: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation (D,) over all steps that are known."""
    known = features[mask > 0].astype(np.float64)
    return known.mean(axis=0).astype(np.float32), known.std(axis=0).astype(np.float32)


def temperature_of(logits: FloatArray, levels: NDArray[np.int64]) -> float:
    """What logits (N, 3) are to be divided by so that the levels (N,) are likeliest (Guo et al. 2017, sec. 4.2)."""
    scores, truth = torch.from_numpy(logits), torch.from_numpy(levels)

    def surprise(log_temperature: float) -> float:
        return float(nn.functional.cross_entropy(scores / np.exp(log_temperature), truth))

    return float(np.exp(minimize_scalar(surprise, bounds=LOG_TEMPERATURES, method="bounded").x))
