"""The rows of a finished grid as tables and figures ask for them: one number per person, averaged over the seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmal_ros.datatypes import Level
from mmal_ros.training.evaluation.settings import (
    ALL_LABELS,
    BEFORE,
    MAIN_VARIANT,
    OWN_DATA_ONLY,
    VARIANTS,
    Protocol,
    Settings,
)

Numbers = NDArray[np.float64]
PERSON_KEY = ["protocol", "variant", "personaliser", "selector", "person", "budget"]
ALL_LABELS_KEY = ["protocol", "variant", "personaliser", "person"]
NUMBERS = [
    *("asked", "searched", "accuracy", "f1_present", "f1_all"),
    *("constant_accuracy", "constant_f1_present", "constant_f1_all"),
]
RANDOM = "random"


class View(NamedTuple):
    """Which part of the rows is looked at."""

    protocol: Protocol
    personaliser: str
    variant: str = MAIN_VARIANT

    def before(self) -> View:
        """The same without personalisation."""
        return self._replace(personaliser=BEFORE)

    def own_data_only(self) -> View:
        """The same, learned from the person's labels alone."""
        return self._replace(personaliser=OWN_DATA_ONLY)


class Results:
    """P people, B budgets, S selectors."""

    def __init__(self, rows: pd.DataFrame, settings: Settings) -> None:
        """`rows` as `COLUMNS` describes them."""
        self.settings = settings
        self.people: tuple[str, ...] = tuple(rows["person"].unique())
        self.budgets = settings.budgets
        self.selectors = tuple(name for name in settings.selectors if name != ALL_LABELS)
        self._rows = rows
        self._views = set(zip(rows["protocol"], rows["personaliser"], rows["variant"], strict=True))
        personalisers = tuple(dict.fromkeys((*settings.personalisers, BEFORE, OWN_DATA_ONLY)))
        self._axes = (settings.protocols, VARIANTS, personalisers, self.selectors, self.people, self.budgets)
        by_person = rows.groupby(PERSON_KEY)[NUMBERS].mean().reindex(pd.MultiIndex.from_product(self._axes))
        self._numbers = by_person.to_numpy(np.float64).reshape(*map(len, self._axes), len(NUMBERS))
        self._with_all_labels = rows[rows["selector"] == ALL_LABELS].groupby(ALL_LABELS_KEY)["f1_present"].mean()

    @property
    def reference(self) -> str:
        """The selector that the others are compared with: chance, where it is there."""
        return RANDOM if RANDOM in self.selectors else self.selectors[-1]

    @property
    def personalisers(self) -> tuple[str, ...]:
        """What is evaluated, the last one named first: neither "before" nor, if there is another, own data only."""
        names = [name for name in reversed(self.settings.personalisers) if name != BEFORE]
        return tuple(name for name in names if name != OWN_DATA_ONLY) or tuple(names)

    def variants(self, view: View) -> tuple[str, ...]:
        """The variants that there are rows of."""
        return tuple(name for name in VARIANTS if self.has(view._replace(variant=name)))

    def has(self, view: View) -> bool:
        """Whether there are rows."""
        return tuple(view) in self._views

    def curves(self, view: View, selector: str, metric: str = "f1_present") -> Numbers:
        """(P, B) in the order of `people` and `budgets`, mean over the seeds; NaN where there is no row."""
        wanted = (view.protocol, view.variant, view.personaliser, selector)
        place = tuple(axis.index(name) for axis, name in zip(self._axes, wanted, strict=False))
        result: Numbers = self._numbers[place][:, :, NUMBERS.index(metric)]
        return result

    def with_all_labels(self, view: View) -> Numbers:
        """(P,) F1 over the classes present, when everything in the pool is asked about; NaN where there is no row."""
        wanted = pd.MultiIndex.from_product([[view.protocol], [view.variant], [view.personaliser], self.people])
        result: Numbers = self._with_all_labels.reindex(wanted).to_numpy(np.float64)
        return result

    def confusion(self, view: View, selector: str, budget: int) -> NDArray[np.int64]:
        """(3, 3) counts (truth, answer) over all people and seeds."""
        chosen = self._rows[
            (self._rows["protocol"] == view.protocol)
            & (self._rows["personaliser"] == view.personaliser)
            & (self._rows["variant"] == view.variant)
            & (self._rows["selector"] == selector)
            & (self._rows["budget"] == budget)
        ]
        flat = np.array(chosen["confusion"].tolist(), np.int64).reshape(-1, len(Level) ** 2)
        counts: NDArray[np.int64] = flat.sum(axis=0).reshape(len(Level), len(Level))
        return counts
