"""What docs/reliability.md says comes from what was measured, and a leak is called one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.docs_sections import put_between
from benchmarks.trends import Measure, Series, trend
from rigs.fault_log import Outcome, keep

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = "# Faults\n\n<!-- faults -->\nan old table\n<!-- /faults -->\n\nMore.\n"
MEMORY = Measure("memory", "MB", 1.0, "MB")
UNPLUGGED, KILLED = "camera unplugged", "node killed"


@pytest.fixture
def page(tmp_path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    """As the tests of the faults leave it."""
    path = tmp_path / "faults.jsonl"
    monkeypatch.setenv("MMAL_FAULT_LOG", str(path))
    keep(Outcome(UNPLUGGED, "its server stopped", 0.5, 2.0))
    keep(Outcome(KILLED, "kill -9", None, 3.0, "0.4 s of features"))
    keep(Outcome(UNPLUGGED, "its server stopped", 1.5, 1.0))
    keep(Outcome(UNPLUGGED, "its server | hung", 1.25))
    return path


def fault_table(*arguments: object) -> subprocess.CompletedProcess[str]:
    return script("fault_table", *arguments)


def script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / f"benchmarks/{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_faults_become_a_table_in_the_page(log, page):
    """Twice, so that the second time replaces the first."""
    for _ in range(2):
        assert fault_table(log, "--into", page).returncode == 0
    before, _, after = page.read_text().partition("<!-- faults -->")
    rows, _, after = after.partition("<!-- /faults -->")
    assert (before, after) == ("# Faults\n\n", "\n\nMore.\n")
    assert rows.splitlines()[3:] == [
        "| camera unplugged | its server stopped | 2 | 1.00 s (1.50) | 1.50 s (2.00) | nothing |",
        "| camera unplugged | its server \\| hung | 1 | 1.25 s (1.25) | – | nothing |",
        "| node killed | kill -9 | 1 | – | 3.00 s (3.00) | 0.4 s of features |",
    ]


def test_runs_of_the_same_target_add_up(tmp_path):
    runs = [("bags.py::a", 1000, 6.0, ""), ("bags.py::a", 500, 5.0, ""), ("bags.py::b", 20, 9.0, "KeyError: 'x'\nmore")]
    lines = [
        {
            "name": f"test_{name}",
            "examples": n,
            "minutes": minutes,
            "processor_minutes": 2.0,
            "peak_mib": n,
            "finding": f,
        }
        for name, n, minutes, f in runs
    ]
    (tmp_path / "fuzz.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    row = script("fuzz_table", tmp_path / "fuzz.jsonl").stdout.splitlines()[2]
    assert row == "| bags | 2 | 1,520 | 9.0 | 6.0 | KeyError: 'x' | 1000 MiB |"


def test_a_line_that_was_cut_off_is_named_and_the_page_stays(log, page):
    with log.open("a") as file:
        file.write('{"fault": "camera unpl')
    run = fault_table(log, "--into", page)
    assert run.returncode == 2
    assert "line 5 is no JSON" in run.stderr
    assert "Traceback" not in run.stderr
    assert page.read_text() == PAGE


@pytest.mark.parametrize("name", ["long runs", "/faults"])
def test_a_page_without_the_markers_is_refused_and_stays(page, name):
    with pytest.raises(ValueError, match="put them where the text shall stand"):
        put_between(page, name, "a table")
    assert page.read_text() == PAGE


def series(per_hour: float, hours: float = 2.0) -> Series:
    """Noise of a megabyte upon a slope, and one look at a bad moment."""
    random, found = np.random.default_rng(0), Series(MEMORY)
    for hour in np.arange(0, hours, 1 / 60):
        found.add(float(hour), 500 + per_hour * hour + random.normal())
    found.values[-3] += 80
    return found


@pytest.mark.parametrize(
    ("per_hour", "hours", "verdict"), [(0.0, 2, "flat"), (3.0, 2, "growing"), (3.0, 0.1, "too short to say")]
)
def test_a_leak_is_called_one_and_a_single_odd_value_is_not(per_hour, hours, verdict):
    assert trend(series(per_hour, hours), warm_up_h=hours / 8).verdict == verdict


def test_what_happens_during_warm_up_does_not_count():
    found = series(0.0)
    found.values = [value - 100 * max(0.0, 0.5 - hour) for hour, value in zip(found.hours, found.values, strict=True)]
    assert trend(found, warm_up_h=0.5).verdict == "flat"
    assert trend(found, warm_up_h=0.0).verdict == "growing"
