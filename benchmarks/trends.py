"""Whether what is watched over a long run grows: a slope that one odd value does not bend.

What *flat* means is written down with each measure before anybody has looked: the slope of Theil and Sen over the time
after warm-up stays below `flat_per_hour`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import theilslopes

SHORTEST_H = 1 / 6
"""Over less time after warm-up a slope per hour says nothing."""
FLAT, GROWING, TOO_SHORT = "flat", "growing", "too short to say"


@dataclass(frozen=True)
class Measure:
    """Something that must not grow."""

    name: str
    unit: str
    flat_per_hour: float
    """What grows by less than this is flat."""
    panel: str
    """Title of the part of the plot that it is drawn in."""


@dataclass
class Series:
    """One measure over time."""

    measure: Measure
    hours: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, hour: float, value: float) -> None:
        """One more value."""
        self.hours.append(hour)
        self.values.append(value)


@dataclass(frozen=True)
class Trend:
    """What becomes of a measure after warm-up."""

    name: str
    unit: str
    begin: float
    """Median of the first tenth."""
    end: float
    """Median of the last tenth."""
    per_hour: float
    low: float
    high: float
    """Of its 95 % confidence interval."""
    flat_per_hour: float
    verdict: str
    """`FLAT`, `GROWING` or `TOO_SHORT`."""


def trend(series: Series, warm_up_h: float) -> Trend:
    """The slope over the time after warm-up, by Theil and Sen."""
    hours, values, measure = np.array(series.hours), np.array(series.values, float), series.measure
    warm = hours >= min(warm_up_h, np.ptp(hours) / 2)  # of a run that is too short at least something
    hours, values = hours[warm], values[warm]
    slope, _, low, high = theilslopes(values, hours)
    tenth = max(1, len(values) // 10)
    begin, end = float(np.median(values[:tenth])), float(np.median(values[-tenth:]))
    verdict = FLAT if slope < measure.flat_per_hour else GROWING
    return Trend(
        name=measure.name,
        unit=measure.unit,
        begin=begin,
        end=end,
        per_hour=float(slope),
        low=float(low),
        high=float(high),
        flat_per_hour=measure.flat_per_hour,
        verdict=TOO_SHORT if np.ptp(hours) < SHORTEST_H else verdict,
    )
