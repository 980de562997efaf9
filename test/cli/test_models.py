"""`mmal models`: what users type, and what they are told. The versions themselves: test/core/test_model_versions.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.model_card import make_current, read_card, write_card
from mmal_ros.model_versions import current
from rigs.model_sets import write_model_set


@pytest.fixture
def child(tmp_path, monkeypatch) -> Path:
    """A participant with the group's set and a version of her own, in the user's folder."""
    monkeypatch.setenv("MMAL_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    group = write_model_set(tmp_path / "groups" / "clinic", "1")
    folder = tmp_path / "models" / "P017"
    for version in ("clinic-1", "1"):
        shutil.copytree(group, folder / version)
    card = read_card(folder / "1")
    card.name, card.version, card.parent, card.accepted = "P017", "1", "clinic/1", True
    card.metrics, card.training = {"before": 0.4, "after": 0.71, "constant": 0.33}, {"labels": 40}
    write_card(folder / "1", card)
    make_current(folder, "clinic-1")
    return folder


def mmal(*arguments: str):
    return CliRunner().invoke(app, ["models", *arguments])


def test_the_list_has_everything_that_is_there_and_marks_what_is_live(child):
    run = mmal("list")
    assert run.exit_code == 0, run.output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in run.stdout.splitlines() if "│" in line]
    assert rows[0][:3] == ["P017", "clinic-1", "●"]
    assert rows[1][:4] == ["P017", "1", "", "clinic/1"]
    assert rows[1][-2:] == ["yes", "0.71 (constant 0.33)"]
    assert "demo" in [row[0] for row in rows]
    assert "demo" not in mmal("list", "P017").stdout


def test_use_and_back(child):
    run = mmal("use", "P017", "1")
    assert (run.exit_code, run.stdout) == (0, "P017: 1 is live\n")
    assert current(child) == "1"
    run = mmal("rollback", "P017")
    assert (run.exit_code, run.stdout) == (0, "P017: clinic-1 is live again, 1 is still there\n")
    assert current(child) == "clinic-1"


def test_what_a_card_says(child):
    found = mmal("show", "P017", "1").stdout
    for part in ("training.labels", "40", "clinic/1", "modalities.face.feature_set", "For tests only"):
        assert part in found
    assert "P017/clinic-1" in mmal("show", "P017").stdout, "the live one"
    assert "mean" not in found


def test_how_two_versions_differ(child):
    found = mmal("diff", "P017", "1").stdout
    for part in ("metrics.after", "0.71", "training.labels", "parent"):
        assert part in found
    assert "purpose" not in found, "it is the same"
    assert mmal("diff", "P017", "1", "1").stdout == "1 and 1 do not differ\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("use", "P017", "7"), "there is no version of P017 '7'; choose from clinic-1, 1"),
        (("use", "P17", "1"), "there is no model 'P17'; did you mean 'P017'?"),
        (("show", "P017", "clinic1"), "did you mean 'clinic-1'?"),
        (("rollback", "P017"), "nothing was live before clinic-1"),
        (("diff", "P017", "0"), "there is no version of P017 '0'"),
        (("list", "nobody"), "there is no model 'nobody'"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(child, arguments, sentence):
    run = mmal(*arguments)
    assert run.exit_code == 2
    assert run.stderr.startswith("mmal: ")
    assert sentence in run.stderr
    assert run.stderr.count("\n") == 1
    assert current(child) == "clinic-1"


def test_a_version_whose_card_is_damaged_is_listed_as_such(child):
    (child / "1" / "model.json").write_text("{")
    run = mmal("list", "P017")
    assert run.exit_code == 0
    assert "cannot be read" in run.stdout


def test_help_teaches():
    text = " ".join(mmal("rollback", "--help").stdout.split())
    assert "the version that was live before" in text
    assert "Example: mmal models rollback P017" in text.replace("`", "")
