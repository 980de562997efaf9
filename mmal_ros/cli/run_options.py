"""What a run was asked for, whoever asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmal_ros.selector import DEFAULT
from mmal_ros.sensors.specs import Sensor, Spec
from mmal_ros.session.records import Privacy


@dataclass(frozen=True, slots=True)
class FlagOptions:
    """Which windows are flagged, and how many."""

    policy: str = DEFAULT
    budget: int = 20
    expected_duration_min: float = 25.0
    refractory_s: float = 5.0


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """Whose session is recorded, and what of it."""

    participant: str
    privacy: Privacy = Privacy.CLIPS
    sessions: Path | None = None
    """Folder of all sessions; None: the usual one."""


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
    flags: FlagOptions = field(default_factory=FlagOptions)
    record: RecordOptions | None = None
    """None: nothing is recorded, and no picture or sound leaves its process."""
