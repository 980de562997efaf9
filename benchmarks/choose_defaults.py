"""Which personalisation and which selector become the default: leave-one-person-out on swell-kw, nested.

For every person the setting is chosen that is best on average for all the others, and scored on her: so no figure here
is of a setting that was chosen on the person it is about. The default is what wins over everybody.

    python benchmarks/choose_defaults.py --data ../shared/data/swell-kw --jobs 2      (about ten minutes)
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmal_ros.selector import EvenlyInTime, Random, Selector, SlicedCoverage
from mmal_ros.training.data import load_data_set
from mmal_ros.training.evaluation.cell import GROUP_SEED, candidates_of
from mmal_ros.training.evaluation.protocol import time_blocked
from mmal_ros.training.group.models import GroupSettings
from mmal_ros.training.group.store import stored_group
from mmal_ros.training.metrics import score
from mmal_ros.training.people import DataSet
from mmal_ros.training.person.personalise import PRODUCT, personalise

BUDGETS = (5, 10, 20)
SELECTORS: dict[str, Selector] = {
    "random": Random(),
    "evenly in time": EvenlyInTime(),
    **{f"sliced coverage, reach {reach:g}": SlicedCoverage(reach=reach) for reach in (0.1, 0.2, 0.4)},
}
SEEDS = 4
"""Of the random selector; nothing is random in the others."""
PERSONALISERS = {
    "labels alone": replace(PRODUCT, spreads=False),
    "labels spread in time": PRODUCT,
    "spread, half the epochs": replace(PRODUCT, epochs=PRODUCT.epochs // 2),
    "spread, a third of the loss on replay": replace(PRODUCT, replayed_share=1 / 3),
}
SHARES = (0.0, 0.5, 0.67, 0.8, 1.0)
"""Weights of the second opinion: 0 the networks alone, 1 the trees alone."""
SETTING = ["personaliser", "share"]
CONSOLE = Console()


def main(
    data: Annotated[Path, typer.Option(metavar="DIR", help="folder of swell-kw")],
    jobs: Annotated[int, typer.Option(min=1, help="people at the same time")] = 1,
) -> None:
    """Score every setting on every person, and choose without the person."""
    loaded = load_data_set("swell-kw", data)
    work = (delayed(rows_of)(loaded, code) for code in loaded.tested)
    results = Parallel(jobs, return_as="generator")(work)
    rows = pd.DataFrame([row for part in track(results, "people", len(loaded.tested), console=CONSOLE) for row in part])
    CONSOLE.print(personaliser_table(rows))
    CONSOLE.print(selector_table(rows))


def rows_of(data: DataSet, code: str) -> list[dict[str, Any]]:
    """Macro-F1 of every setting on one person, whom the group has not seen."""
    person = data.of([code])[0]
    group = stored_group(data.group_without(code), data.fingerprint(), GroupSettings(), GROUP_SEED, fused=True)
    split = time_blocked(person, data.gap_s)
    pool, test = person.take(split.pool[np.argsort(person.times_s[split.pool], kind="stable")]), person.take(split.test)
    candidates = candidates_of(group, pool)
    choices = [
        (name, budget, selector.select(candidates, budget, np.random.default_rng([seed, budget])))
        for name, selector in SELECTORS.items()
        for budget, seed in product(BUDGETS, range(SEEDS if name == "random" else 1))
    ]
    found = []
    for setting, personaliser in PERSONALISERS.items():
        opinions = personalise(group, pool, [rows for *_, rows in choices], personaliser, 0).opinions(test)
        for share in SHARES:
            levels = replace(opinions, second_share=share).levels
            for (name, budget, _), answers in zip(choices, levels, strict=True):
                f1 = score(test.labels, answers).f1_present
                what = {"person": code, "selector": name, "budget": budget, "personaliser": setting, "share": share}
                found.append({**what, "f1": f1})
    return found


def personaliser_table(rows: pd.DataFrame) -> Table:
    """Every personaliser, all selectors together, and what choosing without the person gives."""
    scores = rows.groupby([*SETTING, "budget", "person"]).f1.mean().unstack("person")
    return _table("personaliser, weight of the trees; mean over selectors", scores)


def selector_table(rows: pd.DataFrame) -> Table:
    """Every selector with the personaliser that is the default."""
    default = rows[(rows.personaliser == "labels spread in time") & (rows.share == PRODUCT.trees_share)]
    return _table("selector", default.groupby(["selector", "budget", "person"]).f1.mean().unstack("person"))


def _table(title: str, scores: pd.DataFrame) -> Table:
    """Mean over people by budget; last, the mean when each person's setting is the one that is best for the others."""
    settings = scores.groupby(level=list(range(scores.index.nlevels - 1))).mean()  # over budgets
    table = Table(title, *(f"{budget} labels" for budget in BUDGETS), "mean", title="macro-F1, swell-kw")
    for setting, by_person in settings.iterrows():
        means = scores.loc[setting].mean(axis=1)
        table.add_row(_name(setting), *(f"{means[budget]:.3f}" for budget in BUDGETS), f"{by_person.mean():.3f}")
    chosen = {person: settings.drop(columns=person).mean(axis=1).idxmax() for person in settings}
    nested = [np.mean([scores.loc[setting].loc[b, who] for who, setting in chosen.items()]) for b in BUDGETS]
    table.add_section()
    table.add_row("chosen without the person", *(f"{f1:.3f}" for f1 in nested), f"{np.mean(nested):.3f}")
    table.add_row("chosen most often", _name(max(set(chosen.values()), key=list(chosen.values()).count)))
    return table


def _name(setting: object) -> str:
    return ", ".join(map(str, setting)) if isinstance(setting, tuple) else str(setting)


if __name__ == "__main__":
    typer.run(main)
