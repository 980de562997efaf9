"""Synthetic sensors: a person whose engagement over time is known, seen by ordinary sources.

The law: a synthetic source is a recorded source like any other. It yields the samples that a device would, in the
units and at the rates of the device, deterministic for a person, a script and a start, computed lazily and without a
clock; `mmal_ros.sensors.source.Paced` gives it the pace of real time. What it shows comes from `person` (who, and how
engaged when) and `behaviour` (what she then does), so that camera, microphone and wristband tell one story. Nothing
here may be taken for how children behave: the point is that the truth is known, not that it is true to life.

The heavy libraries (scikit-image for the picture, NeuroKit2 for the wristband) load with the source that needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mmal_ros.sensors.source import SourceError
from mmal_ros.sensors.synthetic.person import EngagementScript, Person, Segment, simulated_person

if TYPE_CHECKING:
    from mmal_ros.sensors.synthetic.camera import SyntheticCamera
    from mmal_ros.sensors.synthetic.voice import SyntheticMicrophone
    from mmal_ros.sensors.synthetic.wristband import SyntheticWristband

__all__ = [
    "EngagementScript",
    "Person",
    "Segment",
    "SyntheticCamera",
    "SyntheticMicrophone",
    "SyntheticWristband",
    "simulated_person",
]

_MODULES = {"SyntheticCamera": "camera", "SyntheticMicrophone": "voice", "SyntheticWristband": "wristband"}


def __getattr__(name: str) -> Any:
    """Import a source when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        raise SourceError(f"{name} needs {error.name}: install it with pip install 'mmal_ros[synthetic]'") from error
