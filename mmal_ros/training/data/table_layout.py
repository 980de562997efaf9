"""The YAML that says what the columns of somebody's table are, checked field by field."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmal_ros.datatypes import Modality
from mmal_ros.training.data.errors import meant
from mmal_ros.training.people import DataError
from mmal_ros.wording import why

Word = str | bool | int | float


class TableLayout(BaseModel):
    """Which column is what.

    An example, beside `study.parquet`:

        name: our-study
        source: Doe et al., 2025
        file: study.parquet
        person: child
        time: second
        label: engagement
        classes: [low, medium, high]
        labels: {-1: low, 0: medium, 1: high, 9: null}
        block: session
        gap_s: 10
        missing: [999]
        modalities:
          face: ["AU*", gaze_x, gaze_y]
          physiology: [heart_rate, eda]
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    source: str = Field(min_length=1, description="to be cited with every figure")
    file: str = Field(description=".csv, .parquet or .npz, relative to the YAML")
    person: str = Field(description="column of the person's code")
    time: str = Field(description="column of the middle of the window, in seconds")
    label: str = Field(description="column of what `labels` translates")
    classes: list[str] = Field(min_length=2, max_length=3)
    labels: dict[Word, str | None] = Field(description="what stands in the file -> a class; null: the row is left out")
    block: str | None = Field(default=None, description="column that names stretches of recording")
    gap_s: float = Field(ge=0, allow_inf_nan=False, description="closer windows of one person are near copies")
    missing: list[float] = Field(default=[], description="numbers that stand for a missing one")
    modalities: dict[Modality, list[str]] = Field(min_length=1, description="columns; * and ? as in file names")
    feature_sets: dict[Modality, str] = Field(
        default={}, description="key of features.names.FEATURE_SETS, where the columns are that set in its order"
    )

    @model_validator(mode="after")
    def _labels_lead_to_classes(self) -> Self:
        for value, name in self.labels.items():
            if name is not None and name not in self.classes:
                raise ValueError(f"label {value} leads to '{name}', which is no class; {meant(name, self.classes)}")
        unused = [name for name in self.classes if name not in self.labels.values()]
        if unused:
            raise ValueError(f"no label leads to the class '{unused[0]}'")
        return self

    def class_of(self, word: str) -> int | None:
        """The class of what stands in the file, None: to be left out; raises KeyError."""
        name = {_plain(value): name for value, name in self.labels.items()}[_plain(word)]
        return None if name is None else self.classes.index(name)


def read_layout(path: Path) -> TableLayout:
    """Read the YAML; raises DataError naming the field."""
    try:
        return TableLayout.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {why(error)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        guess = f"; {meant(place, TableLayout.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise DataError(f"{path}: {place or 'the file'}: {first['msg']}{guess}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no text, or a number without end
        raise DataError(f"{path}: this is no YAML: {error}") from error


def _plain(value: Word) -> str:
    """Equal for 1, 1.0 and "1", and for True and "true"."""
    word = str(value).strip()
    try:
        number = float(word)
    except ValueError:
        return word.lower() if word.lower() in ("true", "false") else word
    return repr(number) if math.isfinite(number) else word
