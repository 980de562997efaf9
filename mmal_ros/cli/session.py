"""`mmal session …`: what there is, what is in it, in and out, and away with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mmal_ros.cli.errors import clear_errors
from mmal_ros.cli.main import INTERRUPTED
from mmal_ros.cli.paths_given import folder, input_file, new_place
from mmal_ros.cli.review import remove_doors
from mmal_ros.paths import cache_folder, home, model_folders, personal_models_folder, sessions_folder
from mmal_ros.stopping import told_to_stop

if TYPE_CHECKING:
    from mmal_ros.session.deletion import Doomed
    from mmal_ros.session.folder import SessionFolder

    Look = Callable[[], list[Doomed]]

session_app = typer.Typer(
    help="Recorded sessions: list and show them, exchange their labels with other tools, delete them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
out = Console()
err = Console(stderr=True)

SessionArgument = Annotated[str, typer.Argument(metavar="SESSION", help="name of a session, or path of its folder")]
SessionsOption = Annotated[
    Path | None,
    typer.Option(
        "--sessions", metavar="DIR", callback=folder, help="where sessions are; by default $MMAL_HOME/sessions"
    ),
]
FORMATS = ("eaf", "csv", "label-studio", "foxglove", "boris")


@session_app.command("list")
@clear_errors()
def list_sessions(sessions: SessionsOption = None) -> None:
    """List the sessions: whose, when, how long, how much of it is flagged and labelled, by whom.

    Example: `mmal session list`
    """
    from mmal_ros.cli.session_view import print_sessions
    from mmal_ros.session.folder import sessions_in

    root = sessions or sessions_folder()
    there = list(sessions_in(root))
    if not there:
        out.print(f"there are no sessions in {root} yet; `mmal run --record CODE` makes one", soft_wrap=True)
        return
    print_sessions(out, there)


@session_app.command()
@clear_errors()
def show(session: SessionArgument, sessions: SessionsOption = None) -> None:
    """Show a session: its card, what was flagged and why, who said what, and how well the coders agree.

    Example: `mmal session show 2026-11-20_P017_01`
    """
    from mmal_ros.cli.session_view import print_session

    print_session(out, _folder(session, sessions))


@session_app.command()
@clear_errors()
def export(
    session: SessionArgument,
    kind: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="for which tool")],
    output: Annotated[
        Path,
        typer.Option(metavar="PATH", callback=new_place, help="file, for foxglove folder; it must not be there yet"),
    ],
    coder: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="only what this coder said, and an empty tier to begin in; default: all"),
    ] = None,
    sessions: SessionsOption = None,
) -> None:
    """Write flags and labels for another tool; times count from the session's start.

    **eaf**: ELAN, a tier per coder and one of what was flagged. **csv**: `start_s,end_s,value,annotator,note`.
    **label-studio**: a task per clip, and the labelling interface. **boris**: a project with an observation per
    coder. **foxglove**: a folder with the recording, the labels beside it, and a layout.

    Example: `mmal session export 2026-11-20_P017_01 --format eaf --coder C2 --output P017.eaf`
    """
    from mmal_ros.session.exchange.exporting import Format, export_session
    from mmal_ros.wording import unknown

    if kind not in list(Format):
        raise ValueError(unknown("format", kind, Format))
    for path in export_session(_folder(session, sessions), Format(kind), output, coder):
        out.print(f"written: {path}", highlight=False, soft_wrap=True)


@session_app.command("import-labels")
@clear_errors()
def import_labels(
    session: SessionArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", callback=input_file, help="an ELAN .eaf, or a .csv: start_s,end_s,value,…")
    ],
    annotator: Annotated[str, typer.Option(metavar="CODE", help="who said it: a code, such as C1")],
    tier: Annotated[
        str | None, typer.Option(metavar="NAME", help="which tier of an .eaf; by default the one of this annotator")
    ] = None,
    all_windows: Annotated[
        bool, typer.Option("--all-windows", help="label every second of the session, not only what was flagged")
    ] = False,
    sessions: SessionsOption = None,
) -> None:
    """Take labels from ELAN or CSV. An annotation labels the flagged windows whose middle lies in it.

    Its value is low, medium, high, cannot_tell or bad_capture, or 1 to 5 for them. Labels are only added, and
    importing a file again changes nothing that it has said already.

    Example: `mmal session import-labels 2026-11-20_P017_01 P017.eaf --annotator C2`
    """
    from mmal_ros.cli.session_view import imported_sentence
    from mmal_ros.session.exchange import importing

    folder = _folder(session, sessions)
    said = importing.read_coding(file, annotator, tier)
    imported = importing.import_labels(folder, said, annotator, time_ns(), all_windows=all_windows)
    out.print(imported_sentence(imported, annotator), highlight=False, soft_wrap=True)


@session_app.command()
@clear_errors()
def delete(
    session: Annotated[str | None, typer.Argument(metavar="[SESSION]", help="name or folder of one session")] = None,
    participant: Annotated[
        str | None, typer.Option(metavar="CODE", help="instead: everything of this participant, models included")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    sessions: SessionsOption = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", callback=folder, help="where personal models are; by default $MMAL_HOME/models"),
    ] = None,
) -> None:
    """Remove a session, or everything of a participant: sessions, clips, labels, and the models learned from them.

    It lists what will go, asks, and says what went; models of groups that the participant was in stay, and are named.
    What `mmal evaluate` keeps to go on from goes with either, for nothing in it tells whose it is.
    Files are not overwritten, which on an SSD would prove nothing: keep sessions on an encrypted disk. Exports,
    backups and the reports of `mmal evaluate` are yours to remove.

    Examples: `mmal session delete 2026-11-20_P017_01`, `mmal session delete --participant P017`
    """
    from mmal_ros.session import deletion

    if (session is None) == (participant is None):
        raise ValueError("name one session, or a participant by --participant CODE; `mmal session list` lists them")
    root, personal = sessions or sessions_folder(), models or personal_models_folder()
    if session is not None:
        folder = _folder(session, sessions)
        look: Look = partial(_of_session, folder)
        owners = deletion.owners(folder.path)
        learned = [str(personal / code) for code in owners if (personal / code).is_dir()]
        _warn(f"models that may have learned from it stay: {', '.join(learned)}" if learned else "")
    else:
        look = partial(deletion.doomed_of, str(participant), root, personal, cache_folder())
        owners = {str(participant)}
        _warn("; ".join(f"whose is {path}? It tells no code, and stays" for path in deletion.ownerless(root)))
    _warn_of_groups(owners, [personal, *model_folders()])  # also where nothing else is left
    doomed = _agreed(look(), look, yes)
    deletion.delete(doomed)
    remove_doors(home())
    _list(doomed, "removed")


def _of_session(folder: SessionFolder) -> list[Doomed]:
    from mmal_ros.session.deletion import doomed_cache, doomed_session

    return [doomed_session(folder), *doomed_cache(cache_folder())]


def _agreed(shown: list[Doomed], look: Look, yes: bool) -> list[Doomed]:
    """What there is after the last "y", and nothing that was not shown before it; with `yes` all that there is."""
    while True:
        _list(shown, "would be removed")
        if not yes:
            _ask("Remove all of it for good?")
        there = look()  # a session may have ended while somebody thought about it
        if yes or {one.path for one in there} <= {one.path for one in shown}:
            return there
        _warn("there is more by now, so here is all of it:")
        shown = there


def _ask(question: str) -> None:
    """Exit code 1 for "n", 130 for Ctrl-C."""
    try:
        typer.confirm(question, abort=True)
    except typer.Abort:
        raise typer.Exit(INTERRUPTED) if told_to_stop() else typer.Abort from None


def _warn_of_groups(participants: Iterable[str], folders: list[Path]) -> None:
    from mmal_ros.session import deletion

    for code in participants:
        groups = ", ".join(map(str, deletion.groups_with(code, folders)))
        rest = "train them anew, and what was made from them"
        _warn(f"models of groups that {code} was in stay, {rest}: {groups}" if groups else "")
    cut_off = deletion.unfinished_trainings(folders)
    if cut_off:
        _warn(f"trainings that were cut off stay, remove them by hand: {', '.join(map(str, cut_off))}")


def _list(doomed: list[Doomed], verb: str) -> None:
    for one in doomed:
        size = f"{one.files} files, {one.size / 1e6:.1f} MB"
        out.print(f"{verb}: {one.what} {one.path} ({size})", highlight=False, markup=False, soft_wrap=True)


def _warn(message: str) -> None:
    if message:
        err.print(message, style="yellow", highlight=False, markup=False, soft_wrap=True)


def _folder(session: str, sessions: Path | None) -> SessionFolder:
    from mmal_ros.session.folder import open_session_folder

    return open_session_folder(session, sessions or sessions_folder())
