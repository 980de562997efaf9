"""`mmal evaluate`: what users type, and what they are told."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from rigs import toy_cells


def mmal(*arguments: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture
def toy_science(monkeypatch):
    """Cells that cost nothing in the place of training."""
    cell = ModuleType("mmal_ros.training.evaluation.cell")
    cell.run_cell = lambda task, settings: toy_cells.rows(task, settings)
    monkeypatch.setitem(sys.modules, cell.__name__, cell)
    monkeypatch.setattr(toy_cells, "SKILL", {"sliced-coverage": 0.1, "random": 0.0})


@pytest.mark.usefixtures("toy_science")
def test_a_report_is_written_and_a_second_run_only_draws(tmp_path, shared_data):
    arguments = ["swell-kw", "--data", shared_data / "swell-kw", "--output", tmp_path / "report", "--seeds", 1]
    arguments += ["--selectors", "sliced-coverage,random", "--budgets", "10,5", "--personalisers", "product"]
    arguments += ["--people", "PP1,PP2,PP3", "--protocols", "time-blocked"]
    first = mmal(*arguments)
    assert first.exit_code == 0, first.output
    assert "report.md" in first.stdout
    text = (tmp_path / "report/report.md").read_text()
    assert "3: PP1, PP2, PP3" in text
    assert "### product, time-blocked" in text
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "report/cells").glob("*.parquet")}
    assert len(cells) == 3
    assert mmal(*arguments).exit_code == 0
    assert all(path.stat().st_mtime_ns == changed for path, changed in cells.items())

    other = mmal(*arguments, "--budgets", "5")
    assert other.exit_code == 2
    assert "holds results of another grid: budgets [5, 10] (now [5])" in other.stderr


@pytest.mark.usefixtures("toy_science")
def test_a_cell_that_fails_is_exit_code_1_and_its_name(tmp_path, shared_data, monkeypatch):
    """The toy does not know this personaliser: a bug, so there is a traceback, but the cell comes first."""
    monkeypatch.setattr(toy_cells, "GAIN", {"none": 0.0})
    run = mmal("swell-kw", "--data", shared_data / "swell-kw", "--output", tmp_path, "--selectors", "random")
    assert run.exit_code == 1
    assert "person 'PP1', seed 0: KeyError: 'own-data-only'" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["swell-kv"], "did you mean 'swell-kw'"),
        (["swell-kw"], "say in which folder"),
        (["swell-kw", "--selectors", "randm"], "did you mean 'random'"),
        (["swell-kw", "--selectors", "all"], "name one of them, too"),
        (["swell-kw", "--personalisers", "produkt"], "did you mean 'product'"),
        (["swell-kw", "--budgets", "5,ten"], "budgets = 'ten'"),
        (["swell-kw", "--budgets", "5,5"], "named twice"),
        (["swell-kw", "--protocols", "time"], "'time-blocked' or 'random-remainder'"),
        (["swell-kw", "--device", "gpu"], "not on 'gpu'"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_exit_code_2(arguments, sentence):
    run = mmal(*arguments)
    assert run.exit_code == 2, run.output
    assert run.stdout == ""
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is told where there is no GPU")
def test_a_gpu_that_is_not_there_is_told_before_anything_is_computed(shared_data):
    run = mmal("swell-kw", "--data", shared_data / "swell-kw", "--device", "cuda")
    assert run.exit_code == 2
    assert "torch finds no GPU here" in run.stderr


def test_people_who_are_not_there_are_refused(tmp_path, shared_data):
    run = mmal("swell-kw", "--data", shared_data / "swell-kw", "--output", tmp_path, "--people", "PP1,PP99")
    assert run.exit_code == 2
    assert "no person 'PP99'" in run.stderr


def test_help_teaches():
    text = " ".join(mmal("--help").stdout.split())
    for word in ("swell-kw", "--engine ray", "goes on after Ctrl-C", "time-blocked", "results.parquet"):
        assert word in text
