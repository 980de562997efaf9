"""The law of the house: imports point one way, and what is heavy is imported in one place only.

The order is the one of `mmal_ros/__init__.py`, module by module. A new module fails the test until it has a place.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "mmal_ros"

ORDER = (
    {"datatypes", "files", "stopping", "wording"},
    {"npz"},
    {"sensors", "features", "uncertainty", "paths"},
    {"windowing", "window_columns", "model_card", "discretion"},
    {"schedule", "window_vectors", "onnx_session"},
    {"selector", "second_opinion"},
    {"models"},
    {"engagement", "window_stream", "model_versions"},
    {"pipeline", "extraction"},
    {"offline", "recorded_windows", "vision_child", "newest_picture"},
    {"vision_process"},
    {"session"},
    {"nodes", "training", "review"},
    {"benchmark"},
    {"cli"},
)
"""Who may import whom: only what stands in an earlier line. Those in one line do not know one another."""

ROS = {
    *("rclpy", "rcl_interfaces", "builtin_interfaces", "ament_index_python", "rosidl_runtime_py", "std_srvs"),
    *("std_msgs", "sensor_msgs", "diagnostic_msgs", "lifecycle_msgs", "mmal_msgs", "naoqi_bridge_msgs", "hri_msgs"),
}
CONFINED = {
    "session": {"sqlalchemy", "mcap", "pympi", "krippendorff"},
    "nodes": ROS,
    "training": {"torch", "sklearn", "skactiveml"},
    "review": {"fastapi", "uvicorn", "starlette", "jinja2"},
}
"""Libraries that may be imported in one folder only, so that everything else works without them."""

SENSORLESS = {
    *(
        "windowing",
        "schedule",
        "window_stream",
        "model_card",
        "models",
        "engagement",
        "uncertainty",
        "selector",
        "window_vectors",
        "onnx_session",
        "second_opinion",
    ),
    "pipeline",
}
"""They know features by name, and no device."""
CORE = {"datatypes", "features", *SENSORLESS}
CLOCKS = {"time", "datetime"}


def units(root: Path) -> dict[str, list[Path]]:
    """The files of each module or package right below the root."""
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*.py")):
        found.setdefault(path.relative_to(root).with_suffix("").parts[0], []).append(path)
    return found


def imports(path: Path, root: Path) -> Iterator[tuple[str, int]]:
    """Everything that a file imports, wherever in the file it does so, and the line: (a.b.c, 7)."""
    package = path.relative_to(root.parent).parent.parts
    for node in ast.walk(_loaded(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def _loaded(tree: ast.Module) -> ast.Module:
    """Without what stands under `if TYPE_CHECKING`: names in annotations load nothing."""
    tree.body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
    return tree


def violations(root: Path) -> list[str]:
    """What breaks the law, one sentence each."""
    rank = {unit: number for number, row in enumerate(ORDER) for unit in row}
    found = [f"{unit} has no place in ORDER" for unit in units(root) if unit not in rank and unit != "__init__"]
    for unit, paths in units(root).items():
        for path in paths:
            place = path.relative_to(root.parent)
            for name, line in imports(path, root):
                if breaks := _breaks(unit, name, rank):
                    found.append(f"{place}:{line}: {breaks}")
    return found


def _breaks(unit: str, name: str, rank: dict[str, int]) -> str:
    library, _, rest = name.partition(".")
    if library != ROOT.name:
        homes = [home for home, libraries in CONFINED.items() if library in libraries and home != unit]
        clock = library in CLOCKS and unit in CORE
        return f"{library} belongs in {homes[0]}/ only" if homes else f"{unit} reads a clock" if clock else ""
    target = rest.partition(".")[0]
    if target not in rank or target == unit:
        return ""
    if unit == "__init__":
        return f"the package itself imports {target}"
    if rank[target] >= rank.get(unit, len(ORDER)) or (target == "sensors" and unit in SENSORLESS):
        return f"{unit} must not import {target}"
    return ""


def test_every_import_points_one_way() -> None:
    assert violations(ROOT) == []


def test_every_place_in_the_order_is_taken_once() -> None:
    places = [unit for row in ORDER for unit in row]
    assert sorted(places) == sorted(set(places))
    assert set(places) == set(units(ROOT)) - {"__init__"}


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("datatypes.py", "from mmal_ros import windowing", "datatypes must not import windowing"),
        ("sensors/camera.py", "from mmal_ros.features.names import FACE", "sensors must not import features"),
        ("features/face.py", "import mmal_ros.sensors.source", "features must not import sensors"),
        ("features/deep/face.py", "from ...sensors import source", "features must not import sensors"),
        (
            "windowing.py",
            "def f():\n    from mmal_ros.sensors.source import Source",
            "windowing must not import sensors",
        ),
        ("engagement.py", "from mmal_ros.pipeline import score", "engagement must not import pipeline"),
        ("nodes/x.py", "from mmal_ros.training.group.fit import fit", "nodes must not import training"),
        ("pipeline.py", "import rclpy.node", "rclpy belongs in nodes/ only"),
        ("cli/view.py", "from mmal_msgs.msg import Engagement", "mmal_msgs belongs in nodes/ only"),
        ("models.py", "import torch", "torch belongs in training/ only"),
        ("schedule.py", "from time import time_ns", "schedule reads a clock"),
        ("__init__.py", "from mmal_ros.cli import app", "the package itself imports cli"),
        ("new_idea.py", "", "new_idea has no place in ORDER"),
    ],
)
def test_an_arrow_that_points_back_is_found(tmp_path: Path, file: str, line: str, complaint: str) -> None:
    path = tmp_path / "mmal_ros" / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    (found,) = violations(tmp_path / "mmal_ros")
    assert found.endswith(complaint)


def test_a_right_arrow_is_not_complained_about(tmp_path: Path) -> None:
    root = tmp_path / "mmal_ros"
    (root / "nodes").mkdir(parents=True)
    (root / "nodes" / "x.py").write_text("import rclpy\nfrom mmal_ros.pipeline import score\nfrom . import y\n")
    (root / "cli").mkdir()
    (root / "cli" / "view.py").write_text(
        "if TYPE_CHECKING:\n    import rclpy\nimport time\nfrom mmal_ros import __version__\n"
    )
    assert violations(root) == []


HEAVY = {
    *ROS,
    *("torch", "fastapi", "sklearn", "skactiveml", "mediapipe", "cv2", "opensmile", "pyaudio", "bleak", "av", "pandas"),
    "neurokit2",
}
LIGHT = (
    *("datatypes", "features.names", "features.extractor", "features.recording", "windowing", "schedule"),
    *(
        "window_stream",
        "models",
        "uncertainty",
        "engagement",
        "selector",
        "pipeline",
        "recorded_windows",
        "window_vectors",
    ),
    *("extraction", "vision_child", "vision_process", "offline", "paths"),
    *("sensors.source", "sensors.specs", "sensors.pushed", "cli.fast_run", "cli.doctor", "cli.app"),
)
"""Modules that everybody loads, whatever sensors there are: they must start in a blink and without ROS."""


def test_the_core_loads_without_anything_heavy() -> None:
    """In a fresh interpreter, so that nothing is there because of another test."""
    code = f"import sys; {'; '.join(f'import mmal_ros.{name}' for name in LIGHT)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=True)
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "mmal_ros" in loaded
    assert loaded & HEAVY == set()
