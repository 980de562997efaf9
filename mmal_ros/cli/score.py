"""`mmal score`: all estimates of a recorded session once more, and whether they are those of then."""

from __future__ import annotations

import csv
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmal_ros.cli.estimate_record import DIGITS, print_json
from mmal_ros.cli.paths_given import folder, output_file
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Level
from mmal_ros.files import replacing
from mmal_ros.paths import find_model, sessions_folder
from mmal_ros.wording import why

if TYPE_CHECKING:
    from mmal_ros.session.scoring import Rescoring

COLUMNS = ("window_id", "time_s", "level", *(level.name.lower() for level in Level), "recorded_level", "equal")
out, err = Console(), Console(stderr=True)


def score(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="name of a session, or path of its folder")],
    model: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="model set: a folder, or the name of one; by default the one of then"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object instead of the table")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", callback=output_file, help="write all estimates to this file")
    ] = None,
    sessions: Annotated[
        Path | None,
        typer.Option(
            "--sessions", metavar="DIR", callback=folder, help="where sessions are; by default $MMAL_HOME/sessions"
        ),
    ] = None,
) -> None:
    """Make all estimates of a session again from its recorded features, and compare them with those of then.

    By the same model set on the same machine they are equal bit by bit, but for those that had seen features which
    the recorder missed. By another one it shows how far the two agree.

    Example: `mmal score 2026-11-20_P017_01 --model models/P017/2 --output P017.csv`
    """
    from mmal_ros.models import load_model_set
    from mmal_ros.session.folder import open_session_folder
    from mmal_ros.session.scoring import rescore

    folder = open_session_folder(session, sessions or sessions_folder())
    card = folder.card()
    models = load_model_set(find_model(model or card.model_folder or card.model or "demo"))
    began = perf_counter()
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("scoring …", total=None)
        result = rescore(folder, models, lambda done, total: progress.update(task, completed=done, total=total))
    elapsed_s = perf_counter() - began
    if output is not None:
        _write_csv(output, result, card.start_ns)
    record = _summary(result, models.card.identity, elapsed_s)
    if json:
        print_json(record)
    else:
        out.print(_table(folder.name, record))
        for sentence in _remarks(result):
            out.print(sentence, highlight=False, soft_wrap=True)


def _summary(result: Rescoring, model: str, elapsed_s: float) -> dict[str, Any]:
    estimates, recorded, equal = len(result.scored), len(result.recorded), int(result.equal.sum())
    length_s = float(np.ptp(result.scored.stamp_ns)) / NANOSECONDS_PER_SECOND if estimates else 0.0
    return {
        "model": model,
        "estimates": estimates,
        "recorded": recorded,
        "equal": equal,
        "different": recorded - equal,
        "not_repeatable": int((result.incomplete & ~result.equal).sum()),
        "missed_frames": {modality.value: count for modality, count in result.missed.items()},
        "same_level": None if result.same_level is None else round(result.same_level, DIGITS),
        "times_real_time": round(length_s / elapsed_s),
    }


def _table(name: str, record: dict[str, Any]) -> Table:
    table = Table(title=f"{name}, scored by {record['model']}", show_header=False, title_justify="left")
    table.add_row("estimates", f"{record['estimates']}")
    if record["recorded"]:
        table.add_row("equal to those recorded, bit by bit", f"{record['equal']}")
        table.add_row("different", f"{record['different']}")
        table.add_row("of them had seen features that are not recorded", f"{record['not_repeatable']}")
        table.add_row("the same level", f"{record['same_level']:.2%}")
    table.add_row("speed", f"{record['times_real_time']} × real time")
    return table


def _remarks(result: Rescoring) -> list[str]:
    """What a reader must know to understand the figures."""
    remarks = [] if len(result.recorded) else ["no estimates were recorded, so there is nothing to compare"]
    if len(result.recorded) and not result.same_model:
        names = ", ".join(sorted(set(result.recorded.model.tolist())))
        remarks.append(f"recorded were estimates of {names}: equal are only those of the same model set")
    for modality, count in result.missed.items():
        lacking = f"{count} frames that estimates had seen are not recorded"
        late = f"{-count} recorded frames came too late for any estimate, or did not reach them"
        remarks.append(f"{modality}: {lacking if count > 0 else late}")
    for modality, name in result.unheard.items():
        remarks.append(f"{modality}: recorded as '{name}', which this model does not hear: scored without it")
    return remarks


def _write_csv(path: Path, result: Rescoring, start_ns: int) -> None:
    """One row per estimate; without a recorded one the last two columns are empty."""
    scored, recorded = result.scored, result.recorded
    times_s = ((scored.stamp_ns - start_ns) / NANOSECONDS_PER_SECOND).round(DIGITS).tolist()
    then = [_level(level) for level in recorded.level.tolist()] or [""] * len(scored)
    equal = [str(int(same)) for same in result.equal.tolist()] or [""] * len(scored)
    levels, shares = map(_level, scored.level.tolist()), scored.probabilities.astype(float).round(DIGITS).T.tolist()
    rows = zip(scored.window_id.tolist(), times_s, levels, *shares, then, equal, strict=True)
    try:
        with replacing(path) as scratch, scratch.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {why(error)}") from error


def _level(level: int) -> str:
    return Level(level).name.lower() if level in list(Level) else ""
