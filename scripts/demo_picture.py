"""Draws docs/demo.svg: the terminal view as it stands after some seconds of a real run of the demo.

python scripts/demo_picture.py [SECONDS]
"""

import io
import sys
from pathlib import Path

from rich.console import Console

from mmal_ros.cli.live_run import LiveRun
from mmal_ros.cli.run_options import RunOptions
from mmal_ros.cli.view import LiveView
from mmal_ros.sensors.specs import Sensor, parse_spec
from mmal_ros.sensors.synthetic import simulated_person

SEED = 1000
WIDTH = 94


def main() -> None:
    """Run and draw."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 45.0
    specs = {sensor: parse_spec(sensor, f"synthetic:{SEED}") for sensor in Sensor}
    view = LiveView("demo", simulated_person(SEED)[1].level_at)
    LiveRun(RunOptions(specs, duration_s=seconds), view).play(Console(file=io.StringIO()))
    canvas = Console(record=True, width=WIDTH, file=io.StringIO())
    canvas.print(view)
    canvas.save_svg(str(Path(__file__).resolve().parent.parent / "docs/demo.svg"), title="mmal demo")


if __name__ == "__main__":
    main()
