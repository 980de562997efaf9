"""How much faster Algorithm 1 is with many runs in lockstep than one run, one window at a time, by the same decisions.

    python benchmarks/bench_training.py [--runs 16] [--episodes 10] [--repeats 3]

Both are on one thread and both are timed by their own CPU time; the per-window one has ordinary modules, fused Adam and
no gradient where none is needed. The run stops where a decision differs. Target: at least 6 times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from statistics import median
from time import process_time
from typing import Annotated, Any

import numpy as np
import typer
from per_window_mmql import PerWindowMMQL
from report import publish
from rich.progress import track

from mmal_ros.datatypes import STEPS_PER_WINDOW, Modality
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.policy.episode_states import LearnedStates
from mmal_ros.training.policy.mmql import Training
from mmal_ros.training.policy.settings import FIDELITY, Run

PAPER = {Modality.FACE: 257, Modality.BODY: 70, Modality.PHYSIOLOGY: 27, Modality.AUDIO: 24}
TABLE = {Modality.FACE: 41, Modality.BODY: 94, Modality.PHYSIOLOGY: 3}
"""As many features as the paper's and as swell-kw's; a row of a table is a window of one step."""
CASES: tuple[tuple[str, Mapping[Modality, int], int], ...] = (
    ("378 features, 10 steps", PAPER, STEPS_PER_WINDOW),
    ("138 features, 1 step", TABLE, 1),
)
WINDOWS, PEOPLE, SIGNAL = 1_000, 3, 0.3
BUDGETS = (5, 20)


def person(code: str, seed: int, sizes: Mapping[Modality, int], steps: int) -> PersonWindows:
    """Somebody made, whose features tell a little."""
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=WINDOWS)
    features, mask = {}, {}
    for modality, size in sizes.items():
        means = SIGNAL * np.random.default_rng(size).normal(size=(3, 1, size))
        features[modality] = (means[labels] + random.normal(size=(WINDOWS, steps, size))).astype(np.float32)
        mask[modality] = np.ones((WINDOWS, steps), np.float32)
    return PersonWindows(code, features, mask, labels, np.arange(WINDOWS) * 0.67, np.zeros(WINDOWS, np.int64))


def cpu_seconds(action: Callable[[], Any]) -> float:
    """How long this process computes."""
    start = process_time()
    action()
    return process_time() - start


def compare(sizes: Mapping[Modality, int], steps: int, runs: list[Run], episodes: int) -> tuple[float, float, int]:
    """CPU seconds of the per-window and of the grouped training, and the windows each decided on."""
    settings = replace(FIDELITY, episodes=episodes)
    people = [person(str(seed), seed, sizes, steps) for seed in range(PEOPLE)]
    training = Training(LearnedStates(people, tuple(sizes), runs, settings), runs, settings)
    grouped_s = cpu_seconds(lambda: [training.episode() for _ in range(episodes)])
    alone_s, windows = 0.0, 0
    for index, run in enumerate(runs):
        alone = PerWindowMMQL(people, tuple(sizes), run, settings)
        alone_s += cpu_seconds(lambda alone=alone: [alone.episode(number) for number in range(episodes)])  # type: ignore[misc]
        windows += len(alone.decisions)
        if len(alone.decisions) != training.learner.updates[index]:
            raise SystemExit(f"run {index} decided otherwise when it was alone: there is nothing to compare")
    return alone_s, grouped_s, windows


def main(
    runs: Annotated[int, typer.Option(help="trained together")] = 16,
    episodes: Annotated[int, typer.Option(help="of each run")] = 10,
    repeats: Annotated[int, typer.Option(help="of everything")] = 3,
) -> None:
    """Measure all cases, repeatedly and in turn."""
    compare(TABLE, 1, [Run(0, 5)], 1)  # what is slow the first time only
    rows: dict[str, dict[str, Any]] = {}
    for (name, sizes, steps), budget in track(list(product(CASES, BUDGETS)), "measuring"):
        group = [Run(seed, budget) for seed in range(runs)]
        found = [compare(sizes, steps, group, episodes) for _ in range(repeats)]
        ratios = [alone / grouped for alone, grouped, _ in found]
        windows = found[0][2]
        rows[f"{name}, B = {budget}"] = {
            "windows": windows,
            "per window (ms)": min(alone for alone, _, _ in found) / windows * 1000,
            "grouped (ms)": min(grouped for _, grouped, _ in found) / windows * 1000,
            "ratio, median": median(ratios),
            "ratio, worst": min(ratios),
        }
    publish("training", rows, f"{runs} runs, {episodes} episodes, {repeats} repeats; CPU time of one thread")


if __name__ == "__main__":
    typer.run(main)
