"""`mmal review`: the pages on which flagged windows are labelled, in the browser."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from mmal_ros.cli.paths_given import folder, input_file, output_file
from mmal_ros.review import DEFAULT_PORT

if TYPE_CHECKING:
    from mmal_ros.nodes.live_feed import GraphFeed
    from mmal_ros.session.folder import SessionFolder

out = Console()
VERBATIM: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}
PortOption = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="of the page, or the next one that is free")
]
MOST_TIME_TO_ENTER_S = 60.0
"""Until a browser that was told to open the page has done so."""
DOOR = "<!doctype html><meta http-equiv=refresh content='0;url={link}'><a href='{link}'>Open the review page</a>\n"


def review(
    sessions: Annotated[
        list[str] | None, typer.Argument(metavar="[SESSION]...", help="show these only; by default all of them")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--sessions", metavar="DIR", callback=folder, help="where the sessions are; by default $MMAL_HOME/sessions"
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", callback=folder, help="where personal models are; by default $MMAL_HOME/models"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=output_file, help="instead: write the report of SESSION to this .html file"
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="also show the graph that runs on this computer")] = False,
    namespace: Annotated[str, typer.Option(metavar="NAME", help="of that graph")] = "/mmal",
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="let other computers in at this address")] = "127.0.0.1",
    port: PortOption = DEFAULT_PORT,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", callback=input_file, help="certificate, PEM")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", callback=input_file, help="its key, PEM")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="let other computers in without TLS")] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open the page at once")] = True,
) -> None:
    """Review sessions in the browser: play what was flagged, label it with the keys 1 to 5, personalise.

    It prints two links: with the first one may do everything, with the second, for coders, only label. Only who has one
    gets in, and only from this computer unless --host says otherwise. Labels are on disk when the page says "saved".
    Ctrl-C ends it.

    Examples: `mmal review`, `mmal review --live`, `mmal review 2026-11-20_P017_01 --report P017.html`
    """
    from mmal_ros.paths import personal_models_folder, sessions_folder
    from mmal_ros.review.app import create_app
    from mmal_ros.review.security import new_token
    from mmal_ros.review.server import Address, open_socket, serve

    folders = _folders(sessions or [], root or sessions_folder())
    if report is not None:
        _write_report(folders, report)
        return
    address = Address(host, port, tls_cert, tls_key, insecure)
    address.check()
    where = folders[0].path.parent if folders else root or sessions_folder()
    token, coder_token, only = new_token(), new_token(), [folder.name for folder in folders]
    with ExitStack() as stack:
        bound = stack.enter_context(open_socket(address))
        feed = stack.enter_context(_graph(namespace)) if live else None
        app = create_app(
            where,
            token,
            feed,
            models or personal_models_folder(),
            only=only,
            names=address.names,
            secure=address.secure,
            coder_token=coder_token,
        )
        taken = bound.getsockname()[1]
        if port not in (0, taken):
            out.print(f"port {port} is taken, so it is {taken}", highlight=False)
        link = address.link(taken, token, _first_page(only, live))
        show_link(link)
        out.print(f"for coders, who may only label: {address.link(taken, coder_token, _first_page(only))}", **VERBATIM)
        if browser:
            stack.enter_context(opened(link))
        serve(app, bound, address)


def show_link(link: str, console: Console = out) -> None:
    """Print how to get in."""
    console.print(f"review page: {link}", **VERBATIM)
    console.print("Only who has the link gets in. Ctrl-C ends it.", highlight=False)


@contextmanager
def opened(link: str) -> Iterator[None]:
    """Show the link to a browser, where there is a display.

    It is handed over in a file that nobody else can read, for everybody on a computer sees a process's arguments.
    """
    from mmal_ros.files import open_private, private_folder
    from mmal_ros.paths import home

    if not _has_display():
        yield
        return
    folder = private_folder(home())  # not in /tmp, which a browser in a sandbox cannot read
    remove_doors(folder, MOST_TIME_TO_ENTER_S)
    door = folder / f"review-{os.getpid()}.html"
    try:
        with os.fdopen(open_private(door, os.O_WRONLY | os.O_TRUNC), "w") as file:
            file.write(DOOR.format(link=link))
        webbrowser.open(door.resolve().as_uri())
        yield
    finally:
        door.unlink(missing_ok=True)


def remove_doors(folder: Path, older_than_s: float = 0.0) -> None:
    """Of pages that were killed: such a file names a session, and so a child's code."""
    for door in folder.glob("review-*.html"):
        with suppress(OSError):
            if time.time() - door.stat().st_mtime >= older_than_s:
                door.unlink()


def _folders(names: Sequence[str], root: Path) -> list[SessionFolder]:
    """The sessions that were named, which must lie in one folder."""
    from mmal_ros.session.folder import SessionFolder, open_session_folder

    folders = [SessionFolder(open_session_folder(name, root).path.resolve()) for name in names]
    if len({folder.path.parent for folder in folders}) > 1:
        raise ValueError("these sessions lie in different folders; review those of one folder at a time")
    return folders


def _write_report(folders: Sequence[SessionFolder], path: Path) -> None:
    from mmal_ros.review.report import write_report

    if len(folders) != 1:
        raise ValueError("--report is of one session: name it; `mmal session list` lists them")
    write_report(folders[0], path)
    out.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)


def _graph(namespace: str) -> AbstractContextManager[GraphFeed]:
    from mmal_ros.nodes.live_feed import graph_feed  # here, for most have no use for ROS

    return graph_feed(namespace)


def _first_page(only: Collection[str], live: bool = False) -> str:
    if live:
        return "/live"
    return f"/session/{next(iter(only))}" if len(only) == 1 else "/"


def _has_display() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
