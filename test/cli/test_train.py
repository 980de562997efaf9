"""`mmal train`: what users type, and what they are told. The training itself: test/training/test_train.py."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.cli.train import train
from mmal_ros.training.policy.policies import BUDGET
from rigs.model_sets import write_model_set
from rigs.recorded_people import write_people

TABLE = """
name: theirs
source: Doe et al., 2025
file: theirs.csv
person: who
time: second
label: level
classes: [low, medium, high]
labels: {0: low, 1: medium, 2: high}
gap_s: 1
modalities:
  face: [smile]
"""


def mmal(*arguments: object):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    return write_people(tmp_path_factory.mktemp("data") / "clinic", ["C1", "C2", "C3"])


def test_a_first_version_is_live_at_once_and_the_next_one_is_not(recordings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for version in ("1", "2"):
        run = mmal(recordings, "--output", f"models/clinic/{version}", "--episodes", 2, "--budget", 3)
        assert run.exit_code == 0, run.output
        assert "constant" in run.stdout
        assert f"models/clinic/{version}" in run.stdout
    assert Path("models/clinic/current").read_text().strip() == "1"
    before = Path("models/clinic/1/model.json").read_bytes()
    again = mmal(recordings, "--output", "models/clinic/1")
    assert again.exit_code == 2
    assert "choose another version, for example models/clinic/3" in again.stderr
    assert Path("models/clinic/1/model.json").read_bytes() == before


def test_the_predecessor_stands_in_the_card(recordings, tmp_path):
    write_model_set(tmp_path / "clinic")
    run = mmal(recordings, "--output", tmp_path / "clinic/2", "--parent", tmp_path / "clinic", "--episodes", 1)
    assert run.exit_code == 0, run.output
    assert '"parent": "clinic/1"' in (tmp_path / "clinic/2/model.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--test", "C1,C9"], "no person 'C9'; there are C1, C2, C3"),
        (["--test", "C1,C2"], "expected at least one to test and 2 to learn from"),
        (["--test", ","], "expected at least one to test and 2 to learn from"),
        (["--parent", "nowhere"], "nowhere is no model set"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_exit_code_2(recordings, tmp_path, arguments, sentence):
    run = mmal(recordings, "--output", tmp_path / "clinic/1", *arguments)
    assert run.exit_code == 2, run.output
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_version_needs_the_name_of_its_model(recordings):
    run = mmal(recordings, "--output", "7")
    assert run.exit_code == 2
    assert "expected a folder models/NAME/VERSION" in run.stderr


def test_features_that_nothing_live_makes_are_for_evaluation_only(tmp_path):
    (tmp_path / "theirs.yaml").write_text(TABLE)
    rows = [f"{who},{second},{second % 3},0.5" for who in "ABC" for second in range(6)]
    (tmp_path / "theirs.csv").write_text("\n".join(["who,second,level,smile", *rows]) + "\n")
    run = mmal(tmp_path / "theirs.yaml", "--output", tmp_path / "theirs/1")
    assert run.exit_code == 2
    assert "features of face are not those that the live extractors make" in run.stderr
    assert "`mmal evaluate`" in run.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(recordings, tmp_path):
    run = mmal(recordings, "--output", tmp_path / "clinic/1", "--device", "cuda")
    assert run.exit_code == 2
    assert "torch finds no GPU here" in run.stderr


def test_help_teaches():
    text = " ".join(mmal("--help").stdout.split())
    for word in ("labels.csv", "fidelity", "goes on after Ctrl-C", "models/NAME/current", "tensorboard"):
        assert word in text


def test_the_budget_is_the_one_that_evaluation_uses():
    """The command does not import torch only to know it."""
    assert inspect.signature(train).parameters["budget"].default == BUDGET
