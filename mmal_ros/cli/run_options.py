"""What a run was asked for, whoever asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmal_ros.sensors.specs import Sensor, Spec


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Sources, model and pace of a run."""

    specs: Mapping[Sensor, Spec]
    model: str = "demo"
    duration_s: float | None = None
    rate_hz: float = 10
    max_delay_ms: float = 40
    providers: tuple[str, ...] = ("cpu",)
    until_last: bool = False
    """Go on until the last recording ends, not only the first."""
    json_lines: bool = False
