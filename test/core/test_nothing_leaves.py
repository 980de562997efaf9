"""ONNX Runtime, from 1.29 on, tells its makers how it is used; with us it has neither an identifier nor a log of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOAD = "from pathlib import Path; from mmal_ros.models import load_model_set; load_model_set(Path('models/demo/2'))"


def test_a_loaded_model_leaves_nothing_to_be_sent(tmp_path):
    """In an environment of its own: where tests are known to run, ONNX Runtime is silent by itself."""
    home, scratch = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    scratch.mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(home), "TMPDIR": str(scratch)}
    subprocess.run([sys.executable, "-c", LOAD], cwd=ROOT, env=environment, check=True, timeout=60)
    assert [path.name for path in (*home.rglob("*"), *scratch.rglob("*"))] == []
