"""`mmal personalise`: from a child's labelled sessions to a model of its own, live if it is better."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mmal_ros.cli.estimate_record import print_json
from mmal_ros.cli.paths_given import folder

if TYPE_CHECKING:
    from mmal_ros.training.person.deploy import Deployed, Request, Tell

err = Console(stderr=True)


def personalise(
    participant: Annotated[str, typer.Argument(metavar="PARTICIPANT", help="the child's code, for example P017")],
    sessions: Annotated[
        str | None, typer.Option(metavar="A,B", help="learn from these sessions only; by default from all")
    ] = None,
    sessions_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", callback=folder, help="folder of the sessions; $MMAL_HOME/sessions by default"),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", callback=folder, help="folder of the participants' models; $MMAL_HOME/models by default"
        ),
    ] = None,
    lead: Annotated[
        str | None,
        typer.Option(metavar="CODER", help="this coder's word counts, the majority's only where there is none of his"),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="model set of a group to start from; by default the one of the last time, at first the one that "
            "comes along",
        ),
    ] = None,
    switch: Annotated[
        bool, typer.Option("--switch/--no-switch", help="make the new version live if it is better")
    ] = True,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="the same seed and labels give the same files")] = 0,
    json_lines: Annotated[bool, typer.Option("--json", help="print progress and result as JSON, one a line")] = False,
) -> None:
    """Learn from all labelled windows of a child, and use what was learned from now on if it is better.

    Better than the model in use, that is, on labels that neither has learned from: every fourth is held out, four
    times over, and what is close to it in time is not learned from. Either way the new version is written to
    models/PARTICIPANT/VERSION, with its card, and what ran before stays beside it: `mmal models rollback PARTICIPANT`
    goes back, `mmal models use PARTICIPANT VERSION` decides by hand. A graph that runs `--model PARTICIPANT` takes the
    live version over within a second.

    Example: `mmal personalise P017`
    """
    from mmal_ros.paths import personal_models_folder, sessions_folder
    from mmal_ros.training.person.deploy import Request, deploy

    request = Request(
        participant,
        sessions_dir or sessions_folder(),
        models or personal_models_folder(),
        tuple(name.strip() for name in (sessions or "").split(",") if name.strip()),
        lead,
        group,
        switch,
        seed,
    )
    if json_lines:
        deployed = deploy(request, _tell_in_json)
        print_json(_record(request, deployed))
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
    )
    with bar if err.is_terminal else nullcontext():
        deployed = deploy(request, _tell_on(bar))
    _show(Console(), request, deployed)


def _tell_in_json(done: int, of: int, what: str) -> None:
    print_json({"event": "progress", "done": done, "of": of, "what": what})


def _tell_on(bar: Progress) -> Tell:
    task = bar.add_task("", total=None)

    def tell(done: int, of: int, what: str) -> None:
        bar.update(task, completed=done, total=of, description=what)

    return tell


def _record(request: Request, deployed: Deployed) -> dict[str, Any]:
    from mmal_ros.training.person.deploy import rounded

    verdict = deployed.verdict
    return {
        "event": "result",
        "participant": request.participant,
        "version": deployed.version,
        "accepted": verdict.accepted,
        "switched": deployed.switched,
        "reason": verdict.reason,
        "before": rounded(verdict.before),
        "after": rounded(verdict.after),
        "constant": rounded(verdict.constant),
        "compared": verdict.labels,
        "labels": deployed.labels,
        "unheard": deployed.unheard,
        "sessions": list(deployed.sessions),
        "current": deployed.current,
    }


def _show(out: Console, request: Request, deployed: Deployed) -> None:
    verdict, who = deployed.verdict, request.participant
    if verdict.labels:
        table = Table("macro-F1", "", title=f"{verdict.labels} labels that were held out")
        for name, value in (
            ("the model in use", verdict.before),
            (f"{who}/{deployed.version}", verdict.after),
            ("always the commonest answer", verdict.constant),
        ):
            table.add_row(name, f"{value:.2f}")
        out.print(table)
    learned = f"{who}/{deployed.version} learned from {deployed.labels} labels of {len(deployed.sessions)} session(s)"
    if deployed.unheard:
        learned += f"; in {deployed.unheard} labelled windows nothing was recorded"
    out.print(f"{learned}.\n{_outcome(request, deployed)}", highlight=False, soft_wrap=True)


def _outcome(request: Request, deployed: Deployed) -> str:
    who, live = request.participant, deployed.current
    if deployed.switched:
        return f"It is live: {deployed.verdict.reason}. Back: mmal models rollback {who}"
    if deployed.verdict.accepted:
        why = "was made live meanwhile, and stays" if request.switch else "stays live, as you said"
        return f"It is {deployed.verdict.reason}. {live} {why}; mmal models use {who} {deployed.version}"
    return f"{live} stays live: {deployed.verdict.reason}. By hand: mmal models use {who} {deployed.version}"
