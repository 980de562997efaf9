"""Which folder a model's name means."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from mmal_ros.model_card import ModelError
from mmal_ros.models import load_model_set
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


def test_models_that_may_not_be_looked_at_hide_none_that_comes_along(tmp_path: Path, monkeypatch) -> None:
    """Root may look at everything, so the system's answer is made up."""
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(f"{tmp_path}/models"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setenv("MMAL_HOME", str(tmp_path))
    monkeypatch.setattr(os, "stat", stat)
    assert load_model_set(find_model("demo")).card.name == "demo"
    with pytest.raises(ModelError, match=rf"{tmp_path}/models/P017/model\.json cannot be read \(Permission denied;"):
        load_model_set(find_model("P017"))


def test_what_can_be_no_path_is_given_back_for_a_clear_error(tmp_path: Path) -> None:
    for name in ("~nobody-of-that-name/model", "x" * 300):
        assert find_model(name) == Path(name)


def test_the_home_of_nobody_is_a_folder_like_any_other(tmp_path: Path, monkeypatch) -> None:
    """So that whoever looks there says, in his own words, that it is not there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/x") == tmp_path / "x"
    assert path_of("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")


def test_a_home_of_nobody_is_refused_and_a_model_that_comes_along_is_found(monkeypatch) -> None:
    """Sessions would be missed, and models of a child made, wherever somebody happens to stand."""
    monkeypatch.setenv("MMAL_HOME", "~nobody-of-that-name/x")
    with pytest.raises(ValueError, match=r"MMAL_HOME is '~nobody-of-that-name/x': nobody here has such a home"):
        home()
    assert find_model("demo").parent.name == "models"
    assert find_model("P017") == Path("P017")


def test_without_a_setting_nobody_who_has_no_home_gets_one(monkeypatch) -> None:
    """As in a container whose user nobody entered."""

    def unknown(user: int) -> NoReturn:
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("MMAL_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(ValueError, match="MMAL_HOME is '~/mmal': nobody here has such a home"):
        home()


def test_without_a_setting_everything_is_in_the_home(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "~/mmal"):
        monkeypatch.setenv("MMAL_HOME", value)
        assert home() == tmp_path / "mmal"
