"""`mmal` as its users call it: the program, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import cv2
import psutil
import pytest
from rich.console import Console

from mmal_ros.cli import doctor
from mmal_ros.cli.doctor import Finding, findings_table
from mmal_ros.cli.live_run import log_of_run
from mmal_ros.cli.redirect import STDERR
from mmal_ros.datatypes import Modality
from mmal_ros.nodes.graph import GraphError
from rigs.model_sets import write_model_set
from rigs.ros import wait_until
from rigs.stepped_clock import SteppedClock

MMAL = str(Path(sys.executable).parent / "mmal")
LEFT = 1
"""All is written, but Fast DDS did not end: its waits go by the clock that was set (`stopping.leave_soon`)."""
OPENSMILE_SETS = {
    Modality.FACE: "mediapipe-face",
    Modality.BODY: "mediapipe-pose",
    Modality.PHYSIOLOGY: "e4",
    Modality.AUDIO: "opensmile-egemaps",
}


def mmal(*arguments: object, timeout_s: float = 110) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MMAL, *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, check=False)


def estimates(run: subprocess.CompletedProcess[str]) -> list[dict]:
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def models(tmp_path):
    write_model_set(tmp_path / "random", feature_sets=OPENSMILE_SETS)
    return tmp_path / "random"


@pytest.fixture
def real_recordings(shared_data):
    """A talking head with sound, and somebody's wristband."""
    clip = shared_data / "grid-av-clips/bbaf2n.mpg"
    band = shared_data / "stress-predict/S05.tar.gz"
    return ["--camera", f"file:{clip}", "--microphone", f"file:{clip}", "--wristband", f"folder:{band}"]


def test_camera_microphone_and_wristband_go_in_and_engagement_comes_out(real_recordings):
    """The main job, with the model that comes along: estimates in which all four modalities are valid."""
    run = estimates(mmal("run", *real_recordings, "--model", "models/demo", "--json"))
    complete = [line for line in run if {part["status"] for part in line["modalities"].values()} == {"valid"}]
    assert len(complete) > 10
    assert {line["model"] for line in run} == {"demo/2"}
    assert all(line["level"] in ("low", "medium", "high") for line in complete)
    times = [line["time_s"] for line in run]
    assert times[0] <= 0.5, "a busy machine may be late at the start"
    assert times == [round(times[0] + 0.1 * i, 6) for i in range(len(times))], "not one estimate every 100 ms"


@pytest.fixture
def slow_video(shared_data, tmp_path):
    """Every third picture of the talking head: a busy machine keeps up with 8 a second."""
    video = cv2.VideoCapture(str(shared_data / "grid-av-clips/bbaf2n.mpg"))
    pictures = []
    while (read := video.read())[0]:
        pictures.append(read[1])
    height, width, _ = pictures[0].shape
    path = tmp_path / "slow.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25 / 3, (width, height))
    for picture in pictures[::3]:
        writer.write(picture)
    writer.release()
    return path


def test_fast_gives_the_estimates_of_a_live_run(real_recordings, slow_video, models):
    """A live run over ROS topics and a fast one without ROS, over the same files: the same, to the last digit.

    The live run may wait longer for features than usual: what a busy machine delays must not make a difference.
    """
    sensors = ["--camera", f"file:{slow_video}", *real_recordings[2:], "--max-delay", 1000]
    fast = estimates(mmal("run", *sensors, "--model", models, "--json", "--fast"))
    live = estimates(mmal("run", *sensors, "--model", models, "--json"))
    compared = ("level", "probabilities", "modalities", "model")
    by_time = {line["time_s"]: {key: line[key] for key in compared} for line in live}
    same = [by_time.get(line["time_s"]) == {key: line[key] for key in compared} for line in fast]
    assert len(fast) >= 25
    assert all(same), [line["time_s"] for line, equal in zip(fast, same, strict=True) if not equal]


