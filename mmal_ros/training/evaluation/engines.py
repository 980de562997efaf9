"""Where cells are computed: processes of this machine through joblib, or a Ray cluster.

An engine takes cells and yields each with its outcome, in the order in which they finish: the rows, or what went
wrong. Leaving the generator early stops what is still running.
"""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import BrokenExecutor
from functools import partial
from typing import TYPE_CHECKING

from joblib import Parallel, delayed

from mmal_ros.stopping import end_if_told
from mmal_ros.training.evaluation.settings import Cell, CellFunction, Row, Settings

if TYPE_CHECKING:
    import ray

LOCAL = "local"
OBJECT_STORE_BYTES = 128 * 1024**2
"""Rows are small; by default a local Ray takes a third of the memory."""


class CellError(RuntimeError):
    """A cell failed; the message names it, says why and where."""


Outcome = tuple[Cell, list[Row] | CellError]
Outcomes = Generator[Outcome, None, None]
Engine = Callable[[CellFunction, Sequence[Cell], Settings], Outcomes]


def joblib_engine(jobs: int) -> Engine:
    """Computes on this machine, `jobs` cells at a time (-1: one per core), each in a process of its own."""
    return partial(_with_joblib, jobs)


def ray_engine(address: str | None, jobs: int) -> Engine:
    """Computes on the Ray cluster at `address`, or without one on a Ray of its own with `jobs` cores.

    The machines of a cluster need this package and the data in the same folder. With `device` cuda a cell gets a GPU
    for itself.
    """
    return partial(_with_ray, address, jobs)


def _with_joblib(jobs: int, run_cell: CellFunction, cells: Sequence[Cell], settings: Settings) -> Outcomes:
    work = Parallel(
        jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs", initializer=_ignore_ctrl_c
    )
    outcomes = work(delayed(_attempt)(run_cell, cell, settings) for cell in cells)
    try:
        yield from outcomes
    except BrokenExecutor as error:
        raise CellError(f"a process that computed a cell was killed, perhaps for want of memory: {error}") from error
    finally:
        with warnings.catch_warnings():  # that cells are given up is what is wanted here
            warnings.filterwarnings("ignore", ".*tasks which were still being processed", UserWarning)
            outcomes.close()


def _with_ray(
    address: str | None, jobs: int, run_cell: CellFunction, cells: Sequence[Cell], settings: Settings
) -> Outcomes:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked to tell others what is computed here
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray 2.50 and later warn about otherwise
    import ray  # an extra of its own: only who uses a cluster needs it

    own = {"num_cpus": jobs, "object_store_memory": OBJECT_STORE_BYTES} if address is None else {}
    ray.init(address or LOCAL, include_dashboard=False, log_to_driver=False, logging_level="ERROR", **own)
    try:
        task = ray.remote(num_cpus=1, num_gpus=int(settings.device.startswith("cuda")))(_attempt)
        running = {task.remote(run_cell, cell, settings): cell for cell in cells}
        while running:
            (finished,), _ = ray.wait(list(running))
            yield _fetched(finished, running.pop(finished))
    finally:
        ray.shutdown()


def _fetched(reference: ray.ObjectRef[Outcome], cell: Cell) -> Outcome:
    import ray

    try:
        outcome: Outcome = ray.get(reference)
        return outcome
    except ray.exceptions.RayError as error:  # the process or its machine went away, more often than Ray tries again
        return cell, CellError(f"{cell}: Ray lost it: {error}")


def _ignore_ctrl_c() -> None:
    """A terminal sends Ctrl-C to all processes: the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _attempt(run_cell: CellFunction, cell: Cell, settings: Settings) -> Outcome:
    """Compute a cell; what it raises comes back as a value, so that no engine can dress it up."""
    try:
        return cell, run_cell(cell, settings)
    except Exception as error:  # whatever it is, the cell has to be named
        end_if_told()
        return cell, CellError(f"{cell}: {type(error).__name__}: {error}\n{traceback.format_exc()}")
