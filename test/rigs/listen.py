"""A process that listens to the default microphone and tells how old each sample was when it came.

python listen.py      prints a line per sample: age in milliseconds, samples received, samples dropped
"""

from __future__ import annotations

import time

from mmal_ros.sensors.microphone import Microphone

with Microphone("default", time.time_ns) as microphone:
    for sample in microphone:
        age_ms = (time.time_ns() - sample.end_ns) // 1_000_000
        print(age_ms, microphone.status.received, microphone.status.dropped, flush=True)
