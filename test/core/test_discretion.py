"""What is written down for later does not say whose session it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmal_ros.discretion import discreet
from mmal_ros.paths import personal_models_folder
from mmal_ros.wording import without_password


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMAL_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20_P017_01 is being recorded; stop it first",
        "No space left on device: '/home/lab/mmal/sessions/2026-11-20_P017_01/clips/12.mp4'",
        "{models}/P017/3/face.onnx cannot be read",
        "{models}/P017: there is no version '4' in {models}/P017",
        "'P017 Anna O'Brien' is no code of a participant; expected 1 to 32 letters, digits and '-', for example P018",
    ],
)
def test_codes_and_names_are_left_out_and_the_rest_stays(text: str) -> None:
    text = text.format(models=personal_models_folder())
    said = discreet(text)
    assert "P017" not in said
    assert "Anna" not in said
    assert said[-12:] == text[-12:] or "…" in said[-14:]


def test_what_has_no_code_stays_as_it_is() -> None:
    for text in (
        "estimates come too slowly",
        "model demo/2 runs on cpu",
        "2026-11-20 10:00",
        "/usr/share/models/demo/2",
    ):
        assert discreet(text) == text


def test_where_nobody_has_a_home_the_log_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMAL_HOME", "~nobody-of-that-name")
    assert discreet("2026-11-20_P017_01 waits") == "2026-11-20_…_01 waits"


PROGRAM = """
import logging
from mmal_ros.discretion import log_discreetly
log_discreetly()
try:
    open("/nowhere/2026-11-20_P017_01/session.json")
except OSError:
    logging.getLogger("mmal_ros.session.recorder").exception("recording a session")
logging.getLogger("anything").warning("%s waits", "2026-11-20_P017_01")
"""


def test_a_traceback_in_the_log_has_no_code_either() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert "FileNotFoundError" in run.stderr
    assert "2026-11-20_…_01 waits" in run.stderr
    assert "P017" not in run.stderr


def test_a_password_in_an_address_is_left_out() -> None:
    assert without_password("rtsp://nurse:secret@10.0.0.7/stream") == "rtsp://10.0.0.7/stream"
    assert without_password("device:0") == "device:0"
    assert without_password("http://10.0.0.7:8080/cam-1.mjpg") == "http://10.0.0.7:8080/cam-1.mjpg"


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://admin:P@secret@10.0.0.5/s",
        "rtsp://admin:sec/secret@10.0.0.5/s",
        "rtsp://10.0.0.5/user=admin&password=secret&channel=1",
        "http://10.0.0.5/mjpg?pwd=secret",
        "rstp://admin:secret@cam/1",
        "rtsp:admin:secret@cam/1",
    ],
)
def test_a_password_is_left_out_wherever_cameras_and_people_put_it(address: str) -> None:
    for text in (address, f"camera '{address}' is not known; possible: http://HOST/PATH"):
        assert "sec" not in without_password(text)
        assert "sec" not in discreet(text)
