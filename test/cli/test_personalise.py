"""`mmal personalise`: what users type, and what they and the review page are told.

What becomes of the labels: test/training/test_deploy.py.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.model_versions import current
from mmal_ros.training.person import deploy as deploy_module
from mmal_ros.training.person.acceptance import Verdict
from mmal_ros.training.person.personalise import PRODUCT
from rigs.labelled_sessions import label, write_group, write_session

EVERY_8_S = np.arange(3.0, 118, 8)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """$MMAL_HOME with a labelled session, and a group's model set."""
    folder = tmp_path_factory.mktemp("home")
    session = write_session(folder / "sessions", "P017", 0)
    label(session, 0, EVERY_8_S)
    write_group(folder / "groups" / "clinic" / "1")
    return folder


@pytest.fixture
def group(home, tmp_path, monkeypatch) -> str:
    """The option that names it; models go to a folder of the test's own."""
    monkeypatch.setenv("MMAL_HOME", str(home))
    monkeypatch.setattr(deploy_module, "PRODUCT", replace(PRODUCT, epochs=2, trees=20))
    return str(home / "groups" / "clinic" / "1")


def mmal(*arguments: object):
    return CliRunner().invoke(app, ["personalise", *map(str, arguments)])


def test_a_child_s_labels_become_its_model(group, tmp_path):
    run = mmal("P017", "--from", group, "--models", tmp_path / "models")
    assert run.exit_code == 0, run.output
    assert "P017/1 learned from 15 labels of 1 session(s)." in run.stdout
    assert "It is live: better on 15 held-out labels" in run.stdout
    assert "mmal models rollback P017" in run.stdout
    assert current(tmp_path / "models" / "P017") == "1"


def test_json_lines_end_with_the_result(group, tmp_path):
    """What the review page reads."""
    run = mmal("P017", "--from", group, "--models", tmp_path / "models", "--json", "--no-switch")
    assert run.exit_code == 0, run.output
    assert run.stderr == ""
    *progress, result = map(json.loads, run.stdout.splitlines())
    assert [record["event"] for record in progress] == ["progress"] * len(progress)
    assert [record["done"] for record in progress] == list(range(progress[0]["of"] + 1))
    assert progress[0]["what"] == "reading 2026-11-20_P017_01"
    assert result["event"] == "result"
    assert (result["participant"], result["version"], result["labels"]) == ("P017", "1", 15)
    assert (result["accepted"], result["switched"], result["current"]) == (True, False, "clinic-1")
    assert result["sessions"] == ["2026-11-20_P017_01"]
    assert result["reason"].startswith("better on 15 held-out labels")
    assert 0 <= result["before"] < result["after"] <= 1
    assert 0 < result["constant"] < 1


def test_what_was_not_compared_is_null_and_said(group, tmp_path, monkeypatch):
    verdict = Verdict(False, "3 labels; 8 are needed to compare", math.nan, math.nan, math.nan, 0)
    monkeypatch.setattr(deploy_module, "judge", lambda *_: verdict)
    options = ("P017", "--from", group, "--models", tmp_path / "models")
    result = json.loads(mmal(*options, "--json").stdout.splitlines()[-1])
    assert (result["before"], result["after"], result["constant"]) == (None, None, None)
    run = mmal(*options)
    assert "clinic-1 stays live: 3 labels; 8 are needed to compare" in run.stdout
    assert "By hand: mmal models use P017 2" in run.stdout


def test_one_may_keep_what_is_live_although_it_is_worse(group, tmp_path):
    run = mmal("P017", "--from", group, "--models", tmp_path / "models", "--no-switch")
    assert "clinic-1 stays live, as you said; mmal models use P017 1" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("P071",), "nothing of P071 was recorded in"),
        (
            ("P017", "--sessions", "2026-11-19_P017_01"),
            "'2026-11-19_P017_01' is no session; did you mean '2026-11-20_P017_01'?",
        ),
        (("P017", "--from", "nowhere"), "nowhere is no model set"),
        (("Anna Berg",), "'Anna Berg' is no code of a participant"),
        (("P017", "--lead", "Anna Berg"), "'Anna Berg' is no code of a coder"),
        (("P017", "--sessions-dir", "nowhere"), "there is no session in it yet"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_exit_code_2(group, tmp_path, arguments, sentence):
    run = mmal(*arguments, "--models", tmp_path / "models")
    assert run.exit_code == 2, run.output
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "models").exists()


def test_help_teaches():
    text = " ".join(mmal("--help").stdout.split())
    for word in ("neither has learned from", "mmal models rollback PARTICIPANT", "Example: mmal personalise P017"):
        assert word in text.replace("`", "")
