"""A cell of the evaluation: everybody starts alike, nobody peeks, and every row is there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mmal_ros.selector import Candidates
from mmal_ros.training.data import load_data_set
from mmal_ros.training.data.cohort import simulated_person
from mmal_ros.training.evaluation import cell as cells
from mmal_ros.training.evaluation.cell import run_cell
from mmal_ros.training.evaluation.participants import with_whom
from mmal_ros.training.evaluation.protocol import random_remainder, time_blocked
from mmal_ros.training.evaluation.settings import (
    ALL_LABELS,
    BEFORE,
    OWN_DATA_ONLY,
    RANDOM_REMAINDER,
    TIME_BLOCKED,
    Cell,
    Settings,
)
from mmal_ros.training.evaluation.table import ResultsTable
from mmal_ros.training.metrics import score_columns
from mmal_ros.training.people import DataError
from mmal_ros.training.policy.policies import trained_criteria
from mmal_ros.training.policy.settings import PRODUCT

WINDOWS = 40
ALL = (BEFORE, OWN_DATA_ONLY, "fidelity", "product")
SECONDS = {"seconds"}
OF_THE_POOL = {"pool_constant_accuracy", "pool_constant_f1_present", "pool_constant_f1_all"}
"""What all labels of the pool would tell: columns that are there to be held against."""
LAYOUT = {
    "name": "study",
    "source": "made for this test",
    "file": "study.csv",
    "person": "child",
    "time": "second",
    "label": "level",
    "classes": ["low", "medium", "high"],
    "labels": {"0": "low", "1": "medium", "2": "high"},
    "block": "session",
    "gap_s": 2,
    "modalities": {"face": ["smile", "gaze"], "physiology": ["eda"]},
}


def study() -> pd.DataFrame:
    """Three children in two sessions; the face of one is lost now and then."""
    random = np.random.default_rng(0)
    table = pd.DataFrame([(child, row // 20, row) for child in "ABC" for row in range(WINDOWS)])
    table.columns = ["child", "session", "second"]
    table["level"] = np.repeat(random.integers(3, size=len(table) // 5), 5)
    for name in ("smile", "gaze", "eda"):
        table[name] = table["level"] + random.normal(size=len(table))
    table.loc[[3, 4, 19, 33], ["smile", "gaze"]] = np.nan
    return table


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the cell of child A on a table, with policies of a few episodes; groups are kept in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cells, "trained_criteria", partial(trained_criteria, settings=replace(PRODUCT, episodes=5)))

    def written_and_run(table: pd.DataFrame, **changes: object) -> pd.DataFrame:
        table.to_csv("study.csv", index=False)
        Path("study.yaml").write_text(yaml.safe_dump(LAYOUT))
        cells._data.cache_clear()  # the file is another one now
        return pd.DataFrame(run_cell(Cell("A", 1), settings(**changes)))

    return written_and_run


def settings(**changes: object) -> Settings:
    given = {
        "data_set": "study.yaml",
        "selectors": ("evenly-in-time", "random"),
        "budgets": (3, 6),
        "personalisers": (BEFORE, OWN_DATA_ONLY),
        "protocols": (TIME_BLOCKED, RANDOM_REMAINDER),
    }
    return Settings.model_validate(given | changes)


class Asked:
    """Notes which windows of child A were asked about, by their time, on the way through the real thing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times_s: set[float] = set()
        self.candidates: list[Candidates] = []
        self.standardised_by: set[int] = set()
        real_personalise, real_candidates, real_group = cells.personalise, cells.candidates_of, cells.group_only

        def personalise(group, pool, chosen, *others):
            self.times_s |= {float(pool.times_s[row]) for rows in chosen for row in rows}
            return real_personalise(group, pool, chosen, *others)

        def candidates_of(group, windows):
            self.candidates.append(real_candidates(group, windows))
            return self.candidates[-1]

        def group_only(group, windows):
            self.standardised_by.add(len(windows))
            return real_group(group, windows)

        monkeypatch.setattr(cells, "group_only", group_only)
        monkeypatch.setattr(cells, "personalise", personalise)
        monkeypatch.setattr(cells, "candidates_of", candidates_of)


def without(rows: pd.DataFrame, columns: set[str]) -> pd.DataFrame:
    return rows.drop(columns=list(columns))


def relabelled(table: pd.DataFrame, where: np.ndarray) -> pd.DataFrame:
    """Child A's labels are others at these seconds."""
    changed = table.copy()
    hers = (table["child"] == "A") & table["second"].isin(where)
    changed.loc[hers, "level"] = (table.loc[hers, "level"] + 1) % 3
    return changed


# ---------------------------------------------------------------- nobody peeks


