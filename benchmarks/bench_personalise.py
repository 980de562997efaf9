"""How long it takes from a hundred labels of a person to her own model set, loaded and checked; and what it costs live.

    python benchmarks/bench_personalise.py [--repeats 5]

A simulated person with all 378 features, windows of ten steps. Target: at most 5 s on two cores. Then the whole
command, `mmal personalise`, from a labelled session of 20 min: start, read, compare on labels held out, learn, write.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Annotated, Any

import numpy as np
import torch
import typer
from report import publish
from rich.progress import track

from mmal_ros.benchmark import measure_compute
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.training.data.cohort import TRAIN_CODES, simulated_person
from mmal_ros.training.export.classifiers import export_classifier
from mmal_ros.training.export.model_sets import About, of_group, of_person, write_model_set
from mmal_ros.training.export.second_opinion import export_second_opinion
from mmal_ros.training.group.models import GroupModel, GroupSettings, fit_group
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.personalise import PRODUCT, personalise
from mmal_ros.training.sessions import FEATURE_SETS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))
from rigs.labelled_sessions import label, write_session  # type: ignore[import-not-found]

LABELS = 100
MINUTES = 20
COMMAND = f"mmal personalise, from a session of {MINUTES} min with {LABELS} labels"
TOTAL = f"{LABELS} labels to the loaded model set"
PERSON, SCALE = "T07", 0.5
"""Somebody simulated who is seen on all three levels; half of her windows, 2,900."""
GROUP = GroupSettings(windows_per_person=100, folds=1)
"""Quickly trained: what personalisation takes does not depend on how well the group was."""
ABOUT = About("For a measurement of time only.", FEATURE_SETS, {"data": "simulated"})


class Stopwatch:
    """Seconds by name, of every time that something was done: on the clock, and computed by this process."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[tuple[float, float]]] = {TOTAL: []}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is inside."""
        start, start_cpu = perf_counter(), process_time()
        yield
        self.seconds.setdefault(name, []).append((perf_counter() - start, process_time() - start_cpu))

    def rows(self) -> dict[str, dict[str, Any]]:
        """For the table."""
        return {name: seconds_row(times) for name, times in self.seconds.items()}


def seconds_row(times: list[tuple[float, float]]) -> dict[str, Any]:
    """Of (on the clock, computed)."""
    wall, computed = zip(*times, strict=True)
    return {
        "median": median(wall),
        "max": max(wall),
        "first": wall[0],
        "computed": median(computed),
        "unit": "s",
        "n": len(times),
    }


def one_round(watch: Stopwatch, group: GroupModel, person: PersonWindows, folder: Path, number: int) -> ModelSet:
    """From labels to the loaded set, then its parts one by one."""
    chosen = np.linspace(0, len(person) - 1, LABELS).astype(np.int64)
    with watch(TOTAL):
        with watch("- learn"):
            personalised = personalise(group, person, [chosen], PRODUCT, number)
        with watch("- write, check and load"):
            models = write_model_set(folder / str(number), of_person(personalised), ABOUT)
    trained = of_person(personalised)
    with watch("-- of it: export four classifiers"):
        for modality, network in trained.networks.items():
            export_classifier(network, folder / f"{modality}.onnx")
    with watch("-- of it: export the trees"):
        assert trained.second_opinion is not None
        export_second_opinion(trained.second_opinion, folder / "personal.onnx")
    with watch("-- of it: load (done twice)"):
        load_model_set(folder / str(number))
    return models


def whole_command(home: Path) -> None:
    """What somebody waits for who types it, or presses the button of the review page; raises CalledProcessError."""
    command = [str(Path(sys.executable).parent / "mmal"), "personalise", "P900", "--no-switch", "--json"]
    environment = os.environ | {"MMAL_HOME": str(home)}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)


def measure_command(folder: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Seconds on the clock, and computed by all threads of the command."""
    label(write_session(folder / "sessions", "P900", 0, MINUTES), 0, np.linspace(5, MINUTES * 60 - 5, LABELS).round(1))
    times = []
    for _ in track(range(repeats), "the whole command", transient=True):
        start, start_cpu = perf_counter(), _of_children_s()
        whole_command(folder)
        times.append((perf_counter() - start, _of_children_s() - start_cpu))
    return {COMMAND: seconds_row(times)}


def _of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def live(name: str, models: ModelSet) -> dict[str, dict[str, Any]]:
    """What an estimate takes."""
    return {
        f"{name}: {item.name}": {"median": item.median, "p99": item.p99, "unit": item.unit, "n": item.count}
        for item in measure_compute(models)
    }


def main(repeats: Annotated[int, typer.Option(help="rounds after each other")] = 5) -> None:
    """Measure."""
    torch.set_num_threads(1)
    watch = Stopwatch()
    group = fit_group([simulated_person(code, 0, 0.1) for code in TRAIN_CODES[:4]], GROUP, 0)
    person = simulated_person(PERSON, 0, SCALE)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        of_everybody = write_model_set(folder / "group" / "1", of_group(group), ABOUT)
        for number in track(range(repeats), "personalising", transient=True):
            models = one_round(watch, group, person, folder, number)
        rows = (
            watch.rows()
            | measure_command(folder / "home", repeats)
            | live("group", of_everybody)
            | live("person", models)
        )
    publish("personalise", rows, f"{LABELS} labels of {len(person)} windows; one thread; the first round starts cold")


if __name__ == "__main__":
    typer.run(main)
