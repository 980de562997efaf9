"""The vocabulary: what flows from a sensor to an estimate.

    Source --Sample--> feature extractor --FeatureFrame--> windowing --Window--> estimator --Estimate-->

Frozen data classes over NumPy arrays. Time is an `int`: nanoseconds since the Unix epoch, the moment of
measurement. A later docstring need not repeat a shape, unit or range that stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

NANOSECONDS_PER_SECOND = 1_000_000_000
STEP_NS = 100_000_000
"""One step of a window: 100 ms (MMQL 2019, sec. 4.1)."""
STEPS_PER_WINDOW = 10
"""T: one window is ten steps, 1 s (MMQL 2019, sec. 4.1)."""


class Modality(StrEnum):
    """What an estimate listens to; the order is that of the 378 features of the paper."""

    FACE = "face"
    BODY = "body"
    PHYSIOLOGY = "physiology"
    AUDIO = "audio"


class Level(IntEnum):
    """Engagement; the value is the index into every array of probabilities."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


class Status(StrEnum):
    """Whether a modality can be heard in a window."""

    VALID = "valid"
    """Enough steps are measured and the newest of them is recent."""
    STALE = "stale"
    """Enough steps are measured, but the newest value is only being held. It still votes."""
    MISSING = "missing"
    """Fewer than half of the steps are measured. It does not vote."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some consecutive values of one sensor.

    `values` by `source`:

    ================ ============== ================================================
    camera           (H, W, 3)      uint8, BGR, one image
    microphone       (n,)           float32, mono, -1 to 1
    acc              (n, 3)         float32, g (1 g = 9.81 m/s^2)
    bvp              (n,)           float32, blood volume pulse, arbitrary unit
    eda              (n,)           float32, microsiemens
    temperature      (n,)           float32, degrees Celsius, skin
    ibi              (n,)           float32, s, inter-beat interval ending at the stamp
    battery          (1,)           float32, 0 to 1
    tag              (1,)           float32, 1: the wearer pressed the button
    ================ ============== ================================================
    """

    source: str
    stamp_ns: int
    """When the first value was measured."""
    values: NDArray[np.generic]
    rate_hz: float
    """Nominal rate of the values in Hertz; 0 for events (ibi, tag, battery) and single images of unknown rate."""

    @property
    def end_ns(self) -> int:
        """When the last value was measured: from then on the whole sample can be known."""
        if self.source == "camera" or self.rate_hz <= 0:
            return self.stamp_ns
        return self.stamp_ns + round((len(self.values) - 1) / self.rate_hz * NANOSECONDS_PER_SECOND)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureFrame:
    """One feature vector of one modality at one moment."""

    modality: Modality
    stamp_ns: int
    """When the newest measurement in it was taken. Nothing later is in it, so it is causal by construction."""
    values: FloatArray
    """(D,) finite, in the units of `mmal_ros.features.names`; zeros where not `valid`."""
    valid: bool
    """False: the sensor works but there is nothing to measure (no face in the picture, band not worn)."""
    confidence: float
    """0-1, how far the extractor trusts the values."""
    feature_set: str
    """Which list of features this is, for example `opensmile-egemaps`; a model refuses frames of another one."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The last second of every modality on one grid of steps.

    The arrays are read-only views into the rings of `windowing`: use them before the next frame is added, or copy.
    """

    id: int
    """Counts the steps of estimation since the epoch: equal for equal times, whichever run made it."""
    start_ns: int
    end_ns: int
    """The window holds measurements with start < stamp <= end."""
    features: Mapping[Modality, FloatArray]
    """(T, D) per modality, 0 where the mask is 0."""
    mask: Mapping[Modality, FloatArray]
    """(T,) per modality, 1: measured or held for at most 300 ms, 0: not known."""
    coverage: Mapping[Modality, float]
    """0-1 per modality, mean of the mask."""
    newest_ns: Mapping[Modality, int | None]
    """Stamp of the newest valid frame in the window; None: there is none."""
    frames_seen: Mapping[Modality, int]
    """Frames accepted since the start: with them a replay knows exactly what this window had seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """How engaged the person is, from the modalities that can be heard."""

    window_id: int
    stamp_ns: int
    """End of the window."""
    level: Level | None
    """None: no modality can be heard. Nothing is guessed."""
    probabilities: FloatArray
    """(3,) low, medium, high: mean of the calibrated probabilities of the modalities that vote; 1/3 each if none."""
    by_modality: Mapping[Modality, FloatArray]
    """(3,) calibrated probabilities per modality; 1/3 each where missing."""
    confidence: Mapping[Modality, float]
    """1 - H/ln 3 of the probabilities, 0-1 (MMQL 2019, eq. 5, normalised); 0 where missing."""
    status: Mapping[Modality, Status]
    age_ns: Mapping[Modality, int | None]
    """`stamp_ns` minus the newest valid measurement in the window; None where there is none."""
    frames_seen: Mapping[Modality, int]
    model_version: str
    """`name/version` of the model set."""
