"""`mmal doctor`: what is installed, which devices are there, what is missing and the command that mends it."""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as version_of
from pathlib import Path
from tempfile import TemporaryFile

from rich.markup import escape
from rich.table import Table

from mmal_ros.cli.redirect import STDERR, STDOUT, output_into
from mmal_ros.model_card import ModelError
from mmal_ros.models import PROVIDERS, load_model_set
from mmal_ros.paths import find_model
from mmal_ros.stopping import end_if_told

GPU_REMEDY = "only with an NVIDIA GPU: CUDA 13 and cuDNN 9 (and TensorRT)"
SYSTEM_BUS = Path("/run/dbus/system_bus_socket")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    found: str
    remedy: str = ""
    needed: bool = False
    """Without it nothing works; else only a part does not."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A Python package and what it is for."""

    module: str
    distribution: str
    purpose: str
    remedy: str
    needed: bool = False


REQUIREMENTS = (
    Requirement("onnxruntime", "onnxruntime-gpu", "models", "pip install onnxruntime-gpu", needed=True),
    Requirement("rclpy", "ros-rclpy", "ROS 2", "source /opt/ros/jazzy/setup.bash, or: pip install 'mmal_ros[ros]'"),
    Requirement("mmal_msgs", "mmal-msgs", "messages", "colcon build, or: pip install ./mmal_msgs"),
    Requirement("cv2", "opencv-contrib-python", "camera", "pip install 'mmal_ros[robot]'; apt: libgl1 libglib2.0-0"),
    Requirement("mediapipe", "mediapipe", "FACE, BODY", "pip install 'mmal_ros[robot]'"),
    Requirement("pyaudio", "PyAudio", "microphone", "apt: portaudio19-dev; pip install 'mmal_ros[robot]'"),
    Requirement("opensmile", "opensmile", "AUDIO", "pip install 'mmal_ros[robot]', or feature_set: spectral"),
    Requirement("av", "av", "sound files", "pip install 'mmal_ros[robot]'"),
    Requirement("bleak", "bleak", "Bluetooth", "pip install 'mmal_ros[robot]'"),
    Requirement("neurokit2", "neurokit2", "simulation", "pip install 'mmal_ros[synthetic]'"),
    Requirement("skimage", "scikit-image", "simulation", "pip install 'mmal_ros[synthetic]'"),
    Requirement("naoqi_bridge_msgs", "naoqi_bridge_msgs", "NAO's microphones", "build naoqi_bridge_msgs with colcon"),
)
PACKAGE = "mmal_ros"
NAMED = re.compile(r"([\w.-]+)")
EXTRAS = {
    "session": "sessions: recording, export, import",
    "review": "pages",
    "train": "training, personalising, evaluation",
    "cluster": "evaluation on several machines",
}
"""Groups of packages in setup.py, and what they are for."""


def examine() -> list[Finding]:
    """Look at everything; takes some seconds, since every package is really imported."""
    return [finding for look in (_python, _packages, _extras, _providers, _model, _devices) for finding in look()]


def findings_table(findings: list[Finding]) -> Table:
    """The findings for the terminal."""
    table = Table(title=f"mmal on {platform.platform(terse=True)}", title_justify="left")
    for column in ("", "what", "found", "remedy"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        sign = "[green]✓[/]" if finding.good else "[red]✗[/]" if finding.needed else "[yellow]–[/]"
        words = (finding.subject, finding.found, "" if finding.good else finding.remedy)
        table.add_row(sign, *map(escape, words))
    return table


def _python() -> Iterator[Finding]:
    good = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Finding("Python", good, platform.python_version(), "use Python 3.11 or 3.12", needed=True)


def _packages() -> Iterator[Finding]:
    for requirement in REQUIREMENTS:
        subject = f"{requirement.module} ({requirement.purpose})"
        try:
            importlib.import_module(requirement.module)
        except Exception as error:  # a broken package raises anything as it is imported
            end_if_told()
            found = f"{type(error).__name__}: {error}".splitlines()[0]
            yield Finding(subject, False, found, requirement.remedy, requirement.needed)
        else:
            yield Finding(subject, True, _version(requirement))


def _extras() -> Iterator[Finding]:
    """What `pip install 'mmal_ros[EXTRA]'` would bring: there or not, without importing it."""
    try:
        required = requires(PACKAGE) or ()
    except PackageNotFoundError:
        found = f"unknown: {PACKAGE} runs without being installed"
        yield Finding("extras", False, found, "in its checkout: pip install -e .")
        return
    for extra, purpose in EXTRAS.items():
        wanted = [name[1] for text in required if (name := NAMED.match(text)) and _is_of(text, extra)]
        missing = [name for name in wanted if not _is_installed(name)]
        found = f"{', '.join(missing)} missing" if missing else "all there"
        yield Finding(f"{extra} ({purpose})", not missing, found, f"pip install '{PACKAGE}[{extra}]'")


def _is_of(requirement: str, extra: str) -> bool:
    return re.search(rf"extra == ['\"]{extra}['\"]", requirement) is not None


def _is_installed(distribution: str) -> bool:
    try:
        version_of(distribution)
    except PackageNotFoundError:
        return False
    return True


def _version(requirement: Requirement) -> str:
    try:
        return version_of(requirement.distribution)
    except PackageNotFoundError:
        return "installed"


def _providers() -> Iterator[Finding]:
    """A provider that is compiled in loads only where its libraries and a GPU are: so a model is really loaded."""
    for name, provider in PROVIDERS.items():
        used, problem = {""}, "not usable here"
        with TemporaryFile("w+") as said:
            try:
                with output_into(said, STDOUT, STDERR):  # ONNX Runtime says the same many times over
                    wanted = list(dict.fromkeys([name, "cpu"]))
                    used = set(load_model_set(find_model("demo"), wanted, allow_fallback=False).providers.values())
            except ModelError as error:
                problem = str(error)
            said.seek(0)
            lacking = re.search(r"(lib\S+): cannot open shared object", said.read())
        runs = used == {provider}
        found = "runs" if runs else f"{lacking[1]} is missing" if lacking else problem
        yield Finding(f"ONNX on {name}", runs, found, "" if name == "cpu" else GPU_REMEDY)


def _model() -> Iterator[Finding]:
    try:
        card = load_model_set(find_model("demo")).card
    except ModelError as error:
        yield Finding("model demo", False, str(error), "install the package again", needed=True)
    else:
        yield Finding("model demo", True, f"{card.identity}: {card.purpose.partition('.')[0]}")


def _devices() -> Iterator[Finding]:
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    yield Finding("cameras", bool(cameras), ", ".join(cameras) or "none", "plug one in, or use http:, rtsp:, topic:")
    yield _attempt("microphones", _microphones, "plug one in and start PulseAudio or PipeWire")
    bus = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or (str(SYSTEM_BUS) if SYSTEM_BUS.exists() else "")
    yield Finding("system D-Bus (Bluetooth)", bool(bus), bus or "none", "apt: dbus bluez; then start both services")


def _attempt(subject: str, look: Callable[[], str], remedy: str) -> Finding:
    try:
        found = look()
    except Exception as error:  # a missing driver raises anything
        end_if_told()
        return Finding(subject, False, f"{type(error).__name__}: {error}", remedy)
    return Finding(subject, bool(found), found or "none", remedy)


def _microphones() -> str:
    from mmal_ros.sensors.portaudio import input_names

    return ", ".join(input_names().values())
