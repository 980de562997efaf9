"""Live engagement of a child with a robot, from camera, microphone and wristband.

The law of the house: imports point one way, and `test/test_architecture.py` holds every file to it.

    datatypes <- sensors, features, windowing, models <- engagement <- pipeline <- session
              <- {nodes | training | review} <- cli

* Everything outside `nodes/` works without ROS, everything outside `training/` without torch, everything outside
  `review/` without a web framework.
* Nothing below `sensors/` reads a clock: time is an `int` of nanoseconds that comes in with the data,
  so a replay of a recording repeats the live run exactly.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # nothing leaves the computer; it counts only before ONNX Runtime is imported

__version__ = "0.1.0"
