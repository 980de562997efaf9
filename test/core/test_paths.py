"""Which folder a model's name means."""

from __future__ import annotations

from pathlib import Path

from mmal_ros.paths import find_model, home, path_of
from rigs.model_sets import write_model_set


def test_a_folder_that_only_has_the_name_of_a_model_is_not_meant(tmp_path: Path, monkeypatch) -> None:
    """`mmal demo` leaves a folder `demo` beside the sessions, where somebody may stand."""
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model("demo").parent.name == "models"


def test_a_model_set_is_found_by_its_path_and_by_a_participants_code(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MMAL_HOME", str(tmp_path))
    write_model_set(tmp_path / "models" / "P017")
    assert find_model("P017") == tmp_path / "models/P017"
    assert find_model(str(tmp_path / "models/P017")) == tmp_path / "models/P017"


def test_what_can_be_no_path_is_given_back_for_a_clear_error(tmp_path: Path) -> None:
    for name in ("~nobody-of-that-name/model", "x" * 300):
        assert find_model(name) == Path(name)


def test_the_home_of_nobody_is_a_folder_like_any_other(tmp_path: Path, monkeypatch) -> None:
    """So that whoever looks there says, in his own words, that it is not there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/x") == tmp_path / "x"
    assert path_of("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    monkeypatch.setenv("MMAL_HOME", "~nobody-of-that-name/x")
    assert home() == Path("~nobody-of-that-name/x")
    assert find_model("demo").parent.name == "models"


def test_without_a_setting_everything_is_in_the_home(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "~/mmal"):
        monkeypatch.setenv("MMAL_HOME", value)
        assert home() == tmp_path / "mmal"
