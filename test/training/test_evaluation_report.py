"""A report holds what is needed to believe it and to repeat it, and never a score without the constant."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from mmal_ros.datatypes import Modality
from mmal_ros.training import provenance
from mmal_ros.training.evaluation.report import Origin, write_report
from mmal_ros.training.evaluation.results import Results, View
from mmal_ros.training.evaluation.settings import ALL_LABELS, BEFORE, OWN_DATA_ONLY
from mmal_ros.training.evaluation.table import ResultsTable
from mmal_ros.training.evaluation.tables import difference_table, f1_table, pair_table, paper_table
from mmal_ros.training.people import DataSet, PersonWindows
from rigs.toy_cells import rows, settings

PEOPLE = ("P1", "P/2", "Zoë", "P4", "P5", "P6", "P7")
VIEW = View("time-blocked", "product")


def data_set() -> DataSet:
    count = 6
    shape = (count, 1, 1)
    people = tuple(
        PersonWindows(
            code,
            {Modality.FACE: np.zeros(shape, np.float32)},
            {Modality.FACE: np.ones(shape[:2], np.float32)},
            np.arange(count) % 3,
            np.arange(count, dtype=float),
            np.zeros(count, np.int64),
        )
        for code in PEOPLE
    )
    return DataSet("toy", "made up", ("low", "medium", "high"), {Modality.FACE: ("x",)}, people, 2.0, ("Mended.",))


def all_rows(chosen) -> list[dict]:
    """Every cell's rows, with those that ask for all 60 windows."""
    everything = chosen.model_copy(update={"selectors": ("random",), "budgets": (60,)})
    found = []
    for cell in chosen.cells(PEOPLE):
        found += rows(cell, chosen, ("face", "model-fusion"))
        found += [{**row, "selector": ALL_LABELS} for row in rows(cell, everything)]
    return found


@pytest.fixture(scope="module")
def results() -> Results:
    chosen = settings()
    return Results(pd.DataFrame(all_rows(chosen)), chosen)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    chosen, data = settings(protocols=("time-blocked", "random-remainder")), data_set()
    folder = tmp_path_factory.mktemp("report")
    table = ResultsTable(folder / "cells", chosen, data.fingerprint())
    cells = chosen.cells(PEOPLE)
    for cell in cells:
        table.write(cell, [row for row in all_rows(chosen) if (row["person"], row["seed"]) == (cell.person, cell.seed)])
    origin = Origin("mmal evaluate toy", ["0123abc with changes"], {"python": "3.11"})
    return write_report(folder, table.read(cells), chosen, data, origin)


def test_it_says_what_is_needed_to_get_it_again(report):
    text = report.read_text()
    for fact in ("`mmal evaluate toy`", "0123abc with changes", "2: 0 to 1", data_set().fingerprint(), "python 3.11"):
        assert fact in text
    assert "made up" in text
    assert "Mended." in text


def test_whom_the_means_are_over_is_said_where_it_is_not_everybody(tmp_path, report):
    """Whoever has no window left at a budget drops out of all means of that protocol."""
    assert "people**" not in report.read_text()
    chosen, data = settings(), data_set()
    lacking = [{**row, "f1_present": np.nan} if row["person"] == "P4" else row for row in all_rows(chosen)]
    table = ResultsTable(tmp_path / "cells", chosen, data.fingerprint())
    cells = chosen.cells(PEOPLE)
    for cell in cells:
        table.write(cell, [row for row in lacking if (row["person"], row["seed"]) == (cell.person, cell.seed)])
    said = write_report(tmp_path, table.read(cells), chosen, data, Origin("mmal evaluate toy", [], {})).read_text()
    assert "**Means over budgets are those of 6 of 7 people**" in said


def test_every_figure_is_there_and_is_a_picture(report):
    named = {line.partition("](")[2].rstrip(")") for line in report.read_text().splitlines() if line.startswith("![")}
    assert named == {path.name for path in report.parent.glob("*.png")}
    for protocol in ("time-blocked", "random-remainder"):
        kinds = [f"{kind}-product-{protocol}.png" for kind in ("f1", "difference", "before-after", "confusion")]
        assert {*kinds, f"searched-{protocol}.png"} <= named
    for name in named:
        picture = imread(report.parent / name)
        assert min(picture.shape[:2]) > 300
        assert len(np.unique(picture[..., 0])) > 20, f"{name} is empty"


