"""A grid of cells is worked through whatever happens on the way, and nothing finished is lost or done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from mmal_ros.training.evaluation.engines import CellError, joblib_engine
from mmal_ros.training.evaluation.grid import run_grid
from mmal_ros.training.evaluation.settings import Cell, Settings
from mmal_ros.training.evaluation.table import ResultsTable, TableError
from rigs.ctrl_c import hear_ctrl_c
from rigs.toy_cells import PEOPLE, failing_cell, rows, settings

TEST = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(TEST), str(TEST.parent)]), "OMP_NUM_THREADS": "1"}


@contextmanager
def grid_process(folder: Path, engine: str, kind: str, seeds: int):
    """The grid in a process of its own; whatever it started is gone afterwards."""
    command = [sys.executable, "-m", "rigs.toy_cells", str(folder), engine, kind, str(seeds)]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=hear_ctrl_c
    )
    family = {psutil.Process(process.pid)}
    try:
        yield process, family
    finally:
        for member in family:
            if member.is_running():
                member.kill()
        process.communicate()


def finished(folder: Path) -> list[Path]:
    return sorted((folder / "cells").glob("[!.]*.parquet"))


def wait_for_cells(folder: Path, process: subprocess.Popen, family: set, count: int) -> None:
    """Wait until so many cells are finished, and note who works on them."""
    while len(finished(folder)) < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    family.update(psutil.Process(process.pid).children(recursive=True))


@pytest.mark.parametrize("engine", ["joblib", "ray"])
def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path, engine):
    """SIGKILL after three cells: the second run computes the others only, and the table is complete."""
    with grid_process(tmp_path, engine, "slow", 4) as (process, family):
        wait_for_cells(tmp_path, process, family, 3)
        process.kill()
        process.wait()
        kept = {path: path.stat().st_mtime_ns for path in finished(tmp_path)}
    assert 3 <= len(kept) < 12
    with grid_process(tmp_path, engine, "slow", 4) as (process, _):
        _, log = process.communicate(timeout=100)
    assert process.returncode == 0, log
    assert "12/12" in log
    assert all(path.stat().st_mtime_ns == changed for path, changed in kept.items())

    chosen = settings(folder=tmp_path, seeds=4)
    cells = chosen.cells(PEOPLE)
    table = ResultsTable(tmp_path / "cells", chosen, "hash").read(cells)
    expected = [(row["person"], row["seed"], row["f1_present"]) for cell in cells for row in rows(cell, chosen)]
    assert list(zip(*(table[name].to_pylist() for name in ("person", "seed", "f1_present")), strict=True)) == expected
    began = Counter((tmp_path / "began").read_text().splitlines())
    assert set(began) == {str(cell) for cell in cells}
    # Two were at work, and each of the two workers may have begun another one before it saw that it is an orphan.
    assert sum(began.values()) <= 12 + 4, "more was computed again than what was at work when it was killed"


@pytest.mark.parametrize("engine", ["joblib", "ray"])
def test_ctrl_c_ends_a_run_cleanly(tmp_path, engine):
    """As a terminal sends it, to everybody: no traceback, no process left, finished cells stay."""
    with grid_process(tmp_path, engine, "slow", 30) as (process, family):
        wait_for_cells(tmp_path, process, family, 2)
        os.killpg(process.pid, signal.SIGINT)
        _, log = process.communicate(timeout=60)
        _, alive = psutil.wait_procs(family, timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in log
    assert "Warning" not in log
    assert alive == []
    assert len(finished(tmp_path)) >= 2


def test_a_cell_that_fails_is_named(tmp_path):
    """Who, which seed, what and where; the others that were finished stay."""
    with grid_process(tmp_path, "joblib", "failing", 2) as (process, _):
        _, log = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "person 'P/2', seed 1: ZeroDivisionError: nothing to divide by" in log
    assert "in failing_cell" in log
    assert finished(tmp_path)


def test_a_worker_that_dies_is_reported(tmp_path):
    with grid_process(tmp_path, "joblib", "dying", 1) as (process, _):
        _, log = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "was killed" in log
    assert "Traceback (most recent" not in log


def run_here(
    folder: Path, cell=rows, chosen: Settings | None = None, data_hash: str = "hash", console=None
) -> ResultsTable:
    """The grid in this process."""
    chosen = chosen or settings()
    table = ResultsTable(folder, chosen, data_hash)
    run_grid(cell, chosen.cells(PEOPLE), chosen, table, joblib_engine(1), "abc", console)
    return table


def test_people_and_seeds_can_be_added(tmp_path):
    first = run_here(tmp_path, chosen=settings(seeds=1))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    run_here(tmp_path, chosen=settings(seeds=2))
    assert len(list(tmp_path.glob("*.parquet"))) == 6
    assert all(path.stat().st_mtime_ns == changed for path, changed in before.items())
    assert first.commits(settings().cells(PEOPLE)) == ["abc"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budgets": (5, 10)}, r"budgets \[5, 10, 20\] \(now \[5, 10\]\).*Choose another --output"),
        ({"selectors": ("random",)}, r'selectors \["coverage", "random"\]'),
        ({"device": "cuda"}, r'device "cpu" \(now "cuda"\)'),
        ({"pool_share": 0.5}, r"pool_share 0.6 \(now 0.5\)"),
    ],
)
def test_rows_of_other_settings_are_not_mixed(tmp_path, changes, sentence):
    run_here(tmp_path)
    with pytest.raises(TableError, match=sentence):
        run_here(tmp_path, chosen=settings(**changes))


def test_rows_of_other_data_are_not_mixed(tmp_path):
    run_here(tmp_path)
    with pytest.raises(TableError, match='data_hash "hash"'):
        run_here(tmp_path, data_hash="other")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda row: row.pop("searched"), "column 'searched' is 'missing', expected float"),
        (lambda row: row.update(budget=5.0), r"column 'budget' is 5\.0, expected int"),
        (lambda row: row.update(person="P9"), "a row is of person 'P9', seed 0"),
        (lambda row: row.update(budget=10), "two rows have .*'budget': 10"),
    ],
)
def test_a_row_that_is_not_right_is_refused_at_once(tmp_path, spoil, sentence):
    """Not a day later, when the report is drawn."""

    def spoiled(cell: Cell, chosen: Settings):
        found = rows(cell, chosen)
        spoil(found[0])
        return found

    with pytest.raises(TableError, match=f"person 'P1', seed 0: .*{sentence}"):
        run_here(tmp_path, spoiled)
    assert not list(tmp_path.glob("*.parquet"))


def test_a_cell_without_rows_is_refused(tmp_path):
    with pytest.raises(TableError, match="no rows"):
        run_here(tmp_path, lambda cell, chosen: [])


def test_a_failure_in_this_process_is_named_too(tmp_path):
    with pytest.raises(CellError, match="person 'P/2', seed 1: ZeroDivisionError"):
        run_here(tmp_path, failing_cell)


def test_progress_counts_what_was_done_before(tmp_path):
    console = Console(record=True, width=100, file=StringIO())
    run_here(tmp_path, chosen=settings(seeds=1), console=console)
    run_here(tmp_path, console=console)
    assert "3/3" in (text := console.export_text())
    assert "6/6" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"personalisers": ("none", "product")}, "'own-data-only' must be among them"),
        ({"budgets": (0, 5)}, "greater than or equal to 1"),
        ({"selectors": ("random", "random")}, "named twice"),
        ({"selectors": ()}, "at least 1"),
        ({"selectors": ("all",)}, "'all' chooses nothing"),
        ({"seeds": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_make_no_evaluation_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        settings(**changes)


def test_settings_come_back_from_json_as_they_were():
    chosen = settings(folder=Path("somewhere"), people=("P1",), budgets=(20, 5))
    assert Settings.model_validate_json(chosen.model_dump_json()) == chosen
    assert chosen.budgets == (5, 20)
    assert chosen.cells(PEOPLE) == [Cell("P1", 0), Cell("P1", 1)]
