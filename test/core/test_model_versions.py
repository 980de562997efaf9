"""Which version of a model is live, and how to get back to what was live before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mmal_ros import model_versions
from mmal_ros.model_card import CARD_NAME, ModelError, make_current, read_card, write_card
from mmal_ros.model_versions import (
    HISTORY_NAME,
    current,
    diff,
    known_models,
    model_folder,
    next_version,
    rollback,
    use,
    version_folder,
    versions,
)
from mmal_ros.models import load_model_set
from rigs.model_sets import DAMAGES, write_model_set


@pytest.fixture
def child(tmp_path: Path) -> Path:
    """A participant's folder as personalisation leaves it: the group's set, and two versions made from it."""
    folder = tmp_path / "models" / "P017"
    group = write_model_set(tmp_path / "models" / "demo", "2")
    folder.mkdir()
    shutil.copytree(group, folder / "demo-2")
    make_current(folder, "demo-2")
    for version, accepted in (("1", True), ("2", False)):
        shutil.copytree(group, folder / version)
        card = read_card(folder / version)
        card.name, card.version, card.parent, card.accepted = "P017", version, "demo/2", accepted
        card.metrics, card.training = {"after": 0.5 + int(version) / 10}, {"labels": 10 * int(version)}
        write_card(folder / version, card)
    return folder


def test_what_there_is_and_which_is_live(child):
    (child / ".3.new").mkdir()
    shutil.copy(child / "1" / CARD_NAME, child / ".3.new")
    (child / "notes").mkdir()
    found = versions(child)
    assert [(v.name, v.identity, v.parent, v.accepted, v.current) for v in found] == [
        ("demo-2", "demo/2", None, None, True),
        ("1", "P017/1", "demo/2", True, False),
        ("2", "P017/2", "demo/2", False, False),
    ]
    assert found[1].metrics == {"after": 0.6}
    assert current(child) == "demo-2"
    assert next_version(child) == "3"


def test_versions_are_in_the_order_of_their_numbers(child):
    shutil.copytree(child / "1", child / "10")
    assert [v.name for v in versions(child)] == ["demo-2", "1", "2", "10"]


def test_going_back_again_and_again_ends_at_the_group(child):
    """1, 2, 1 were live. Back to 2, back to 1, back to the group; there it ends. Going on from there works too."""
    for version in ("1", "2", "1"):
        use(child, version)
        assert current(child) == version
    assert [rollback(child) for _ in range(3)] == ["2", "1", "demo-2"]
    assert current(child) == "demo-2"
    with pytest.raises(ModelError, match="nothing was live before demo-2; its versions are demo-2, 1, 2"):
        rollback(child)
    use(child, "2")
    assert rollback(child) == "demo-2"
    assert load_model_set(child).card.identity == "demo/2"


def test_every_switch_is_kept(child):
    use(child, "2")
    use(child, "2")
    rollback(child)
    lines = [line.split("\t") for line in (child / HISTORY_NAME).read_text().splitlines()]
    assert [line[1:] for line in lines] == [["use", "demo-2"], ["use", "2"], ["rollback", "demo-2"]]
    assert all(line[0].endswith("+00:00") for line in lines)


def test_without_any_history_back_is_to_the_parent(child):
    make_current(child, "2")
    assert rollback(child) == "demo-2"


def test_a_switch_by_hand_can_be_taken_back(child):
    use(child, "1")
    make_current(child, "2")
    assert rollback(child) == "1"
    make_current(child, "2")
    use(child, "demo-2")
    assert [rollback(child), rollback(child)] == ["2", "1"]


def test_what_is_not_there_any_more_is_not_gone_back_to(child):
    for version in ("1", "2"):
        use(child, version)
    shutil.rmtree(child / "1")
    assert rollback(child) == "demo-2"


def test_a_power_cut_in_the_middle_of_the_history(child):
    use(child, "1")
    use(child, "2")
    with (child / HISTORY_NAME).open("a") as history:
        history.write("2026-11-2")
    assert rollback(child) == "1"


@pytest.mark.parametrize("damage", ["truncated", "wrong hash", "card is not JSON", "file missing"])
def test_a_version_that_would_not_run_is_not_made_live(child, damage):
    use(child, "1")
    DAMAGES[damage](child / "2")
    before = (child / HISTORY_NAME).read_text()
    with pytest.raises(ModelError):
        use(child, "2")
    assert current(child) == "1"
    assert (child / HISTORY_NAME).read_text() == before


def test_a_card_that_cannot_be_read_hides_no_other_version(child):
    (child / "1" / CARD_NAME).write_text("{")
    found = versions(child)
    assert [bool(v.problem) for v in found] == [False, True, False]
    assert str(child / "1" / CARD_NAME) in found[1].problem


def test_wrong_names_are_answered_by_what_was_meant(child):
    with pytest.raises(ModelError, match="there is no version of P017 'demo2'; did you mean 'demo-2'"):
        use(child, "demo2")
    with pytest.raises(ModelError, match="there is no version of P017 '7'; choose from demo-2, 1, 2"):
        version_folder(child, "7")
    with pytest.raises(ModelError, match=r"no version of P017 '\.\.'"):
        use(child, "..")
    with pytest.raises(ModelError, match="is no model: there is no version in it"):
        versions(child.parent / "P018")


def test_a_history_that_cannot_be_written_to(child):
    """Root may write everywhere, but to no folder."""
    (child / HISTORY_NAME).mkdir()
    with pytest.raises(ModelError, match="cannot be written to, so 1 is not live: Is a directory"):
        use(child, "1")
    assert current(child) == "demo-2"


def test_models_are_found_by_name_or_path(child, monkeypatch):
    monkeypatch.setenv("MMAL_HOME", str(child.parent.parent))
    assert model_folder("P017") == child
    assert model_folder(str(child)) == child
    assert known_models()["P017"] == child
    assert known_models()["demo"] == child.parent / "demo", "the one that comes along would be second"
    with pytest.raises(ModelError, match="there is no model 'P17'; did you mean 'P017'"):
        model_folder("P17")
    with pytest.raises(ModelError, match="there is no model '~nobody-there/x'"):
        model_folder("~nobody-there/x")
    with pytest.raises(ModelError, match=f"is one version; expected the folder of the model, {child}"):
        model_folder(str(child / "1"))


def test_what_comes_with_the_package_is_a_model_too(tmp_path, monkeypatch):
    monkeypatch.setenv("MMAL_HOME", str(tmp_path))
    folder = model_folder("demo")
    assert current(folder) in [v.name for v in versions(folder)]


def test_how_two_versions_differ(child):
    (child / "2" / "face.onnx").write_bytes(b"another file")
    card = read_card(child / "2")
    card.modalities["face"].sha256 = "0" * 64
    card.modalities["face"].mean[0] = 1.0
    write_card(child / "2", card)
    found = {d.field: (d.before, d.after) for d in diff(child / "1", child / "2")}
    face = read_card(child / "1").modalities["face"].sha256[:12]
    assert found == {
        "version": ("1", "2"),
        "accepted": (True, False),
        "modalities.face.file": (f"face.onnx {face}", "face.onnx 000000000000"),
        "training.labels": (10, 20),
        "metrics.after": (0.6, 0.7),
    }
    assert diff(child / "1", child / "1") == []
    assert "training.labels" in {d.field for d in diff(child / "demo-2", child / "1")}


def test_whoever_dies_between_version_and_history_has_switched(child, monkeypatch):
    """The version is live; the next switch finds out and writes it down."""
    use(child, "1")
    real = model_versions.make_current

    def die(folder: Path, version: str) -> None:
        real(folder, version)
        raise KeyboardInterrupt

    monkeypatch.setattr(model_versions, "make_current", die)
    with pytest.raises(KeyboardInterrupt):
        use(child, "2")
    monkeypatch.undo()
    assert current(child) == "2"
    assert [rollback(child), rollback(child)] == ["1", "demo-2"]
