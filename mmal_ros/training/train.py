"""From a data set to a model set: classifiers, policy, control, files, card.

The same data set and plan give the same model set, bit by bit. What takes long is kept in a work folder beside the
output as soon as it is finished, so a training that was killed goes on where it was.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mmal_ros.datatypes import STEPS_PER_WINDOW
from mmal_ros.model_card import CLASSES, ModelError, write_card
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.training import provenance
from mmal_ros.training.devices import check_device
from mmal_ros.training.export.measure import measured
from mmal_ros.training.export.model_sets import About, Trained, of_group, write_model_set
from mmal_ros.training.group.models import GroupModel, GroupSettings, fit_group, folds_of
from mmal_ros.training.group.windows import heard_modalities, thinned
from mmal_ros.training.people import DataError, DataSet, PersonWindows
from mmal_ros.training.policy.algorithm_groups import GroupTraining
from mmal_ros.training.policy.policies import BUDGET, learned_control, policy_training
from mmal_ros.training.policy.q_functions import QNetwork
from mmal_ros.training.policy.settings import PRESETS, MMQLSettings, Run
from mmal_ros.training.workshop import Workshop

FIDELITY = "fidelity"
GROUP = GroupSettings(centred=False)
"""A model set meets people of whom nothing is known, so what its classifiers see is standardised by the training
people. Learned on windows centred on each person, they would meet something else than they learned."""
CENTRED = GroupSettings()
"""What a person's own set is made from: of her there are windows that can centre her, and that is what the evaluation
(docs/results.md) is about."""
TEST_SHARE = 0.2
"""Of the people, tested where neither the user nor the data set says who is."""
LEAST_PEOPLE = 2
"""To learn from: some have to be held out while the others are learned from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides the model set, beside the data."""

    test: tuple[str, ...]
    """Codes of the people on whom the set is measured; nothing is learned from them."""
    purpose: str
    """The first line of the card: what the set is for and what it is not for."""
    preset: str = "product"
    """Key of `policy.settings.PRESETS`. `product`: classifiers first, the policy on people scored without them.
    `fidelity`: Algorithm 1, classifiers and policy together."""
    budget: int = BUDGET
    """Labels per episode."""
    episodes: int = 100
    seed: int = 0
    device: str = "cpu"
    """Where the policy learns, and in `fidelity` the classifiers: cpu or cuda."""
    parent: ModelSet | None = None
    """The model set that this one succeeds."""
    command: str = field(default_factory=provenance.command)

    @property
    def settings(self) -> MMQLSettings:
        """Of Algorithm 1."""
        return replace(PRESETS[self.preset], episodes=self.episodes)


def train_model_set(
    output: Path, data: DataSet, plan: Plan, console: Console, log: Path | None = None, *, again: bool = False
) -> ModelSet:
    """Train, export, measure, and only then let the version appear; `current` stays what it is.

    Args:
        output: models/<name>/<version>. Beside it lies, until it is finished, the work folder `.<version>.work`.
        data: the people, with features as the live extractors make them.
        plan: see there.
        console: where progress is shown.
        log: folder for TensorBoard, if there is to be one.
        again: write over the version: for somebody who makes the same from the same seeds again.

    Raises:
        ModelError: the version is there already.
        ValueError: the device is not there.
        DataError: a model of this data could never run, or there are too few people.
        CheckpointError: the work folder is of a training with other options.
    """
    work = output.with_name(f".{output.name}.work")
    _refuse_existing(output, work, again)
    check_device(plan.device)
    people, test = _split(data, plan)
    torch.set_num_threads(1)  # sums of several threads differ from run to run
    with Workshop(work, console, log) as workshop:
        centred = fit_group(people, CENTRED, plan.seed, fitter=workshop.fitter(_networks(people, CENTRED), "centred"))
        group, selector = LEARN[plan.preset](people, plan, workshop)
        trained = of_group(group, selector, learned_control(group, plan.settings), centred)
        staged = _written(work / output.parent.name / output.name, trained, test, _about(data, plan, people))
        if again:
            shutil.rmtree(output, ignore_errors=True)
        staged.rename(output)
        workshop.clear()
    return load_model_set(output)


def people_to_test(data: DataSet) -> tuple[str, ...]:
    """Codes of whom the data set itself names for testing, or of the last fifth of its people, one at least."""
    count = math.ceil(TEST_SHARE * len(data.people))
    return data.tested if data.only_trained_on else data.codes[-count:]


# --- learning ----------------------------------------------------------------------------------------------------


def _product(people: Sequence[PersonWindows], plan: Plan, workshop: Workshop) -> tuple[GroupModel, QNetwork]:
    """Calibrated classifiers, then the policy on people as classifiers see them that have not seen these people."""
    group = fit_group(people, GROUP, plan.seed, fitter=workshop.fitter(_networks(people, GROUP), "classifiers"))
    training = policy_training(group, Run(plan.seed, plan.budget), plan.settings, plan.device)
    workshop.run(training)
    return group, training.policy(0)


def _fidelity(people: Sequence[PersonWindows], plan: Plan, workshop: Workshop) -> tuple[GroupModel, QNetwork]:
    """Algorithm 1 from nothing: the classifiers learn from the labels that the policy asks for."""
    along = GroupTraining(people, plan.seed, plan.budget, plan.settings, plan.device)
    workshop.run(along.training)
    return along.group(), along.training.policy(0)


def _networks(people: Sequence[PersonWindows], settings: GroupSettings) -> int:
    """How many networks a group takes."""
    kept = [thinned(person, settings.windows_per_person) for person in people]
    return len(heard_modalities(kept)) * (1 + len(folds_of(len(people), settings.folds)))


LEARN = {"product": _product, FIDELITY: _fidelity}


# --- files -------------------------------------------------------------------------------------------------------


def _written(staged: Path, trained: Trained, test: Sequence[PersonWindows], about: About) -> Path:
    """The folder of the set in the work folder, with a card that says how the files do."""
    models = write_model_set(staged, trained, about, again=True)  # of a run that was killed right here
    models.card.metrics.update(measured(models, test))
    write_card(staged, models.card)
    return staged


def _about(data: DataSet, plan: Plan, people: Sequence[PersonWindows]) -> About:
    training: dict[str, Any] = {
        "data": data.name,
        "source": data.source,
        "fingerprint": data.fingerprint(),
        "repairs": list(data.repairs),
        "people": {"train": [person.code for person in people], "test": list(plan.test)},
        "preset": plan.preset,
        "seed": plan.seed,
        "budget": plan.budget,
        "policy": asdict(plan.settings),
        "group": None if plan.preset == FIDELITY else asdict(GROUP),
        "centred_group": asdict(CENTRED),
        "device": plan.device,
        "command": plan.command,
        "software": provenance.software(),
    }
    if data.labelled:
        sessions = [data.labelled.get(person.code, {}) for person in people]
        training[provenance.LEARNED_FROM] = {name: list(ends) for of in sessions for name, ends in of.items()}
    return About(plan.purpose, data.feature_sets, training, parent=plan.parent)


# --- what cannot work --------------------------------------------------------------------------------------------


def _refuse_existing(output: Path, work: Path, again: bool) -> None:
    if not output.parent.name:
        raise ModelError(f"'{output}' names no model; expected a folder models/NAME/VERSION")
    if output.exists() and not again:
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed when it had finished
        raise ModelError(
            f"{output} is there already, and estimates name their version, so it never changes; "
            f"choose another version, for example {_free(output)}"
        )


def _free(output: Path) -> Path:
    """The next version whose number is not taken."""
    taken = [int(folder.name) for folder in output.parent.iterdir() if folder.name.isdigit()]
    return output.with_name(str(max(taken, default=0) + 1))


def _split(data: DataSet, plan: Plan) -> tuple[tuple[PersonWindows, ...], tuple[PersonWindows, ...]]:
    """People to learn from and people to test on; raises DataError where no model that runs could be made of them."""
    without = [modality for modality in data.modalities if modality not in data.feature_sets]
    if without or data.classes != CLASSES or data.steps != STEPS_PER_WINDOW:
        why = (
            f"its features of {without[0]} are not those that the live extractors make"
            if without
            else f"it has the classes {', '.join(data.classes)} and {data.steps} steps a window"
        )
        raise DataError(
            f"no model of '{data.name}' could run live: {why}. Train on a folder of recorded sessions with labels; "
            "what labels are worth on this data set is what `mmal evaluate` tells"
        )
    test = data.of(plan.test)
    people = tuple(person for person in data.people if person.code not in plan.test)
    if len(people) < LEAST_PEOPLE or not test:
        raise DataError(
            f"'{data.name}' has {len(data.people)} people, {len(test)} of them to be tested; expected at least one to "
            f"test and {LEAST_PEOPLE} to learn from"
        )
    return people, test
