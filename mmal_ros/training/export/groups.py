"""A group's weights as arrays in one file: what a person's own set is made from.

`<network>/<name>` as in `EngagementLSTM`, standardisation and temperature among them, and `scale/<modality>/mean` and
`/deviation` of the training people. Reading it runs no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmal_ros.datatypes import STEPS_PER_WINDOW, FloatArray, Modality
from mmal_ros.files import replacing
from mmal_ros.model_card import ModelError
from mmal_ros.models import ModelSet
from mmal_ros.npz import NpzError, read_npz
from mmal_ros.training.group.models import GroupModel
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.people import PersonWindows
from mmal_ros.window_vectors import Scale

Arrays = Mapping[str, NDArray[Any]]
NOBODY = PersonWindows("", {}, {}, np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


def export_group(group: GroupModel, path: Path) -> None:
    """Write the group's classifiers and scale; the same group gives the same bytes."""
    arrays = {
        f"{name}/{part}": values.numpy()
        for name, network in group.networks.items()
        for part, values in network.state_dict().items()
    }
    for modality in group.scale.mean:
        arrays[f"scale/{modality}/mean"] = group.scale.mean[modality]
        arrays[f"scale/{modality}/deviation"] = group.scale.deviation[modality]
    with replacing(path) as scratch, scratch.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_group(models: ModelSet) -> GroupModel:
    """The group that a set's people are personalised from, without the training people's windows.

    Raises:
        ModelError: the set has none, or it is not of the set's features.
    """
    part = models.card.group
    if part is None:
        raise ModelError(
            f"{models.folder} has nothing that a person's own model could be made from; "
            "name a model set of a group, or train it again with `mmal train`"
        )
    path = models.folder / part.file
    sizes = {modality: len(described.features) for modality, described in models.card.modalities.items()}
    try:
        arrays = read_npz(path)
        networks = {m.value: _network(arrays, m, size) for m, size in sizes.items()}
        mean, deviation = (
            {m: _statistic(arrays, m, of, size) for m, size in sizes.items()} for of in ("mean", "deviation")
        )
    except (NpzError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{path} does not hold the weights of this set: {error}") from error
    return GroupModel(networks, Scale(mean, deviation), part.centred, part.persistence_s, (), NOBODY)


def _network(arrays: Arrays, modality: Modality, size: int) -> EngagementLSTM:
    network = EngagementLSTM(size)
    parts = {name: arrays[f"{modality}/{name}"] for name in network.state_dict()}
    if not all(np.isfinite(values).all() for values in parts.values()) or not (parts["temperature"] > 0).all():
        raise ValueError(f"weights of {modality} are no finite numbers, or its temperature is not above 0")
    network.load_state_dict({name: torch.from_numpy(values) for name, values in parts.items()})
    network.eval()
    with torch.no_grad():
        found = network(torch.zeros(1, STEPS_PER_WINDOW, size), torch.ones(1, STEPS_PER_WINDOW))
    if not torch.isfinite(found).all():
        raise ValueError(f"what the network of {modality} gives are no probabilities")
    return network


def _statistic(arrays: Arrays, modality: Modality, of: str, size: int) -> FloatArray:
    """(D,) as `Scale` wants it; raises ValueError where it is not."""
    values = arrays[f"scale/{modality}/{of}"]
    if values.dtype != np.float32 or values.shape != (size,) or not np.isfinite(values).all():
        raise ValueError(f"the {of} of {modality} is not {size} finite numbers of single precision")
    if of == "deviation" and (values <= 0).any():
        raise ValueError(f"a deviation of {modality} is not above 0")
    return values
