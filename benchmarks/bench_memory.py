"""Whether memory stays flat: half an hour of a simulated person through extractors, windows and models, accelerated.

    python benchmarks/bench_memory.py [--minutes 30]

The same code as live, but as fast as it goes (vision takes about half of real time on one core). The slope is that of
a straight line through the second half, when every buffer has reached its size.
"""

from __future__ import annotations

import argparse

import numpy as np
import psutil
from report import publish
from rich.progress import Progress

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.models import load_model_set
from mmal_ros.offline import recorded_frames
from mmal_ros.paths import find_model
from mmal_ros.pipeline import EngagementPipeline, score
from mmal_ros.sensors.specs import Sensor, parse_spec

START_NS = 1_700_000_000 * NANOSECONDS_PER_SECOND


def main() -> None:
    """Run and fit the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    minutes = parser.parse_args().minutes
    models = load_model_set(find_model("demo"))
    frames = recorded_frames({s: parse_spec(s, "synthetic:1000") for s in Sensor}, START_NS, models.card.audio_features)
    process = psutil.Process()
    times_min: list[float] = []
    memory_mb: list[float] = []
    with Progress() as progress:
        task = progress.add_task("minutes", total=minutes)
        for estimate in score(EngagementPipeline(models), frames, START_NS):
            time_min = (estimate.stamp_ns - START_NS) / NANOSECONDS_PER_SECOND / 60
            if time_min > minutes:
                break
            if not times_min or time_min - times_min[-1] > 1 / 6:
                times_min.append(time_min)
                memory_mb.append(process.memory_info().rss / 2**20)
                progress.update(task, completed=time_min)
    half = len(times_min) // 2
    slope, _ = np.polyfit(times_min[half:], memory_mb[half:], 1)
    rows = {
        "resident memory (MB)": {"after 1 min": memory_mb[6], "at half": memory_mb[half], "at the end": memory_mb[-1]},
        "slope of the second half (MB/h)": {"at the end": float(slope * 60)},
    }
    publish("memory", rows, f"{minutes:.0f} minutes of signals")


if __name__ == "__main__":
    main()