def test_features_can_be_kept_and_scored_again(real_recordings, models, tmp_path):
    """The camera is looked at once; after that the features are enough, and give the same estimates."""
    kept = tmp_path / "features.npz"
    first = estimates(mmal("run", *real_recordings, "--model", models, "--json", "--fast", "--save-features", kept))
    again = estimates(mmal("run", "--features", kept, "--model", models, "--json"))
    assert len(first) >= 25
    assert first[: len(again)] == again
    assert len(again) >= len(first) - 1


def test_features_are_kept_also_of_a_run_that_ends_before_its_recording(models, tmp_path):
    kept = tmp_path / "features.npz"
    whole = ["--wristband", "synthetic:3", "--model", models, "--json", "--fast", "--duration", 4]
    first = estimates(mmal("run", *whole, "--save-features", kept))
    again = estimates(mmal("run", "--features", kept, "--model", models, "--json"))
    assert first[: len(again)] == again
    assert len(first) == 40
    assert len(again) >= 39, "a recording of features ends with its last frame"


def test_ctrl_c_ends_a_run_cleanly(models):
    """Exit code 130, no traceback, no process left."""
    process = subprocess.Popen(
        [MMAL, "run", "--camera", "synthetic", "--model", str(models), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in log
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def hear_ctrl_c() -> None:
    """Whoever runs the tests in the background has SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("step_s", [60, -600])
def test_a_clock_that_is_set_changes_nothing_about_how_long_a_run_is(models, tmp_path, step_s):
    """From the first estimate on: a run that went by that clock would end at once, or ten minutes too late."""
    clock = SteppedClock(tmp_path)
    command = [MMAL, "run", "--wristband", "synthetic:3", "--model", str(models), "--json", "--duration", "8"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **clock.environment},
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            begun_s = time.monotonic()
            clock.set(step_s)
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode in (0, LEFT), log
    assert time.monotonic() - begun_s > 5


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Where logs of runs are kept, which is empty."""
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_run_that_is_interrupted_names_its_log(models, logs):
    process = subprocess.Popen(
        [MMAL, "run", "--wristband", "synthetic", "--model", str(models)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    try:
        wait_until(lambda: any(log.stat().st_size for log in logs.glob("mmal-*.log")), 60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    (log,) = logs.glob("mmal-*.log")
    assert f"log: {log}" in said.splitlines()


def test_a_run_that_is_refused_keeps_no_log_that_it_does_not_name(models, logs):
    (models / "1" / "audio.onnx").unlink()
    run = mmal("run", "--wristband", "synthetic", "--model", models)
    assert (run.returncode, run.stdout) == (2, "")
    assert "audio.onnx is named by the card but not there" in run.stderr.splitlines()[-1]
    assert [f"log: {log}" for log in logs.glob("mmal-*.log")] == run.stderr.splitlines()[:-1]


@pytest.mark.parametrize(
    ("written", "end", "kept"),
    [
        ("", None, False),
        ("", KeyboardInterrupt(), False),
        ("a warning\n", None, True),
        ("a warning\n", KeyboardInterrupt(), True),
        ("[INFO] [mmal.engagement_node]: model demo/2\n", None, True),
        ("[INFO] [a]: well\n[ERROR] [b]: no such model\n", GraphError("no such model"), False),
        ("a warning\n[ERROR] [b]: no such model\n", GraphError("no such model"), True),
        ("", GraphError("no such model"), False),
    ],
)
def test_the_log_of_a_run_is_named_however_it_ends_or_gone_if_it_tells_nothing(logs, capfd, written, end, kept):
    with suppress(KeyboardInterrupt, GraphError), log_of_run():
        os.write(STDERR, written.encode())
        if end is not None:
            raise end
    there = list(logs.iterdir())
    assert [log.read_text() for log in there] == [written] * kept
    assert capfd.readouterr().err == "".join(f"log: {log}\n" for log in there)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], "no sensor was named"),
        (["run", "--camera", "devise:0"], "did you mean device:0"),
        (["run", "--camera", "device:front"], "device:0"),
        (["run", "--camera", "file:nowhere.mp4"], "nowhere.mp4"),
        (["run", "--wristband", "server:localhost"], "server:127.0.0.1:28000/9ff167"),
        (["run", "--wristband", "folder:README.md", "--fast"], "README.md"),
        (["run", "--camera", "synthetic", "--model", "nowhere"], "nowhere is no model set"),
        (["run", "--camera", "synthetic", "--model", "dmeo"], "did you mean demo?"),
        (["run", "--camera", "synthetic", "--provider", "gpu"], "possible: tensorrt, cuda, cpu"),
        (["run", "--camera", "synthetic", "--rate-estimates", "7"], "does not fit steps of 100 ms"),
        (["run", "--camera", "device:0", "--fast"], "is live"),
        (["run", "--camera", "synthetic", "--save-features", "x.npz"], "works with --fast and sensors only"),
        (["run", "--features", "README.md"], "no recording of features"),
        (["run", "--features", "README.md", "--fast", "--save-features", "x.npz"], "and sensors only"),
        (["run", "--camera", "synthetic", "--record", "Anna"], "has no digit, and may be a name"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_exit_code_2(arguments, sentence):
    """No traceback, nothing on stdout, and what would be right."""
    run = mmal(*arguments)
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    assert sentence in run.stderr, run.stderr


def test_a_damaged_model_is_refused_before_anything_is_measured(models):
    """It is the node that loads it, once; whoever typed the command reads the reason."""
    (models / "1" / "audio.onnx").unlink()
    run = mmal("run", "--microphone", "synthetic", "--model", models, "--json")
    assert (run.returncode, run.stdout) == (2, "")
    assert "Traceback" not in run.stderr
    assert "audio.onnx is named by the card but not there" in run.stderr.splitlines()[-1]


def test_help_teaches():
    """Every SPEC can be learned from --help."""
    text = " ".join(mmal("run", "--help").stdout.split())
    for word in ("device:0", "topic:/camera", "ble:NAME", "server:HOST", "heart-rate:", "folder:", "synthetic"):
        assert word in text


def test_doctors_remedies_are_shown_as_they_are_to_be_typed(capsys):
    finding = Finding("mediapipe", good=False, found="error [/usr/lib]", remedy="pip install 'mmal_ros[robot]'")
    Console(width=200).print(findings_table([finding]))
    said = capsys.readouterr().out
    assert "pip install 'mmal_ros[robot]'" in said
    assert "error [/usr/lib]" in said


def test_doctor_names_what_of_an_extra_is_missing(monkeypatch):
    """Here all are installed, so one is hidden."""
    real = doctor.version_of

    def hidden(name: str) -> str:
        if name == "fastapi":
            raise PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor, "version_of", hidden)
    (pages,) = (finding for finding in doctor._extras() if finding.subject == "review (pages)")
    assert (pages.good, pages.found, pages.remedy) == (False, "fastapi missing", "pip install 'mmal_ros[review]'")
    assert all(finding.good for finding in doctor._extras() if finding.subject != "review (pages)")


def test_doctor_says_that_nobody_knows_the_extras_of_what_is_not_installed(monkeypatch):
    """As on a checkout that PYTHONPATH names: it has no metadata."""

    def unknown(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", unknown)
    (extras,) = doctor._extras()
    assert (extras.good, extras.found) == (False, "unknown: mmal_ros runs without being installed")
    assert not extras.needed


def test_doctor_names_the_library_that_a_provider_lacks():
    """On a machine without a GPU, and not what ONNX Runtime makes of it."""
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    found = {finding.subject: finding.found for finding in doctor._providers()}
    assert found["ONNX on cpu"] == "runs"
    for name in ("ONNX on tensorrt", "ONNX on cuda"):
        assert re.fullmatch(r"lib\S+ is missing|not usable here", found[name])


def test_doctor_names_the_provider_that_really_runs():
    """On a machine without a GPU: the CPU runs, CUDA does not, and the table says so."""
    run = mmal("doctor")
    assert "ONNX on cpu" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
