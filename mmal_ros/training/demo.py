"""Train the demo model set on simulated people: `python -m mmal_ros.training.demo --output models/demo/2`.

People are simulated, go through the live extractors, and become a folder of recorded sessions with labels; what
follows is `mmal train`. Everything is seeded. The recordings are kept under `.cache/`, so an interrupted run goes on
where it was; they are made anew when the simulation or an extractor changed.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from mmal_ros.model_card import make_current
from mmal_ros.training.data import recordings
from mmal_ros.training.export.measure import metrics_table
from mmal_ros.training.people import DataSet
from mmal_ros.training.sessions import fingerprint, labels_of, recorded
from mmal_ros.training.train import Plan, train_model_set

PURPOSE = (
    "A demonstration that the software runs from sensor to estimate. Trained on simulated people only: not for any "
    "statement about a real person, not for clinical use, not for research results."
)
SEED = 20_261
CONSOLE = Console()


@dataclass(frozen=True, slots=True)
class People:
    """Who is simulated for what; a person's number is the seed of all she does."""

    train: range = range(1, 19)
    test: range = range(19, 25)
    duration_s: float = 60.0

    @property
    def everybody(self) -> list[int]:
        """All people."""
        return [*self.train, *self.test]


def main(
    output: Annotated[Path, typer.Option(help="folder of the version, models/<name>/<version>")],
    cache: Annotated[Path, typer.Option(help="where the recordings are kept")] = Path(".cache/synthetic"),
    jobs: Annotated[int, typer.Option(help="sessions that are simulated at the same time")] = 2,
) -> None:
    """Simulate people, train on their recordings, and make the version the live one; one that is there is replaced."""
    people = People()
    data = simulated(people, cache, jobs)
    command = f"python -m mmal_ros.training.demo --output {output}"
    plan = Plan(tuple(map(code, people.test)), PURPOSE, seed=SEED, command=command)
    models = train_model_set(output, data, plan, CONSOLE, again=True)
    make_current(output.parent, output.name)
    CONSOLE.print(metrics_table(models.card.metrics))


def simulated(people: People, cache: Path, jobs: int) -> DataSet:
    """The recordings of everybody, as anybody's recordings are read."""
    folder = cache / fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    spawn = multiprocessing.get_context("spawn")  # MediaPipe and openSMILE run threads, which do not survive a fork
    with ProcessPoolExecutor(jobs, spawn) as pool, Progress(*columns, console=CONSOLE) as progress:
        task = progress.add_task("simulating people", total=len(people.everybody))
        futures = {pool.submit(recorded, seed, people.duration_s, folder): seed for seed in people.everybody}
        for _ in as_completed(futures):
            progress.advance(task)
    rows = [
        f"{code(seed)},{future.result().name},{row}"
        for future, seed in futures.items()
        for row in labels_of(seed, people.duration_s)
    ]
    (folder / recordings.LABELS).write_text("\n".join(["person,recording,start_s,end_s,level", *rows]) + "\n")
    source = (
        f"people simulated by mmal_ros.sensors.synthetic for {people.duration_s:g} s each, seen by the live extractors"
    )
    return replace(recordings.load(folder), name="simulated people", source=source)


def code(seed: int) -> str:
    """What a simulated person is called."""
    return f"S{seed:02d}"


if __name__ == "__main__":
    typer.run(main)
