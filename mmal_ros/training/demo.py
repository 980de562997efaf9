"""Train the demo model set on simulated people: `python -m mmal_ros.training.demo --output models/demo/1`.

Everything is seeded. The features of each session are kept under `.cache/`, so an interrupted run goes on where it
was; they are computed anew when the simulation or an extractor changed.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table
from sklearn.metrics import accuracy_score, f1_score

from mmal_ros.datatypes import Level, Modality, Status
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.model_card import make_current, write_card
from mmal_ros.models import ModelSet
from mmal_ros.training.fit import calibrate, fit
from mmal_ros.training.model_sets import About, Trained, refuse_existing, write_model_set
from mmal_ros.training.networks import EngagementLSTM
from mmal_ros.training.sessions import FEATURE_SETS, LabelledWindows, fingerprint, labelled_windows, recorded, stacked
from mmal_ros.window_vectors import Scale
from mmal_ros.windowing import LEAST_COVERAGE

PURPOSE = (
    "A demonstration that the software runs from sensor to estimate. Trained on simulated people only: not for any "
    "statement about a real person, not for clinical use, not for research results."
)
SEED = 20_261
CONSOLE = Console()


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is simulated for what; a person's number is the seed of all she does."""

    train: range = range(1, 16)
    calibrate: range = range(16, 19)
    test: range = range(19, 25)
    duration_s: float = 60.0

    @property
    def everybody(self) -> list[int]:
        """All people."""
        return [*self.train, *self.calibrate, *self.test]


def main(
    output: Annotated[Path, typer.Option(help="folder of the version, models/<name>/<version>")],
    cache: Annotated[Path, typer.Option(help="where the features of the sessions are kept")] = Path(".cache/synthetic"),
    jobs: Annotated[int, typer.Option(help="sessions that are simulated at the same time")] = 2,
) -> None:
    """Simulate, train, calibrate, export, measure and describe the demo model set."""
    refuse_existing(output)
    plan = Plan()
    sessions = simulate(plan, cache, jobs)
    networks = {modality: train(modality, plan, sessions) for modality in FEATURE_SETS}
    models = write_demo(output, networks, plan)
    models.card.metrics.update(measure(models, [sessions[seed] for seed in plan.test]))
    write_card(output, models.card)
    make_current(output.parent, output.name)
    CONSOLE.print(_table(models.card.metrics))


def simulate(plan: Plan, cache: Path, jobs: int) -> dict[int, LabelledWindows]:
    """The windows of everybody, by seed."""
    folder = cache / fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    spawn = multiprocessing.get_context("spawn")  # MediaPipe and openSMILE run threads, which do not survive a fork
    with ProcessPoolExecutor(jobs, spawn) as pool, Progress(*columns, console=CONSOLE) as progress:
        task = progress.add_task("simulating people", total=len(plan.everybody))
        futures = {pool.submit(recorded, seed, plan.duration_s, folder): seed for seed in plan.everybody}
        for _ in as_completed(futures):
            progress.advance(task)
    return {seed: labelled_windows(future.result(), seed, plan.duration_s) for future, seed in futures.items()}


def train(modality: Modality, plan: Plan, sessions: dict[int, LabelledWindows]) -> EngagementLSTM:
    """A calibrated classifier of one modality."""
    network = fit(stacked([sessions[seed] for seed in plan.train], modality, LEAST_COVERAGE), SEED)
    calibrate(network, stacked([sessions[seed] for seed in plan.calibrate], modality, LEAST_COVERAGE))
    return network


def write_demo(folder: Path, networks: dict[Modality, EngagementLSTM], plan: Plan) -> ModelSet:
    """Export the networks and describe them; the metrics are still missing."""
    scale = Scale(
        {modality: network.mean.numpy() for modality, network in networks.items()},
        {modality: network.deviation.numpy() for modality, network in networks.items()},
    )
    training = {
        "data": "mmal_ros.sensors.synthetic through the live extractors",
        "command": f"python -m mmal_ros.training.demo --output {folder}",
        "seconds_per_person": plan.duration_s,
        "people": {"train": [*plan.train], "calibrate": [*plan.calibrate], "test": [*plan.test]},
        "seed": SEED,
        "torch": torch.__version__,
    }
    return write_model_set(folder, Trained(networks, scale), About(PURPOSE, FEATURE_SETS, training))


def measure(models: ModelSet, sessions: Sequence[LabelledWindows]) -> dict[str, Any]:
    """Accuracy and macro-F1 of the exported set on people it has not seen, each modality alone and the vote."""
    windows = [window for session in sessions for window in session.windows]
    truth = np.array([level for session in sessions for level in session.levels])
    estimates = EngagementEstimator(models).estimate_batch(windows)
    found: dict[str, Any] = {"windows": len(windows), "people": len(sessions)}
    for modality in FEATURE_SETS:
        heard = np.array([estimate.status[modality] is not Status.MISSING for estimate in estimates])
        levels = np.array([estimate.by_modality[modality].argmax() for estimate in estimates])
        found[modality] = _scores(truth[heard], levels[heard])
    answered = np.array([estimate.level is not None for estimate in estimates])
    levels = np.array([estimate.level if estimate.level is not None else -1 for estimate in estimates])
    found["vote"] = _scores(truth[answered], levels[answered])
    found["constant"] = _scores(truth, np.full_like(truth, np.bincount(truth).argmax()))
    return found


def _scores(truth: Any, found: Any) -> dict[str, float]:
    return {
        "accuracy": round(float(accuracy_score(truth, found)), 3),
        "macro_f1": round(float(f1_score(truth, found, labels=list(Level), average="macro", zero_division=0)), 3),
    }


def _table(metrics: dict[str, Any]) -> Table:
    table = Table("", "accuracy", "macro-F1", title=f"{metrics['people']} simulated people that it has not seen")
    for name in (*FEATURE_SETS, "vote", "constant"):
        table.add_row(name, f"{metrics[name]['accuracy']:.3f}", f"{metrics[name]['macro_f1']:.3f}")
    return table


if __name__ == "__main__":
    typer.run(main)