def test_who_cannot_be_tested_is_left_out_and_named() -> None:
    """One of three has a single window, of which nothing can be held out."""
    first, second, third = (simulated_person(code, 0, 0.1) for code in ("C01", "C02", "C03"))
    data = replace(load_data_set("cohort"), people=(first, second.take(np.arange(1)), third), only_trained_on=())
    found, people = with_whom(data, settings())
    assert people == ("C01", "C03")
    assert "Not tested: person 'C02': none of 1 blocks goes on" in found.repairs[-1]
    assert with_whom(data, settings(protocols=(RANDOM_REMAINDER,)))[1] == ("C01", "C02", "C03")
    with pytest.raises(DataError, match="person 'C02': none of 1 blocks"):
        with_whom(data, settings(people=("C02",)))


def test_one_person_alone_is_nobody_to_learn_a_group_from() -> None:
    data = replace(load_data_set("cohort"), people=(simulated_person("C01", 0, 0.02),), only_trained_on=())
    with pytest.raises(DataError, match="has nobody besides 'C01' to learn a group's model from"):
        with_whom(data, settings())


def test_labels_of_the_pool_that_nobody_asked_about_change_nothing(run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, table = Asked(monkeypatch), study()
    everybody = ("sliced-coverage", "evenly-in-time", "random", "mmql", "p-right", "entropy", "badge", "typiclust")
    told = run(table, selectors=everybody, protocols=(TIME_BLOCKED,), budgets=(2,), personalisers=ALL)
    pool = time_blocked(load_data_set("study.yaml").of(["A"])[0], LAYOUT["gap_s"]).pool
    unasked = np.setdiff1d(pool, list(asked.times_s))
    assert len(pool) == 24
    assert len(unasked) >= 4
    lied = run(
        relabelled(table, unasked), selectors=everybody, protocols=(TIME_BLOCKED,), budgets=(2,), personalisers=ALL
    )
    pd.testing.assert_frame_equal(without(lied, SECONDS | OF_THE_POOL), without(told, SECONDS | OF_THE_POOL))


def test_labels_of_test_windows_are_for_scoring_only(run) -> None:
    """With others the answers are the same ones, as often as before, and only the scores differ."""
    table, test = study(), np.r_[14:20, 34:40]
    told, lied = (
        run(written, protocols=(TIME_BLOCKED,), budgets=(3,), personalisers=ALL)
        for written in (table, relabelled(table, test))
    )
    for one, other in zip(told["confusion"], lied["confusion"], strict=True):
        np.testing.assert_array_equal(answers(one), answers(other))
    assert (told["f1_present"] != lied["f1_present"]).any()


def answers(confusion: list[int]) -> np.ndarray:
    return np.reshape(confusion, (3, 3)).sum(axis=0)


def test_selectors_see_the_pool_of_time_blocks_in_the_order_of_time_and_nothing_else(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch)
    run(study())
    blocked, remainder = asked.candidates
    assert blocked.times_s.tolist() == [*range(12), *range(20, 32)]
    assert remainder.times_s.tolist() == list(range(WINDOWS))
    assert not blocked.heard[[3, 4], 0].any()


def test_the_person_is_standardised_by_the_pool_alone(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows between pool and test are louder: neither what selectors see nor any answer changes."""
    asked, table = Asked(monkeypatch), study()
    told = run(table, protocols=(TIME_BLOCKED,))
    loud = (table["child"] == "A") & table["second"].isin([12, 13, 32, 33])
    table.loc[loud, ["smile", "gaze", "eda"]] += 1000
    pd.testing.assert_frame_equal(*(without(rows, SECONDS) for rows in (told, run(table, protocols=(TIME_BLOCKED,)))))
    for field in ("probabilities", "heard", "features", "times_s"):
        np.testing.assert_array_equal(*(getattr(candidates, field) for candidates in asked.candidates))
    np.testing.assert_allclose(asked.candidates[0].features.mean(axis=0), 0, atol=1e-5)
    assert asked.standardised_by == {24}


# ---------------------------------------------------------------- everybody is tested alike


def test_time_blocked_all_are_tested_on_the_same_windows(run) -> None:
    rows = run(study(), selectors=("evenly-in-time", "random", ALL_LABELS), protocols=(TIME_BLOCKED,))
    person = load_data_set("study.yaml").of(["A"])[0]
    truth = person.labels[time_blocked(person, LAYOUT["gap_s"]).test]
    answered = rows[rows["variant"].isin(["model-fusion", "physiology", "feature-fusion"])]
    for confusion in answered["confusion"]:
        np.testing.assert_array_equal(np.reshape(confusion, (3, 3)).sum(axis=1), np.bincount(truth, minlength=3))
    assert rows["constant_accuracy"].nunique() == 1
    before = rows[(rows["personaliser"] == BEFORE) & (rows["variant"] == "model-fusion")]
    assert before["f1_present"].nunique() == 1, "all start from the same group model"


def test_random_remainder_all_are_tested_on_what_they_did_not_ask_about(run) -> None:
    rows = run(study(), protocols=(RANDOM_REMAINDER,))
    main = rows[rows["variant"] == "model-fusion"]
    tested = [sum(confusion) for confusion in main["confusion"]]
    np.testing.assert_array_equal(tested, WINDOWS - main["asked"])
    even = main[(main["selector"] == "evenly-in-time") & (main["budget"] == 3)]
    person = load_data_set("study.yaml").of(["A"])[0]
    left = random_remainder(person, np.array([7, 20, 33])).test  # the middles of 14, 13 and 13 windows
    expected = score_columns(person.labels[left], person.labels[left], person.labels)
    assert even["constant_f1_present"].unique().tolist() == [expected["constant_f1_present"]]


def test_the_score_of_a_row_is_that_of_its_own_answers(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that are the choice's own size and nothing else: rows, choices and scores belong together."""

    def count_of_labels(name, group, pool, person, choices, *rest):
        return [{"model-fusion": np.full(len(person), len(choice.rows) % 3)} for choice in choices]

    monkeypatch.setattr(cells, "_answers", count_of_labels)
    rows = run(study(), budgets=(1, 3, 5))
    for asked, confusion in zip(rows["asked"], rows["confusion"], strict=True):
        assert answers(confusion)[asked % 3] == sum(confusion) > 0


# ---------------------------------------------------------------- every row is there


def test_there_is_a_row_for_everything(run, tmp_path: Path) -> None:
    """What the table of results demands of a cell, and each combination once; three budgets, one beyond the pool."""
    chosen = {
        "selectors": ("evenly-in-time", "mmql", ALL_LABELS),
        "budgets": (1, 3, 1000),
        "personalisers": ALL,
    }
    rows = run(study(), **chosen)
    ResultsTable(tmp_path / "cells", settings(**chosen), "hash").write(Cell("A", 1), rows.to_dict("records"))
    variants = {"face", "physiology", "feature-fusion", "model-fusion"}
    by_personaliser = rows.groupby("personaliser")["variant"].agg(set)
    assert by_personaliser[OWN_DATA_ONLY] == {"model-fusion"}
    assert all(by_personaliser[name] == variants for name in (BEFORE, "fidelity", "product"))
    assert len(rows) == 2 * (2 * 3 + 1) * (3 * 4 + 1)
    blocked = rows[rows["protocol"] == TIME_BLOCKED]
    assert blocked.groupby("budget")["asked"].unique().map(list).to_dict() == {1: [1], 3: [3], 24: [24], 1000: [24]}
    assert blocked["f1_present"].notna().all()
    nothing_left = rows[(rows["protocol"] == RANDOM_REMAINDER) & (rows["asked"] == WINDOWS)]
    assert len(nothing_left)
    assert nothing_left["f1_present"].isna().all()
    searched = rows.groupby("selector")["searched"].agg(lambda shares: shares.notna().all())
    assert searched.to_dict() == {"evenly-in-time": False, "mmql": True, ALL_LABELS: False}
    assert rows["searched"].dropna().between(0, 1).all()


def test_a_classifier_that_hears_nothing_gives_no_answer(run) -> None:
    """Three of the test windows have no face: it answers the nine others."""
    table = study()
    table.loc[[16, 17], ["smile", "gaze"]] = np.nan
    rows = run(table, protocols=(TIME_BLOCKED,), personalisers=(BEFORE, OWN_DATA_ONLY))
    before = rows[rows["personaliser"] == BEFORE].set_index("variant")["confusion"].map(sum)
    assert before["face"].unique().tolist() == [9]
    assert before["physiology"].unique().tolist() == [12]


def test_the_same_cell_gives_the_same_rows(run) -> None:
    """Once trained, once from the group that was kept."""
    rows = [without(run(study(), selectors=("random", "mmql", "badge")), SECONDS) for _ in range(2)]
    pd.testing.assert_frame_equal(*rows)


def test_where_the_times_are_lost_no_label_speaks_for_the_next_row(run) -> None:
    """Rows sorted by class: a neighbour has the same label because of the file, not because of the person."""
    run(study(), selectors=("random",))
    data = load_data_set("study.yaml")
    assert cells._personaliser("product", data).spreads
    assert not cells._personaliser("product", replace(data, timed=False)).spreads
    assert cells._personaliser("none", data) is None
