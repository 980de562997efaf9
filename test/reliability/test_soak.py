"""Three simulated minutes of the long run that `make soak` does for eight hours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
def test_three_minutes_with_faults_go_from_features_to_a_session_and_nothing_is_dropped(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks/soak_accelerated.py"), "--minutes", "3", "--into", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    summary = json.loads((tmp_path / "soak_accelerated.json").read_text())
    facts = summary["facts"]
    assert facts["estimates"] in range(1798, 1801)
    assert facts["frames rejected"] > 0
    assert facts["clips"] > 0
    assert (facts["dropped"], facts["problem"]) == (0, "none")
    measured = {trend["name"] for trend in summary["trends"]}
    assert {"resident memory", "open files", "threads", "estimate, p99", "messages for the bag, most"} <= measured
    assert (tmp_path / "soak_accelerated.png").stat().st_size > 10_000
