"""Model sets on disk, from what training makes: exported, described, and loaded by the runtime before they count."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from mmal_ros.datatypes import Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.files import private_folder
from mmal_ros.model_card import (
    GroupCard,
    ModalityCard,
    ModelCard,
    ModelError,
    PersonalCard,
    PolicyCard,
    sha256,
    write_card,
)
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.selector.policy import FORMS
from mmal_ros.training.export.classifiers import export_classifier
from mmal_ros.training.export.groups import export_group
from mmal_ros.training.export.policies import Policy, export_policy
from mmal_ros.training.export.second_opinion import export_second_opinion
from mmal_ros.training.group.models import GroupModel
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.group.windows import FEATURE_FUSION
from mmal_ros.training.person.personalise import Personalised
from mmal_ros.training.policy.q_functions import QNetwork
from mmal_ros.training.policy.vote_right import VoteRight
from mmal_ros.window_vectors import Scale


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a model set is made of."""

    networks: Mapping[Modality, EngagementLSTM]
    """On windows as measured."""
    scale: Scale
    """What the card gives as mean and deviation, and the second opinion sees windows by."""
    second_opinion: ExtraTreesClassifier | None = None
    second_share: float = 0.0
    """Weight (0-1) of the second opinion beside the mean of the networks."""
    selector: QNetwork | None = None
    vote_right: VoteRight | None = None
    group: GroupModel | None = None
    """What a person's own set can be made from."""


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What cannot be read off the networks."""

    purpose: str
    """What the set is for and what it is not for."""
    feature_sets: Mapping[Modality, str]
    """Key of `features.names.FEATURE_SETS` of each modality."""
    training: Mapping[str, Any]
    """Data, people, seeds, software."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """On windows that it has not seen, with the constant."""
    parent: ModelSet | None = None
    """What it was made from. Its policies come along where there are no new ones."""
    accepted: bool | None = None
    """Whether it was better than what is in use; None: nobody compared them."""


def of_group(
    group: GroupModel,
    selector: QNetwork | None = None,
    vote_right: VoteRight | None = None,
    centred: GroupModel | None = None,
) -> Trained:
    """A group's set, for people of whom nothing is known yet: their windows are seen by the training people's scale.

    `centred` is what sets of these people are made from once something is known of them.
    """
    networks = _on_measured(group.networks, group.scale)
    return Trained(networks, group.scale, None, 0.0, selector, vote_right, centred)


def of_person(personalised: Personalised, run: int = 0) -> Trained:
    """A person's own set, of one run."""
    networks = {name: personalised.network(name, run) for name in personalised.networks}
    trees = personalised.trees[run] if personalised.trees else None
    return Trained(_on_measured(networks, personalised.scale), personalised.scale, trees, personalised.trees_share)


def write_model_set(folder: Path, trained: Trained, about: About, *, again: bool = False) -> ModelSet:
    """Export everything, describe it, and load it as the live graph will; `current` stays what it is.

    Args:
        folder: models/<name>/<version>. It appears as a whole, or not at all.
        trained: what is written.
        about: what the card says besides.
        again: write over the version, as somebody does who trains the same from the same seeds again. Estimates name
            their version, so an ordinary one never changes.

    Raises:
        ModelError: the version is there already, or the runtime refuses what was made.
        ExportError: a file does not compute what was trained.
    """
    if folder.exists() and not again:
        raise ModelError(f"{folder} is there already; a version is not written over: choose another one")
    scratch = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    private_folder(scratch)
    try:
        write_card(scratch, _exported(scratch, folder, trained, about))
        load_model_set(scratch)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return load_model_set(folder)


def _on_measured(networks: Mapping[str, EngagementLSTM], scale: Scale) -> dict[Modality, EngagementLSTM]:
    """Networks on windows as measured, from networks on windows standardised by the scale."""
    return {
        Modality(name): _composed(network, scale, Modality(name))
        for name, network in networks.items()
        if name != FEATURE_FUSION
    }


def _composed(network: EngagementLSTM, scale: Scale, modality: Modality) -> EngagementLSTM:
    """Two standardisations, one after the other, as one. Clipping comes after both, so it stays where it is."""
    mean, deviation = (part[modality].astype(np.float64) for part in (scale.mean, scale.deviation))
    composed = copy.deepcopy(network)
    composed.standardise_by(mean + deviation * network.mean.numpy(), deviation * network.deviation.numpy())
    return composed


def _exported(scratch: Path, folder: Path, trained: Trained, about: About) -> ModelCard:
    """The card of the files that are now in `scratch` and will be in `folder`."""
    return ModelCard(
        purpose=about.purpose,
        name=folder.parent.name,
        version=folder.name,
        parent=about.parent.card.identity if about.parent else None,
        accepted=about.accepted,
        created=date.today().isoformat(),
        modalities={modality: _classifier(scratch, modality, trained, about) for modality in trained.networks},
        personal=_second_opinion(scratch, trained),
        group=_group(scratch, trained.group),
        selector=_policy(scratch, "selector", trained.selector, about.parent),
        vote_right=_policy(scratch, "vote_right", trained.vote_right, about.parent),
        training=dict(about.training),
        metrics=dict(about.metrics),
    )


def _classifier(scratch: Path, modality: Modality, trained: Trained, about: About) -> ModalityCard:
    feature_set = about.feature_sets.get(modality, "none")
    if feature_set not in FEATURE_SETS:
        raise ModelError(f"the feature set of {modality} is '{feature_set}'; there are {', '.join(FEATURE_SETS)}")
    path = scratch / f"{modality}.onnx"
    export_classifier(trained.networks[modality], path)
    return ModalityCard(
        file=path.name,
        sha256=sha256(path),
        feature_set=feature_set,
        features=list(FEATURE_SETS[feature_set][1]),
        mean=trained.scale.mean[modality].tolist(),
        deviation=trained.scale.deviation[modality].tolist(),
        temperature=float(trained.networks[modality].temperature),
    )


def _second_opinion(scratch: Path, trained: Trained) -> PersonalCard | None:
    if trained.second_opinion is None:
        return None
    path = scratch / "personal.onnx"
    export_second_opinion(trained.second_opinion, path)
    return PersonalCard(file=path.name, sha256=sha256(path), share=trained.second_share)


def _group(scratch: Path, group: GroupModel | None) -> GroupCard | None:
    if group is None:
        return None
    path = scratch / "group.npz"
    export_group(group, path)
    return GroupCard(file=path.name, sha256=sha256(path), centred=group.centred, persistence_s=group.persistence_s)


def _policy(scratch: Path, name: str, policy: Policy | None, parent: ModelSet | None) -> PolicyCard | None:
    """A new policy, or else the parent's: how it was trained does not change with the classifiers."""
    path = scratch / f"{name}.onnx"
    if policy is not None:
        export_policy(policy, path)
        return PolicyCard(file=path.name, sha256=sha256(path), form=FORMS[policy.size].value)
    inherited: PolicyCard | None = getattr(parent.card, name) if parent else None
    if parent is None or inherited is None:
        return None
    shutil.copyfile(parent.folder / inherited.file, path)
    return PolicyCard(file=path.name, sha256=sha256(path), form=inherited.form)
