"""`mmal evaluate`: what asking for labels is worth on a data set, as a folder with tables and figures."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mmal_ros.cli.paths_given import folder, input_folder
from mmal_ros.paths import cache_folder
from mmal_ros.wording import unknown

if TYPE_CHECKING:
    from mmal_ros.training.evaluation.engines import Engine
    from mmal_ros.training.evaluation.settings import Settings
    from mmal_ros.training.people import DataSet

CELLS = "cells"
FAILED = 1
err = Console(stderr=True)


class EngineName(StrEnum):
    """Who computes."""

    JOBLIB = "joblib"
    RAY = "ray"


def evaluate(
    data_set: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="cohort (simulated people), swell-kw, migrave-engagement, stress-predict, a YAML that describes "
            "a table of features, or a folder of recorded sessions with labels",
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", callback=input_folder, help="where a published data set was put")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", callback=folder, help="folder of the report; reports/DATASET by default"),
    ] = None,
    selectors: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="who chooses what is asked about; the first is the one that the report is about. "
            "'all' asks for everything. By default all there are",
        ),
    ] = None,
    budgets: Annotated[str, typer.Option(metavar="N,N", help="labels of the person")] = "5,10,20,50,100",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="repetitions, seeds 0 to N - 1")] = 10,
    personalisers: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="how the labels are learned from. Beside them always: the group model before, and own data only",
        ),
    ] = "fidelity,product",
    protocols: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="time-blocked: a fixed hold-out of contiguous time, with a gap. random-remainder: the paper's, "
            "tested on whatever was not selected",
        ),
    ] = "time-blocked,random-remainder",
    people: Annotated[
        str | None, typer.Option(metavar="A,B", help="who is tested, each in turn; by default everybody")
    ] = None,
    device: Annotated[str, typer.Option(help="where torch computes: cpu or cuda")] = "cpu",
    engine: Annotated[
        EngineName, typer.Option(help="joblib: processes of this machine; ray: a cluster, needs the extra 'cluster'")
    ] = EngineName.JOBLIB,
    jobs: Annotated[
        int, typer.Option(metavar="N", min=1, help="cells at the same time on this machine; a cluster decides itself")
    ] = 1,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="of a Ray cluster, or auto; without one a local Ray is started"),
    ] = None,
) -> None:
    """Leave one person out, let each selector ask for a few labels of hers, and measure what they were worth.

    Every number stands beside what a constant answer gets and what the person's labels alone give. The folder gets
    report.md, the figures and results.parquet with every row. Finished cells (a person, a seed) are kept in its folder
    `cells`: the same command goes on after Ctrl-C or a crash, and more people or seeds can be added later.

    Example: `mmal evaluate swell-kw --data ../shared/data/swell-kw --budgets 5,10,20 --seeds 10 --jobs 2`

    On a cluster: `mmal evaluate cohort --engine ray --ray-address auto`
    """
    from mmal_ros.training.data import load_data_set
    from mmal_ros.training.devices import check_device
    from mmal_ros.training.evaluation.settings import settings_of

    if ray_address is not None and engine is not EngineName.RAY:
        raise ValueError("--ray-address works with --engine ray only")
    if engine is not EngineName.RAY:  # a cluster has other machines than this one
        check_device(device)
    settings = settings_of(
        data_set=data_set,
        folder=data and data.resolve(),
        people=people and _names(people),
        selectors=_selectors(selectors),
        budgets=_names(budgets),
        seeds=seeds,
        personalisers=_personalisers(personalisers),
        protocols=_names(protocols),
        device=device,
    )
    cache_folder()  # a home that is not there is better missed now, too
    loaded = load_data_set(settings.data_set, settings.folder)
    loaded.of(settings.people or ())  # who is not there is better missed now than in the last cell
    folder = output or Path("reports") / Path(data_set).stem
    _evaluate(folder, settings, loaded, _engine(engine, jobs, ray_address))


def _evaluate(folder: Path, settings: Settings, data: DataSet, engine: Engine) -> None:
    from mmal_ros.training import provenance
    from mmal_ros.training.evaluation.cell import run_cell
    from mmal_ros.training.evaluation.engines import CellError
    from mmal_ros.training.evaluation.grid import run_grid
    from mmal_ros.training.evaluation.participants import with_whom
    from mmal_ros.training.evaluation.report import Origin, write_report
    from mmal_ros.training.evaluation.table import ResultsTable

    data, people = with_whom(data, settings)
    cells, table = settings.cells(people), ResultsTable(folder / CELLS, settings, data.fingerprint())
    try:
        run_grid(run_cell, cells, settings, table, engine, provenance.commit(), err)
    except CellError as error:
        err.print(f"mmal: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(FAILED) from None
    with err.status("drawing …"):
        origin = Origin(provenance.command(), table.commits(cells), provenance.software())
        report = write_report(folder, table.read(cells), settings, data, origin)
    Console().print(f"report: {report}", highlight=False, soft_wrap=True)


def _engine(name: EngineName, jobs: int, ray_address: str | None) -> Engine:
    from mmal_ros.training.evaluation.engines import joblib_engine, ray_engine

    return ray_engine(ray_address, jobs) if name is EngineName.RAY else joblib_engine(jobs)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _selectors(text: str | None) -> tuple[str, ...]:
    from mmal_ros.selector import DEFAULT
    from mmal_ros.training.evaluation.settings import ALL_LABELS
    from mmal_ros.training.pool_selection import SELECTORS

    known = (DEFAULT, *(name for name in SELECTORS if name != DEFAULT), ALL_LABELS)
    return known if text is None else _known("selector", _names(text), known)


def _personalisers(text: str) -> tuple[str, ...]:
    from mmal_ros.training.evaluation.settings import BEFORE, OWN_DATA_ONLY
    from mmal_ros.training.person.personalise import PERSONALISERS

    chosen = _known("personaliser", _names(text), (BEFORE, *PERSONALISERS))
    return tuple(dict.fromkeys((BEFORE, OWN_DATA_ONLY, *chosen)))


def _known(what: str, names: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    """The names, if all are known; raises ValueError."""
    known = tuple(known)
    for name in names:
        if name not in known:
            raise ValueError(unknown(what, name, known))
    return names
