"""What live selection gives away against choosing afterwards, how many clips it costs, and what a window takes.

    python benchmarks/bench_selector.py [--stress-predict ../shared/data/stress-predict]

Sessions are people of the simulated cohort and, where the data is there, of Stress-Predict; every window counts as a
second, and the session is as long as expected. *Covered* is the likeness of a session's windows to the nearest flagged
one, as a share of what `SlicedCoverage` reaches that sees whole slices. Target: a four-hour session below 10 ms of
computing per second.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from report import publish
from rich.progress import track

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray
from mmal_ros.models import load_model_set
from mmal_ros.paths import find_model
from mmal_ros.selector import Candidates, SlicedCoverage
from mmal_ros.selector.coverage import distances
from mmal_ros.selector.live import LiveSelector
from mmal_ros.selector.live_registry import LIVE_POLICIES, make_live_policy
from mmal_ros.selector.live_vocabulary import Decision, LiveWindow
from mmal_ros.training.data import load_data_set
from mmal_ros.training.data.cohort import simulated_person
from mmal_ros.training.group.windows import scale_of
from mmal_ros.training.people import PersonWindows
from mmal_ros.window_vectors import window_vectors

BUDGET, REFRACTORY_S = 20, 5.0
MOST = 1500
"""Windows of a session: 25 minutes."""
FOUR_HOURS = 14_400
COHORT, GROUP = ("T04", "T08", "T10", "T11"), ("C01", "C02", "C03")
STRESS_PREDICT = 4
"""People of it."""


def sessions(stress_predict: Path | None) -> Iterator[tuple[str, FloatArray]]:
    """Content (N, E) of every session, in the scale of other people."""
    others = [simulated_person(code, scale=0.3) for code in GROUP]
    for code in COHORT:
        yield f"cohort {code}", content(simulated_person(code), others)
    if stress_predict is not None:
        people = load_data_set("stress-predict", stress_predict).people
        for person in people[:STRESS_PREDICT]:  # in every second window, or it would end before the first stress
            yield f"stress-predict {person.code}", content(person, [p for p in people if p is not person])[::2]


def content(person: PersonWindows, others: list[PersonWindows]) -> FloatArray:
    """The vectors of a person's windows."""
    return window_vectors(person.features, person.mask, scale_of(others))


def opinions(count: int) -> FloatArray:
    """Probabilities (count, 4, 3) of nobody: slow, unsure and often at odds, so that criteria have something to say."""
    random = np.random.default_rng(0)
    logits = np.zeros((count, 4, 3))
    for now in range(1, count):
        logits[now] = 0.97 * logits[now - 1] + 0.5 * random.normal(size=(4, 3))
    shares = np.exp(logits)
    probabilities: FloatArray = (shares / shares.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def play(policy: str, vectors: FloatArray, expected_s: float) -> tuple[LiveSelector, list[Decision], list[float]]:
    """A session, its decisions, and the seconds that each window was computed on."""
    trained = load_model_set(find_model("demo")).trained
    made = make_live_policy(policy, trained)
    selector = LiveSelector(made, budget=BUDGET, expected_s=expected_s, refractory_s=REFRACTORY_S)
    decisions, seconds, heard = [], [], np.ones(4, bool)
    for number, (vector, probabilities) in enumerate(zip(vectors, opinions(len(vectors)), strict=True)):
        begin = process_time()
        end_ns = (number + 1) * NANOSECONDS_PER_SECOND
        decisions += selector.offer(LiveWindow(number, end_ns, probabilities, heard, vector))
        seconds.append(process_time() - begin)
    return selector, decisions, seconds


def compare(policy: str, vectors: FloatArray) -> dict[str, float]:
    """A live session beside what would be chosen afterwards."""
    selector, decisions, seconds = play(policy, vectors, len(vectors))
    chosen = np.array([flag.window_id for flag in selector.flags])
    heard, times_s = np.ones((len(vectors), 4), bool), np.arange(len(vectors), dtype=float)
    candidates = Candidates(opinions(len(vectors)), heard, vectors, times_s)
    afterwards = SlicedCoverage().select(candidates, BUDGET, np.random.default_rng(0))
    away = distances(vectors, vectors)
    apart = np.abs(afterwards[:, None] - chosen).min(axis=1)
    return {
        "flags per label": sum(not decision.withdrawn for decision in decisions) / BUDGET,
        "covered": covered(away, chosen) / covered(away, afterwards),
        "same window": float((apart == 0).mean()),
        "within 5 s": float((apart <= REFRACTORY_S).mean()),
        "ms a window": float(np.mean(seconds)) * 1000,
    }


def covered(away: NDArray[np.float64], chosen: NDArray[np.int64]) -> float:
    """Likeness of the windows to the nearest chosen one, 0-1, on average."""
    return float(np.exp(-away[chosen].min(axis=0) / np.quantile(away, 0.1)).mean())


def four_hours(expected_s: float) -> dict[str, Any]:
    """What a window of 378 features takes when nearly ten times as many came as were expected."""
    once = content(simulated_person("T06"), [simulated_person(code, scale=0.3) for code in GROUP])
    vectors = np.tile(once, (FOUR_HOURS // len(once) + 1, 1))[:FOUR_HOURS]
    selector, decisions, seconds = play("sliced-coverage", vectors, expected_s)
    hours = np.array([flag.window_id for flag in selector.flags]) // 3600
    return {
        "flags per label": sum(not decision.withdrawn for decision in decisions) / BUDGET,
        "ms a window": float(np.mean(seconds[-3600:])) * 1000,
        "p99 ms": float(np.quantile(seconds, 0.99)) * 1000,
        "flags in each hour": " ".join(map(str, np.bincount(hours, minlength=4))),
    }


def main(
    stress_predict: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of stress-predict")] = None,
) -> None:
    """Measure and publish."""
    everybody = [(name, vectors[:MOST]) for name, vectors in sessions(stress_predict)]
    rows: dict[str, dict[str, Any]] = {}
    for policy in track(LIVE_POLICIES, "policies"):
        found = [compare(policy, vectors) for _, vectors in everybody]
        rows[policy] = {column: float(np.mean([one[column] for one in found])) for column in found[0]}
    for minutes in (25, 240):
        rows[f"four hours, {minutes} min expected"] = four_hours(60.0 * minutes)
    publish(
        "selector", rows, f"{len(everybody)} sessions of up to {MOST} windows, {BUDGET} labels; times are of the CPU"
    )


if __name__ == "__main__":
    typer.run(main)
