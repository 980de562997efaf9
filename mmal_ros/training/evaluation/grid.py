"""Run the cells that a table does not have yet, and keep each as soon as it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmal_ros.training.evaluation.engines import CellError, Engine
from mmal_ros.training.evaluation.settings import Cell, CellFunction, Settings
from mmal_ros.training.evaluation.table import ResultsTable

SPEED_OVER_S = 24 * 3600.0
"""Time left is judged by all cells of a day: one may take minutes."""


def run_grid(
    run_cell: CellFunction,
    cells: Sequence[Cell],
    settings: Settings,
    table: ResultsTable,
    engine: Engine,
    commit: str = "",
    console: Console | None = None,
) -> None:
    """Compute the cells that are missing in the table.

    Whatever ends it (Ctrl-C, a kill, an error), finished cells stay, and the next run computes the others only.

    Args:
        run_cell: the science of one cell.
        cells: what is to be there in the end.
        settings: handed to every cell.
        table: where finished cells go, and where they are looked for.
        engine: who computes: `joblib_engine` or `ray_engine`.
        commit: the version of the code, kept with each cell.
        console: where progress is shown; stderr by default.

    Raises:
        CellError: a cell failed; it is named.
    """
    missing = [cell for cell in cells if not table.has(cell)]
    if not missing:
        return
    with (
        _progress(console or Console(stderr=True)) as progress,
        closing(engine(run_cell, missing, settings)) as outcomes,
    ):
        bar = progress.add_task("cells", total=len(cells), completed=len(cells) - len(missing))
        for cell, outcome in outcomes:
            if isinstance(outcome, CellError):
                raise outcome
            table.write(cell, outcome, commit)
            progress.advance(bar)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    left = (TextColumn("left:"), TimeRemainingColumn())
    return Progress(*columns, *left, console=console, speed_estimate_period=SPEED_OVER_S)
