"""`mmal session replay`: a recorded session on the topics again, as if live."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mmal_ros.cli.paths_given import folder
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.paths import sessions_folder
from mmal_ros.wording import unknown

out = Console()
STAMPS = ("now", "original")


def replay(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="name of a session, or path of its folder")],
    rate: Annotated[float, typer.Option(metavar="X", min=0.01, max=100, help="so many times as fast as it was")] = 1,
    from_s: Annotated[float, typer.Option("--from", metavar="S", min=0, help="leave out the first seconds")] = 0,
    loop: Annotated[bool, typer.Option("--loop", help="begin again at the end, until Ctrl-C")] = False,
    stamps: Annotated[
        str, typer.Option(metavar="|".join(STAMPS), help="now: as if it happened now, for live nodes; original")
    ] = "now",
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="publish only topics that begin so: features, e4, e4/eda …; repeatable"),
    ] = None,
    sessions: Annotated[
        Path | None,
        typer.Option(
            "--sessions", metavar="DIR", callback=folder, help="where sessions are; by default $MMAL_HOME/sessions"
        ),
    ] = None,
) -> None:
    """Publish what a session recorded on the topics it came from, in its own time.

    With `--only features` a running engagement_node makes its estimates anew. Stamps in the headers are moved to now;
    window numbers, and stamps inside of messages, stay what they were.

    Example: `mmal session replay 2026-11-20_P017_01 --only features --from 60`
    """
    from mmal_ros.nodes.replay_node import ReplaySettings, Stamps, replaying
    from mmal_ros.session.bag_reading import Bag
    from mmal_ros.session.folder import open_session_folder

    if stamps not in STAMPS:
        raise ValueError(unknown("kind of stamps", stamps, STAMPS))
    bag = Bag(open_session_folder(session, sessions or sessions_folder()))
    settings = ReplaySettings(rate, from_s, Stamps(stamps), tuple(only or ()))
    with replaying(bag, settings) as node, _progress() as shown:
        length_s = (bag.end_ns - node.start_ns) / NANOSECONDS_PER_SECOND
        task = shown.add_task("replay", total=length_s)
        while True:
            count = node.play(
                threading.Event(), lambda since_ns: shown.update(task, completed=since_ns / NANOSECONDS_PER_SECOND)
            )
            if not loop:
                break
    out.print(f"{count} messages of {length_s:.1f} s published", highlight=False)


def _progress() -> Progress:
    columns = (TextColumn("{task.completed:.1f} of {task.total:.1f} s"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=out, refresh_per_second=5)
