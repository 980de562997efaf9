"""`mmal …`: what people type. Every command says in --help what it does and shows an example."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from mmal_ros import __version__
from mmal_ros.cli.demo import demo
from mmal_ros.cli.errors import clear_errors, err
from mmal_ros.cli.evaluate import evaluate
from mmal_ros.cli.models import models_app
from mmal_ros.cli.personalise import personalise
from mmal_ros.cli.replay import replay
from mmal_ros.cli.review import review
from mmal_ros.cli.run import ModelOption, ProviderOption, run
from mmal_ros.cli.score import score
from mmal_ros.cli.session import session_app
from mmal_ros.cli.train import train


class _NothingEmpty(TyperGroup):
    """Refuses `--record ""`, from a script whose variable is not set, instead of doing without."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Of this command and all below it."""
        for before, argument in pairwise(["mmal", *args]):
            if argument == "" or (argument.startswith("--") and argument.endswith("=")):
                ctx.fail(
                    f"nothing is given after '{before if argument == '' else argument}'; say what, or leave it out"
                )
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_NothingEmpty,
    help="Live engagement of a child with a robot, from camera, microphone and wristband.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
out = Console()


@app.command()
@clear_errors()
def doctor() -> None:
    """Look at this machine: what is installed, which devices are there, which ONNX providers really load.

    For everything that is missing it prints the command that mends it. Exit code 1 when something needed is missing.
    """
    from mmal_ros.cli.doctor import examine, findings_table

    findings = examine()
    out.print(findings_table(findings))
    if any(finding.needed and not finding.good for finding in findings):
        raise typer.Exit(1)


@app.command()
def benchmark(model: ModelOption = "demo", provider: ProviderOption = None) -> None:
    """Measure how fast this machine makes estimates, and scores a recording again (half a minute)."""
    from mmal_ros.benchmark import measure_compute, measure_fast, measurements_table
    from mmal_ros.models import load_model_set
    from mmal_ros.paths import find_model

    with clear_errors():
        models = load_model_set(find_model(model), tuple(provider or ["cpu"]))
        used = ", ".join(sorted(set(models.providers.values())))
        with err.status("measuring …"):
            results = [*measure_compute(models), measure_fast(models)]
        out.print(measurements_table(f"model {models.card.identity} on {used}", results))


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__, highlight=False)


app.command()(run)
app.command()(demo)
app.command()(clear_errors()(train))
app.command()(clear_errors()(evaluate))
app.command()(clear_errors()(review))
app.command()(clear_errors()(personalise))
app.command()(clear_errors()(score))
session_app.command()(clear_errors()(replay))
app.add_typer(session_app, name="session")
app.add_typer(models_app, name="models")
