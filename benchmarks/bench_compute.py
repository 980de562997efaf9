"""How long one estimate takes inside (window, four LSTMs, vote), and how fast a recorded hour is scored again.

    python benchmarks/bench_compute.py

Targets: at most 0.2 ms in the median; at least 1,000 times real time, both on one core.
"""

from __future__ import annotations

import os

from report import publish

from mmal_ros.benchmark import measure_compute, measure_fast
from mmal_ros.models import load_model_set
from mmal_ros.paths import find_model


def main() -> None:
    """Measure on one core."""
    os.sched_setaffinity(0, {0})
    models = load_model_set(find_model("demo"))
    rows = {
        item.name: {"median": item.median, "p99": item.p99, "unit": item.unit, "n": item.count}
        for item in [*measure_compute(models), measure_fast(models)]
    }
    publish("compute", rows, "on one core; the p99 of the ratio is the fastest of its rounds")


if __name__ == "__main__":
    main()