def test_no_table_of_scores_is_without_the_constant_and_own_data_only(report):
    tables = [part for part in report.read_text().split("\n\n") if part.startswith(("| macro-F1", "| F1", "| ACC"))]
    assert len(tables) == 2 * 4
    for table in tables:
        assert "*constant*" in table
        assert "*own data only" in table


def test_all_rows_are_in_one_file(report):
    table = pd.read_parquet(report.parent / "results.parquet")
    assert len(table) == len(all_rows(settings(protocols=("time-blocked", "random-remainder"))))
    assert len(table["confusion"].iloc[0]) == 9


def test_the_mean_is_over_seeds_first_and_people_then(results):
    """A person with a missing number, or with more seeds, must not weigh more or less than the others."""
    frame = pd.DataFrame(all_rows(settings()))
    wanted = frame.query(
        "personaliser == 'product' and variant == 'model-fusion' and selector == 'random' and budget == 10"
    )
    by_hand = wanted.groupby("person", sort=False)["f1_present"].mean()
    assert results.people == tuple(by_hand.index)
    assert results.curves(VIEW, "random")[:, 1] == pytest.approx(by_hand.to_numpy())
    assert f"{by_hand.mean():.2f} [" in f1_table(results, VIEW).splitlines()[3]


def test_what_was_not_evaluated_is_a_dash_not_a_number(results):
    assert np.isnan(results.curves(VIEW._replace(variant="audio"), "random")).all()
    assert np.isnan(results.with_all_labels(VIEW._replace(variant="audio"))).all()
    assert results.variants(VIEW) == ("face", "model-fusion")


def test_differences_are_paired_by_person(results):
    """The better selector is better for everybody: the interval of the difference is narrower than each one's own."""
    line = difference_table(results, VIEW).splitlines()[2]
    assert line.startswith("| coverage − random | **+0.")
    assert line.count("**") == 2 * 4
    assert len(difference_table(results, VIEW).splitlines()) == 3


def test_no_difference_is_a_number_too(results):
    """Only a selector beside itself is a dash."""
    assert "| coverage | – | **+0." in pair_table(results, VIEW)
    same = Results(pd.DataFrame([{**row, "f1_present": 0.5} for row in all_rows(settings())]), settings())
    assert difference_table(same, VIEW).count("+0.00 [+0.00, +0.00]") == 4


def test_the_papers_table_has_before_and_after(results):
    lines = paper_table(results, VIEW, "accuracy").splitlines()
    assert lines[0] == "| ACC | coverage | random |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| FACE", "| MODEL-F", "| *own data only*", "| *constant*"]
    after, before = (100 * results.curves(view, "coverage", "accuracy").mean() for view in (VIEW, VIEW.before()))
    assert f"| MODEL-F | {before:.1f}/{after:.1f} |" in lines[3]


def test_labels_needed_are_in_the_table(results):
    last = [line.rstrip(" |").rpartition("| ")[2] for line in f1_table(results, VIEW).splitlines()[2:4]]
    assert all(cell.startswith(("≤", ">")) or cell.isdigit() for cell in last)
    assert "With all labels of the pool: 0." in f1_table(results, VIEW)


def test_confusions_add_up(results):
    counts = results.confusion(VIEW, "random", 10)
    assert counts.sum() == 300 * len(PEOPLE) * 2
    assert np.trace(counts) > np.trace(results.confusion(VIEW.before(), "random", 10))


def test_own_data_only_alone_can_be_reported(tmp_path):
    """No other personaliser, one selector, one budget, one person: everything that can be left out is."""
    chosen, data = (
        settings(personalisers=(BEFORE, OWN_DATA_ONLY), selectors=("random",), budgets=(20,), seeds=1),
        data_set(),
    )
    table = ResultsTable(tmp_path / "cells", chosen, data.fingerprint())
    cell = chosen.cells(["P1"])[0]
    table.write(cell, [{**row, "searched": math.nan} for row in rows(cell, chosen)])
    text = write_report(tmp_path, table.read([cell]), chosen, data, Origin("x", [""], {})).read_text()
    assert "### own-data-only, time-blocked" in text
    assert "*constant*" in text
    assert not list(tmp_path.glob("searched*"))
    assert not list(tmp_path.glob("difference*"))


def test_the_commit_is_that_of_this_package_only(tmp_path):
    """A copy that was installed into somebody's repository must not claim that repository's commit."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    copy = tmp_path / "provenance.py"
    copy.write_text(Path(provenance.__file__).read_text())
    code = "import provenance; print(provenance.commit())"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "unknown\n"
