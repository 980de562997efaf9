"""Personalising dies half-way, or learns from labels that mislead: what was live stays, and the next run works."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.datatypes import Level
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.model_versions import current, rollback, use, versions
from mmal_ros.models import load_model_set
from mmal_ros.session.folder import sessions_in
from mmal_ros.session.records import LabelValue
from mmal_ros.training.person import deploy as deploy_module
from mmal_ros.training.person.deploy import Request, deploy
from rigs.doomed import QUICK, Doomed, personalise, switch_to_and_fro
from rigs.fault_log import Outcome, keep
from rigs.labelled_sessions import WINDOW_S, label, write_group, write_session
from rigs.sessions import level_at

EVERY_4_S = np.arange(3.0, 118, 4)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A child with two labelled sessions, personalised after the first: version 1 is live."""
    root = tmp_path_factory.mktemp("home")
    label(write_session(root / "sessions", "P017", 0), 0, EVERY_4_S)
    write_group(root / "clinic" / "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy_module, "PRODUCT", QUICK)
        deployed = deploy(request_in(root))
    assert (deployed.current, deployed.switched) == ("1", True)
    write_session(root / "sessions", "P017", 1)
    return root


@pytest.fixture
def request_(home, tmp_path, monkeypatch) -> Request:
    monkeypatch.setattr(deploy_module, "PRODUCT", QUICK)
    shutil.copytree(home, tmp_path / "home")
    return request_in(tmp_path / "home")


def request_in(root: Path) -> Request:
    return Request("P017", root / "sessions", root / "models", group=str(root / "clinic" / "1"))


def bytes_of(version: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in version.iterdir()}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.endswith(".new")]


@pytest.mark.parametrize("kills", [3, pytest.param(24, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_personalising_that_is_killed_costs_nothing_and_is_done_again(request_, kills):
    """At random moments between its beginning and its end; then once undisturbed."""
    dice, doomed, folder, at_work = random.Random(kills), Doomed(), request_.folder, 0
    label(list(sessions_in(request_.sessions_root))[1], 1, EVERY_4_S)
    live = bytes_of(folder / "1")
    quick = replace(request_, switch=False)
    lasts_s = doomed.lasts(personalise, quick)
    for _ in range(kills):
        at_work += doomed.killed(dice.uniform(0, lasts_s), personalise, quick)
        assert current(folder) == "1"
        assert bytes_of(folder / "1") == live
        assert EngagementEstimator(load_model_set(folder)).models.card.identity == "P017/1"
        assert all(version.problem == "" for version in versions(folder))
    assert at_work > 0, "it was killed at work, not after"
    (folder / ".77.new").mkdir()  # what the last kill left may be nothing
    again = deploy(request_)
    assert leftovers(folder) == []
    assert again.labels == 2 * len(EVERY_4_S)
    assert load_model_set(folder / again.version).card.training["labels"] == again.labels
    assert [version.name for version in versions(folder)][-1] == again.version
    keep(Outcome("personalising killed half-way", f"SIGKILL at {kills} random moments, {at_work} of them at work"))


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_a_switch_that_is_killed_leaves_a_version_that_works_and_can_be_gone_back_from(request_, kills):
    """`mmal models use` and `rollback`: what is live is one of the two, whole, and the history can be read."""
    dice, doomed, folder = random.Random(kills), Doomed(), request_.folder
    for _ in range(kills):
        assert doomed.killed(dice.uniform(0.0, 0.3), switch_to_and_fro, folder, "clinic-1", "1")
        assert load_model_set(folder).folder.name == current(folder) in ("1", "clinic-1")
    use(folder, "clinic-1")
    use(folder, "1")
    assert leftovers(folder) == []
    assert rollback(folder) == "clinic-1"
    keep(Outcome("switching models killed", f"SIGKILL at {kills} random moments of use and rollback"))


def test_labels_that_mislead_change_nothing_that_is_live(request_):
    """The second session is labelled well; of the first, a coder whose word counts most has taken each level for the
    next one."""
    first, second = sessions_in(request_.sessions_root)
    label(second, 1, EVERY_4_S)
    for end_s in EVERY_4_S:
        wrong = Level((level_at(0, end_s - WINDOW_S) + 1) % len(Level))
        label(first, 0, [end_s], coder="C2", value=LabelValue(wrong.name.lower()))
    live = bytes_of(request_.folder / "1")
    found = deploy(replace(request_, lead="C2"))
    assert not found.verdict.accepted
    assert (found.version, found.current, found.switched) == ("2", "1", False)
    assert current(request_.folder) == "1"
    assert bytes_of(request_.folder / "1") == live
    verdict = found.verdict
    words = f"macro-F1 {verdict.after:.2f} after them, {verdict.before:.2f} before: refused"
    keep(
        Outcome(
            "labels that mislead", f"{len(EVERY_4_S)} wrong ones beside {verdict.labels} that were compared; {words}"
        )
    )
