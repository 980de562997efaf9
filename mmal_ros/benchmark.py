"""`mmal benchmark`: how fast this machine turns windows into estimates, and a recording of features into a table.

The other measurements (between processes, with a camera, for hours) need the checkout: `make bench`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns

import numpy as np
from rich.table import Table

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, FeatureFrame, Modality
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.features.names import SIZES
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.models import ModelSet
from mmal_ros.pipeline import EngagementPipeline
from mmal_ros.recorded_windows import score_recording

START_NS = 1_700_000_000 * NANOSECONDS_PER_SECOND
RATES_HZ = {Modality.FACE: 30, Modality.BODY: 15, Modality.PHYSIOLOGY: 10, Modality.AUDIO: 10}
"""Frames per second of the live graph with a camera of 30 Hz."""
WARM_UP = 100


@dataclass(frozen=True, slots=True)
class Measurement:
    """Percentiles of a time, or a ratio."""

    name: str
    unit: str
    median: float
    p99: float
    count: int


def measure_compute(models: ModelSet, rounds: int = 2000) -> list[Measurement]:
    """What is inside one estimate: window, classifiers, second opinion if there is one, and vote; and its parts."""
    pipeline = _filled_pipeline(models)
    end_ns = START_NS + 2 * NANOSECONDS_PER_SECOND
    window = pipeline.stream.windows.window(end_ns)
    estimator = EngagementEstimator(models)

    def classify() -> None:
        for modality, classifier in models.classifiers.items():
            classifier(window.features[modality], window.mask[modality])

    parts: dict[str, Callable[[], object]] = {
        "window, four LSTMs, vote": lambda: estimator.estimate(pipeline.stream.windows.window(end_ns)),
        "four LSTMs": classify,
        "window": lambda: pipeline.stream.windows.window(end_ns),
    }
    if second := models.personal:
        parts["second opinion"] = lambda: second(window.features, window.mask)
    results = []
    for name, part in parts.items():
        times_ns = []
        for index in range(rounds + WARM_UP):
            begin_ns = perf_counter_ns()
            part()
            if index >= WARM_UP:
                times_ns.append(perf_counter_ns() - begin_ns)
        median, p99 = np.percentile(times_ns, [50, 99]) / 1e6
        results.append(Measurement(name, "ms", float(median), float(p99), rounds))
    return results


def measure_fast(models: ModelSet, duration_s: float = 3600, rounds: int = 3) -> Measurement:
    """Scoring a recording of features again: how many times faster than real time (the fastest round as p99)."""
    recording = made_up_recording(models, duration_s)
    ratios = []
    for _ in range(rounds):
        gc.collect()
        began = perf_counter()
        estimates = sum(1 for _ in score_recording(EngagementPipeline(models), recording))
        ratios.append(duration_s / (perf_counter() - began))
        assert estimates > (duration_s - 1) * 10
    name = f"{duration_s / 60:.0f} min of features scored again"
    return Measurement(name, "× real time", float(np.median(ratios)), max(ratios), rounds)


def made_up_recording(models: ModelSet, duration_s: float, seed: int = 0) -> FeatureRecording:
    """Random features at the rates of a live graph: their values cost what real ones cost."""
    generator = np.random.default_rng(seed)
    arrays = {}
    for modality, feature_set in models.card.feature_sets.items():
        count = int(duration_s * RATES_HZ[modality])
        stamps_ns = START_NS + (np.arange(1, count + 1) * NANOSECONDS_PER_SECOND) // RATES_HZ[modality]
        arrays[modality] = {
            "stamp_ns": stamps_ns,
            "known_ns": stamps_ns,
            "values": generator.standard_normal((count, SIZES[modality]), np.float32),
            "valid": np.ones(count, bool),
            "confidence": np.ones(count, np.float32),
            "feature_set": np.array(feature_set),
        }
    return FeatureRecording(START_NS, arrays)


def measurements_table(title: str, measurements: list[Measurement]) -> Table:
    """The measurements for the terminal."""
    table = Table(title=title, title_justify="left")
    for column in ("what", "median", "p99", "unit", "n"):
        table.add_column(column, justify="left" if column in ("what", "unit") else "right")
    for item in measurements:
        table.add_row(item.name, f"{item.median:.3g}", f"{item.p99:.3g}", item.unit, str(item.count))
    return table


def _filled_pipeline(models: ModelSet) -> EngagementPipeline:
    pipeline = EngagementPipeline(models)
    for known_ns, frame in _frames(models):
        pipeline.accept(frame, known_ns)
    return pipeline


def _frames(models: ModelSet) -> Iterator[tuple[int, FeatureFrame]]:
    return made_up_recording(models, 2 * 10 * STEP_NS / NANOSECONDS_PER_SECOND).frames()
