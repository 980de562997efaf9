"""`mmal models …`: which versions of a model there are, which one is live, and how to change that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mmal_ros.cli.errors import clear_errors

models_app = typer.Typer(
    help="Versions of models: which there are, which one is live, and back to the one before.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
out = Console()
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="a participant's code, the name of a model that comes along, or a folder")
]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="as `mmal models list MODEL` has it")]


@models_app.command("list")
def list_models(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="one model only; by default all")] = None,
) -> None:
    """List models and their versions; the live ones are marked.

    Example: `mmal models list P017`
    """
    with clear_errors():
        from mmal_ros.model_versions import known_models, model_folder, versions

        folders = {model: model_folder(model)} if model else known_models()
        table = Table("model", "version", "live", "made from", "created", "better than before", "macro-F1")
        for name, folder in folders.items():
            for version in versions(folder):
                live = "●" if version.current else ""
                better = {True: "yes", False: "no", None: ""}[version.accepted]
                figure = "cannot be read" if version.problem else _figure(version.metrics)
                table.add_row(name, version.name, live, version.parent or "", version.created, better, figure)
        out.print(table)


@models_app.command()
def show(
    model: ModelArgument,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="by default the live one")] = None,
) -> None:
    """Show what the card of a version says, field by field.

    Example: `mmal models show demo`
    """
    with clear_errors():
        from mmal_ros.model_card import read_card
        from mmal_ros.model_versions import fields, model_folder, version_folder
        from mmal_ros.models import resolve_version

        folder = model_folder(model)
        where = version_folder(folder, version) if version else resolve_version(folder)
        table = Table("", "", title=str(where), show_header=False)
        table.columns[0].no_wrap = True
        for name, value in fields(read_card(where)).items():
            table.add_row(name, _text(value))
        out.print(table)


@models_app.command()
def use(model: ModelArgument, version: VersionArgument) -> None:
    """Make a version the live one; a graph that runs this model takes it over within a second.

    Example: `mmal models use P017 2`
    """
    with clear_errors():
        from mmal_ros import model_versions

        folder = model_versions.model_folder(model)
        model_versions.use(folder, version)
        out.print(f"{folder.name}: {version} is live", highlight=False)


@models_app.command()
def rollback(model: ModelArgument) -> None:
    """Go back to the version that was live before; again and again, to the group's model that it all came from.

    Example: `mmal models rollback P017`
    """
    with clear_errors():
        from mmal_ros import model_versions

        folder = model_versions.model_folder(model)
        before = model_versions.current(folder)
        now = model_versions.rollback(folder)
        out.print(f"{folder.name}: {now} is live again, {before} is still there", highlight=False)


@models_app.command()
def diff(
    model: ModelArgument,
    before: VersionArgument,
    after: Annotated[str | None, typer.Argument(metavar="VERSION", help="by default the live one")] = None,
) -> None:
    """Show where the cards of two versions differ: labels, sessions, figures, files.

    Example: `mmal models diff P017 1 2`
    """
    with clear_errors():
        from mmal_ros import model_versions

        folder = model_versions.model_folder(model)
        other = after or model_versions.current(folder) or before
        folders = [model_versions.version_folder(folder, name) for name in (before, other)]
        found = model_versions.diff(folders[0], folders[1])
        table = Table("", before, other, title=f"{folder.name}: {before} and {other}")
        table.columns[0].no_wrap = True
        for one in found:
            table.add_row(one.field, _text(one.before), _text(one.after))
        out.print(table if found else f"{before} and {other} do not differ")


def _figure(metrics: Mapping[str, Any]) -> str:
    """How good it is, and what a constant answer gets."""
    own = metrics.get("after", metrics.get("vote", {}).get("macro_f1"))
    always = metrics.get("constant")
    always = always.get("macro_f1") if isinstance(always, dict) else always
    return "" if own is None or always is None else f"{own:.2f} (constant {always:.2f})"


def _text(value: Any) -> str:
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
