"""Cells that cost nothing, in a module of their own so that worker processes can import them; and a grid of them.

`python -m rigs.toy_cells FOLDER ENGINE SEEDS` runs the grid in a process that a test may kill.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from mmal_ros.training.evaluation.engines import CellError, joblib_engine, ray_engine
from mmal_ros.training.evaluation.grid import run_grid
from mmal_ros.training.evaluation.settings import BEFORE, OWN_DATA_ONLY, Cell, Row, Settings
from mmal_ros.training.evaluation.table import ResultsTable
from mmal_ros.training.metrics import score_columns

PEOPLE = ("P1", "P/2", "Zoë")
GAIN = {BEFORE: 0.0, OWN_DATA_ONLY: 0.15, "product": 0.2}
SKILL = {"random": 0.0, "coverage": 0.08}


def settings(**changes: object) -> Settings:
    given = {
        "data_set": "toy",
        "selectors": ("coverage", "random"),
        "budgets": (5, 10, 20),
        "seeds": 2,
        "personalisers": (BEFORE, OWN_DATA_ONLY, "product"),
    }
    return Settings.model_validate(given | changes)


def rows(cell: Cell, settings: Settings, variants: tuple[str, ...] = ("model-fusion",)) -> list[Row]:
    """What somebody might get: better with more labels and with a better selector."""
    random = np.random.default_rng([cell.seed, *cell.person.encode()])
    truth = random.integers(3, size=300)
    return [
        _row(cell, settings, random, truth, selector, budget, personaliser, variant, protocol)
        for protocol in settings.protocols
        for variant in variants
        for personaliser in settings.personalisers
        for selector in settings.selectors
        for budget in settings.budgets
    ]


def _row(cell, settings, random, truth, selector, budget, personaliser, variant, protocol) -> Row:
    learned = GAIN[personaliser] * np.log2(budget) / 3 + (SKILL[selector] if personaliser != BEFORE else 0)
    right = random.random(len(truth)) < min(0.4 + learned, 1)
    answers = np.where(right, truth, random.integers(3, size=len(truth)))
    return {
        "dataset": settings.data_set,
        "person": cell.person,
        "seed": cell.seed,
        "protocol": protocol,
        "selector": selector,
        "budget": budget,
        "personaliser": personaliser,
        "variant": variant,
        "asked": budget,
        "searched": float("nan") if selector == "random" else min(budget / 30, 1.0),
        **score_columns(truth, answers, truth[:50]),
        "seconds": 0.01,
    }


def slow_cell(cell: Cell, settings: Settings) -> list[Row]:
    """Leaves a line in the file `began`, then takes its time."""
    assert settings.folder is not None
    with (settings.folder / "began").open("a") as file:
        file.write(f"{cell}\n")
    time.sleep(0.2)
    return rows(cell, settings)


def failing_cell(cell: Cell, settings: Settings) -> list[Row]:
    if cell == Cell("P/2", 1):
        raise ZeroDivisionError("nothing to divide by")
    return rows(cell, settings)


def dying_cell(cell: Cell, settings: Settings) -> list[Row]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


CELLS = {"slow": slow_cell, "failing": failing_cell, "dying": dying_cell}


def main(folder: str, engine: str, kind: str, seeds: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = settings(folder=Path(folder), seeds=int(seeds))
    engines = {"joblib": joblib_engine(2), "ray": ray_engine(None, 1)}
    table = ResultsTable(Path(folder) / "cells", chosen, "hash")
    try:
        run_grid(CELLS[kind], chosen.cells(PEOPLE), chosen, table, engines[engine], "commit")
    except CellError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(*sys.argv[1:])
