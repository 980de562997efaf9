"""What is evaluated: the settings of a grid, its cells, and the columns of the rows that a cell gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Protocol = Literal["time-blocked", "random-remainder"]

TIME_BLOCKED: Protocol = "time-blocked"
"""The main one: a fixed hold-out of contiguous time, with a gap."""
RANDOM_REMAINDER: Protocol = "random-remainder"
"""The paper's: tested on whatever was not selected."""
BEFORE = "none"
"""Personaliser of the rows "before": the group model as it is, on the test windows of the same selector and budget."""
OWN_DATA_ONLY = "own-data-only"
"""Personaliser that learns from the person's labels alone: what they are worth without any group model."""
ALL_LABELS = "all"
"""Selector that asks for every window of the pool; the budget of its rows is the size of the pool."""
VARIANTS = ("face", "body", "physiology", "audio", "feature-fusion", "model-fusion")
MAIN_VARIANT = "model-fusion"


def _different(names: Sequence[Any]) -> Sequence[Any]:
    if len(set(names)) < len(names):
        raise ValueError(f"something is named twice in {', '.join(map(str, names))}")
    return names


def _choosing(selectors: tuple[str, ...]) -> tuple[str, ...]:
    if set(selectors) == {ALL_LABELS}:
        raise ValueError(f"'{ALL_LABELS}' chooses nothing, others are held against it; name one of them, too")
    return selectors


def _rising(budgets: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(budgets))


def _held_against(personalisers: tuple[str, ...]) -> tuple[str, ...]:
    missing = {BEFORE, OWN_DATA_ONLY} - set(personalisers)
    if missing:
        raise ValueError(f"'{sorted(missing)[0]}' must be among them: what others are held against is always drawn")
    return personalisers


Names = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_different)]
Budget = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """What is evaluated. Travels to every process as it is, and lies as JSON beside the results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_set: str = Field(description="what `load_data_set` calls it")
    folder: Path | None = Field(default=None, description="where the data lies; every machine needs it there")
    people: tuple[str, ...] | None = Field(default=None, description="codes of who is tested; None: everybody")
    selectors: Annotated[Names, AfterValidator(_choosing)] = Field(
        description="the first one is the one the report is about"
    )
    budgets: Annotated[tuple[Budget, ...], Field(min_length=1), AfterValidator(_different), AfterValidator(_rising)]
    seeds: int = Field(default=10, ge=1, description="how many; they are 0, 1, ...")
    personalisers: Annotated[Names, AfterValidator(_held_against)] = Field(description="the last one is reported first")
    protocols: Annotated[tuple[Protocol, ...], Field(min_length=1), AfterValidator(_different)] = (TIME_BLOCKED,)
    pool_share: float = Field(default=0.6, gt=0, lt=1, description="of each block: what may be asked about")
    device: str = Field(default="cpu", description="where torch computes")

    def science(self) -> dict[str, Any]:
        """What decides the numbers in a row, as JSON has it.

        People and seeds only say which rows there are, so a table may grow by them; the folder is only a place.
        """
        return self.model_dump(mode="json", exclude={"folder", "people", "seeds"})

    def cells(self, everybody: Sequence[str]) -> list[Cell]:
        """The cells of the grid, seed by seed, so that an unfinished grid says something about everybody."""
        people = self.people or tuple(everybody)
        return [Cell(person, seed) for seed in range(self.seeds) for person in people]


def settings_of(**values: object) -> Settings:
    """The settings; raises ValueError with one sentence on the first value that does not fit."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        why = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{name} = {first['input']!r}: {why}") from error


@dataclass(frozen=True, slots=True)
class Cell:
    """One piece of work: all selectors, budgets and personalisers for one held-out person and one seed."""

    person: str
    seed: int

    def __str__(self) -> str:
        return f"person '{self.person}', seed {self.seed}"


Row = dict[str, Any]
CellFunction = Callable[[Cell, Settings], list[Row]]
"""`cell.run_cell`, or a toy in its place. It runs in other processes, so it must be importable there; rows hold plain
numbers, texts and lists, `COLUMNS` at least, one row per protocol, selector, budget, personaliser and variant."""

COLUMNS: dict[str, type] = {
    "dataset": str,
    "person": str,
    "seed": int,
    "protocol": str,
    "selector": str,
    "budget": int,  # labels allowed
    "personaliser": str,
    "variant": str,  # of VARIANTS
    "asked": int,  # labels really asked for
    "searched": float,  # 0-1, share of the pool looked at until the budget was spent; NaN: not applicable
    "accuracy": float,
    "f1_present": float,  # macro-F1 over the classes that occur in the test windows
    "f1_all": float,  # macro-F1 over all classes of the data set
    "constant_accuracy": float,  # of always answering the commonest class of the test windows
    "constant_f1_present": float,
    "constant_f1_all": float,
    "confusion": list,  # nine counts, (truth, answer) row by row
    "seconds": float,  # what the row took to compute
}
KEY = ("protocol", "variant", "personaliser", "selector", "budget", "person", "seed")
"""What no two rows have in common."""
