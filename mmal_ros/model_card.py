"""The model card: what a model set is for, what it expects, how it was made and how well it does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmal_ros.datatypes import STEP_NS, STEPS_PER_WINDOW, Level, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.files import write_atomically
from mmal_ros.wording import why

CARD_NAME = "model.json"
CURRENT_NAME = "current"
OPSET = 17
"""The one that `training.export.classifiers` writes and that every supported ONNX Runtime reads."""
DEFAULT_AUDIO_FEATURES = "opensmile-egemaps"
CLASSES = tuple(level.name.lower() for level in Level)


class ModelError(Exception):
    """The model set does not fit or does not load; the message says what is wrong with which file."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Around whatever looks at a file of a model set: what the system has against it becomes a ModelError."""
    try:
        yield
    except OSError as error:
        raise ModelError(f"{error.filename or path} cannot be read ({why(error)})") from error


class PartCard(BaseModel):
    """What the card says of every file."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(description="the file, beside the card: ONNX, or arrays of NumPy")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ModalityCard(PartCard):
    """What the card says of one classifier."""

    feature_set: str = Field(description="key of features.names.FEATURE_SETS")
    features: list[str] = Field(description="names in the order of the input")
    mean: list[float] = Field(
        description="of the training people, in a person's own set of the person; the graph has it inside, and the "
        "second opinion is asked about windows standardised by it"
    )
    deviation: list[Annotated[float, Field(gt=0)]] = Field(description="likewise")
    temperature: float = Field(gt=0, description="of the calibration on held-out people; inside the graph")


class PersonalCard(PartCard):
    """What the card says of the second opinion, learned from a person's labels alone."""

    share: float = Field(ge=0, le=1, description="its weight beside the mean of the modalities")


class GroupCard(PartCard):
    """What the card says of the weights from which a person's own set is made; arrays only, read by training alone."""

    centred: bool = Field(description="trained on windows standardised by each person's own")
    persistence_s: float = Field(ge=0, description="how long a label holds, in seconds")


class PolicyCard(PartCard):
    """What the card says of a trained criterion for what is worth a label."""

    form: Literal["fidelity", "product"] = Field(description="the state it sees: key of selector.StateForm")


class ModelCard(BaseModel):
    """The file model.json."""

    model_config = ConfigDict(extra="forbid")

    purpose: str = Field(description="the first line: what the model is for and what it is not for")
    name: str
    version: str
    parent: str | None = Field(default=None, description="name/version this one was made from")
    accepted: bool | None = Field(
        default=None, description="in a person's set: better than the one in use on labels held out; null: not compared"
    )
    created: str = Field(description="date, ISO 8601")
    classes: list[str] = Field(default=list(CLASSES))
    opset: Literal[17] = 17
    step_ms: int = STEP_NS // 1_000_000
    steps: int = STEPS_PER_WINDOW
    modalities: dict[Modality, ModalityCard]
    personal: PersonalCard | None = Field(default=None, description="only in a person's model set")
    group: GroupCard | None = Field(default=None, description="what a person's own set can be made from")
    selector: PolicyCard | None = Field(default=None, description="MMQL's Q-function")
    vote_right: PolicyCard | None = Field(default=None, description="its control: how likely the vote is right")
    training: dict[str, Any] = Field(default={}, description="data, people, seeds, software")
    metrics: dict[str, Any] = Field(default={}, description="on people the model has not seen, with the constant")

    @property
    def identity(self) -> str:
        """`name/version`."""
        return f"{self.name}/{self.version}"

    @property
    def shown(self) -> str:
        """The same for logs: a person's own set is named by her code."""
        return self.identity if self.personal is None and self.parent is None else f"a person's own/{self.version}"

    @property
    def parts(self) -> list[PartCard]:
        """Everything that is a file."""
        optional = (self.personal, self.group, self.selector, self.vote_right)
        return [*self.modalities.values(), *(part for part in optional if part is not None)]

    @property
    def feature_sets(self) -> dict[Modality, str]:
        """The feature set of each modality."""
        return {modality: card.feature_set for modality, card in self.modalities.items()}

    @property
    def audio_features(self) -> str:
        """Which of the audio feature sets the model hears; the default one when it hears none."""
        return self.feature_sets.get(Modality.AUDIO, DEFAULT_AUDIO_FEATURES)


def read_card(folder: Path) -> ModelCard:
    """The model card; raises ModelError naming the field that is wrong, or why the file cannot be read."""
    try:
        with readable(folder / CARD_NAME):
            return ModelCard.model_validate_json((folder / CARD_NAME).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{folder / CARD_NAME}: {place or 'the file'}: {first['msg']}") from error
    except ValueError as error:
        raise ModelError(f"{str(folder)!r} is no folder of a model set: {error}") from error


def write_card(folder: Path, card: ModelCard) -> None:
    """Write the card of a version, completely or not at all."""
    write_atomically(folder / CARD_NAME, card.model_dump_json(indent=1) + "\n")


def make_current(model_folder: Path, version: str) -> None:
    """Make a version the live one, atomically."""
    write_atomically(model_folder / CURRENT_NAME, version + "\n")


def sha256(path: Path) -> str:
    """The file's hash, as a card has it; raises ModelError."""
    with readable(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()


def check_features(folder: Path, card: ModelCard) -> None:
    """Refuse a card whose classes, steps or features are not this software's; raises ModelError."""
    where = folder / CARD_NAME
    if tuple(card.classes) != CLASSES or (card.step_ms, card.steps) != (STEP_NS // 1_000_000, STEPS_PER_WINDOW):
        raise ModelError(
            f"{where}: made for classes {card.classes} and {card.steps} steps of {card.step_ms} ms; "
            f"this software uses {list(CLASSES)} and {STEPS_PER_WINDOW} steps of {STEP_NS // 1_000_000} ms"
        )
    if not card.modalities:
        raise ModelError(f"{where}: it names no modality")
    for modality, part in card.modalities.items():
        _check_modality(where, modality, part)


def _check_modality(where: Path, modality: Modality, part: ModalityCard) -> None:
    known, names = FEATURE_SETS.get(part.feature_set, (None, ()))
    if known is not modality:
        fitting = [name for name, (owner, _) in FEATURE_SETS.items() if owner is modality]
        raise ModelError(f"{where}: '{part.feature_set}' is no feature set of {modality}; there are {fitting}")
    if len(part.features) != len(names):
        raise ModelError(f"{where}: {modality} has {len(part.features)} features, '{part.feature_set}' {len(names)}")
    for index, (found, expected) in enumerate(zip(part.features, names, strict=True)):
        if found != expected:
            raise ModelError(f"{where}: feature {index} of {modality} is '{found}', expected '{expected}'")
    if not len(part.mean) == len(part.deviation) == len(names):
        raise ModelError(
            f"{where}: {modality} has {len(names)} features, {len(part.mean)} means, {len(part.deviation)} deviations"
        )
