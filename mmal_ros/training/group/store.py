"""Group models on disk: training one takes minutes, and many cells of an evaluation start from the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmal_ros.datatypes import Modality
from mmal_ros.paths import cache_folder
from mmal_ros.training.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from mmal_ros.training.fingerprints import of_code
from mmal_ros.training.group.fit import Windows, fit
from mmal_ros.training.group.models import GroupModel, GroupSettings, Scored, fit_group
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.people import PersonWindows
from mmal_ros.window_vectors import Scale

CODE = of_code(
    Path(__file__).with_name(f"{name}.py") for name in ("models", "windows", "fit", "networks", "persistence")
)
"""What makes a group model: other code, other file. As it was when it was imported, for that is what runs."""


def stored_group(
    people: Sequence[PersonWindows],
    data: str,
    settings: GroupSettings,
    seed: int,
    fused: bool = False,
    folder: Path | None = None,
) -> GroupModel:
    """The group model of these people: from the disk where it is there, else trained and kept.

    Args:
        people: the training people.
        data: `DataSet.fingerprint` of the set they are from.
        settings: see `fit_group`.
        seed: likewise.
        fused: likewise.
        folder: where group models are kept, in the `cache_folder` by default; what is damaged there is made anew.
    """
    what = repr((data, [person.code for person in people], settings, seed, fused, CODE))
    identity = hashlib.sha256(what.encode()).hexdigest()
    path = (folder or cache_folder() / "groups") / f"{identity[:16]}.pt"
    if (kept := _kept(path, identity)) is not None:
        return kept
    model = fit_group(people, settings, seed, fused)
    write_checkpoint(path, {"identity": identity, "group": _to_plain(model)})
    return model


def stored_fit(windows: Windows, seed: int, folder: Path) -> EngagementLSTM:
    """`fit.fit` of the same windows and seed: from the folder where the network is there, else trained and kept."""
    digest = hashlib.sha256(repr((seed, CODE, [(part.shape, part.dtype.str) for part in windows])).encode())
    for part in windows:
        digest.update(np.ascontiguousarray(part).data)
    identity = digest.hexdigest()
    path = folder / f"{identity[:16]}.pt"
    if (kept := _kept_content(path, identity)) is not None:
        return _network(*kept["network"])
    network = fit(windows, seed)
    write_checkpoint(path, {"identity": identity, "network": (network.size, network.state_dict())})
    return network


def _kept(path: Path, identity: str) -> GroupModel | None:
    content = _kept_content(path, identity)
    return None if content is None else _from_plain(content["group"])


def _kept_content(path: Path, identity: str) -> dict[str, Any] | None:
    try:
        return read_checkpoint(path, identity, "cpu")
    except CheckpointError:  # there is none yet, or a damaged one
        return None


def _to_plain(model: GroupModel) -> dict[str, Any]:
    """Tensors and plain values only, so that loading runs no code."""
    return {
        "networks": {str(name): (network.size, network.state_dict()) for name, network in model.networks.items()},
        "scale": (_tensors(model.scale.mean), _tensors(model.scale.deviation)),
        "centred": model.centred,
        "persistence_s": model.persistence_s,
        "held_out": [
            (s.code, *map(torch.from_numpy, (s.probabilities, s.heard, s.vectors, s.labels))) for s in model.held_out
        ],
        "replayed": (
            model.replayed.code,
            _tensors(model.replayed.features),
            _tensors(model.replayed.mask),
            *map(torch.from_numpy, (model.replayed.labels, model.replayed.times_s, model.replayed.blocks)),
        ),
    }


def _from_plain(plain: Mapping[str, Any]) -> GroupModel:
    code, features, mask, *columns = plain["replayed"]
    return GroupModel(
        {name: _network(*described) for name, described in plain["networks"].items()},
        Scale(*map(_arrays, plain["scale"])),
        plain["centred"],
        plain["persistence_s"],
        tuple(Scored(code, *(part.numpy() for part in parts)) for code, *parts in plain["held_out"]),
        PersonWindows(code, _arrays(features), _arrays(mask), *(column.numpy() for column in columns)),
    )


def _network(size: int, state: Mapping[str, Any]) -> EngagementLSTM:
    network = EngagementLSTM(size)
    network.load_state_dict(state)
    network.eval()
    return network


def _tensors(arrays: Mapping[Modality, Any]) -> dict[str, Any]:
    return {str(modality): torch.from_numpy(values) for modality, values in arrays.items()}


def _arrays(tensors: Mapping[str, Any]) -> dict[Modality, Any]:
    return {Modality(name): values.numpy() for name, values in tensors.items()}
