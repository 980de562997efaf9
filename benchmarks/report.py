"""Prints a table and keeps it as JSON, with what one must know to believe it: machine, commit, command."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"


def percentiles(values_s: list[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and maximum in milliseconds, and how many there were."""
    milliseconds = np.array(values_s) * 1000
    median, high, higher = np.percentile(milliseconds, [50, 95, 99])
    return {
        "median_ms": float(median),
        "p95_ms": float(high),
        "p99_ms": float(higher),
        "max_ms": float(milliseconds.max()),
        "n": len(values_s),
    }


def publish(name: str, rows: dict[str, dict[str, Any]], note: str = "", folder: Path = RESULTS, **more: Any) -> None:
    """Print the rows and write <name>.json into a folder, with what more there is to keep."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    table = Table(title=name, title_justify="left", caption=note or None, caption_justify="left")
    table.add_column("what")
    for column in columns:
        table.add_column(column, justify="right")
    for what, row in rows.items():
        table.add_row(what, *(_cell(row.get(column)) for column in columns))
    Console().print(table)
    folder.mkdir(exist_ok=True)
    content = {"name": name, "note": note, "rows": rows, **more, **circumstances()}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def circumstances() -> dict[str, Any]:
    """Command, commit, date and machine."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "command": "python " + " ".join([f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
