"""`mmal …`: what people type. Every command says in --help what it does and shows an example."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from mmal_ros import __version__
from mmal_ros.cli.estimate_record import estimate_record, print_json
from mmal_ros.cli.evaluate import evaluate
from mmal_ros.cli.run_options import RunOptions
from mmal_ros.cli.train import train
from mmal_ros.cli.view import LiveView, summary
from mmal_ros.datatypes import Estimate
from mmal_ros.features.recording import RecordingError
from mmal_ros.model_card import ModelError
from mmal_ros.sensors.source import SourceError
from mmal_ros.sensors.specs import SCHEMES, Sensor, SpecError, parse_spec

USAGE_ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    help="Live engagement of a child with a robot, from camera, microphone and wristband.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
out = Console()
err = Console(stderr=True)


def _spec(sensor: Sensor) -> str:
    return "SPEC: " + "; ".join(SCHEMES[sensor].values())


CameraOption = Annotated[str, typer.Option("--camera", metavar="SPEC", help=_spec(Sensor.CAMERA))]
MicrophoneOption = Annotated[str, typer.Option("--microphone", metavar="SPEC", help=_spec(Sensor.MICROPHONE))]
WristbandOption = Annotated[str, typer.Option("--wristband", metavar="SPEC", help=_spec(Sensor.WRISTBAND))]
ModelOption = Annotated[
    str, typer.Option("--model", metavar="DIR", help="model set: a folder, or the name of one that comes along")
]
DurationOption = Annotated[float | None, typer.Option("--duration", metavar="S", min=0.1, help="stop after S seconds")]
RateOption = Annotated[
    float, typer.Option("--rate-estimates", metavar="HZ", help="estimates per second: 1, 2, 5, 10, 20, 40 or 50")
]
DelayOption = Annotated[
    float, typer.Option("--max-delay", metavar="MS", min=0, max=1000, help="wait so long for a slow modality")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one estimate a line instead of the view")]
FastOption = Annotated[bool, typer.Option("--fast", help="recordings as fast as they go; the same estimates")]
FeaturesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="score features written by --save-features instead of sensors")
]
SaveOption = Annotated[Path | None, typer.Option(metavar="FILE", help="with --fast: write the features to this .npz")]
ProviderOption = Annotated[
    list[str] | None, typer.Option(help="ONNX execution provider: tensorrt, cuda or cpu; best first, repeatable")
]
UntilLastOption = Annotated[bool, typer.Option("--until-last", help="go on until the last recording ends")]


@app.command()
def run(
    camera: CameraOption = "none",
    microphone: MicrophoneOption = "none",
    wristband: WristbandOption = "none",
    model: ModelOption = "demo",
    duration: DurationOption = None,
    rate_estimates: RateOption = 10,
    max_delay: DelayOption = 40,
    json_lines: JsonOption = False,
    fast: FastOption = False,
    features: FeaturesOption = None,
    save_features: SaveOption = None,
    provider: ProviderOption = None,
    until_last: UntilLastOption = False,
) -> None:
    """Run the whole graph in one process and show, or print, ten estimates a second.

    The run ends with the first recording that is over, after --duration, or with Ctrl-C.

    Example: `mmal run --camera device:0 --microphone device:default --wristband "ble:Empatica E4"`
    """
    with clear_errors():
        texts = zip(Sensor, (camera, microphone, wristband), strict=True)
        specs = {sensor: parse_spec(sensor, text) for sensor, text in texts}
        providers = tuple(provider or ["cpu"])
        options = RunOptions(specs, model, duration, rate_estimates, max_delay, providers, until_last, json_lines)
        if features is None and all(spec.scheme == "none" for spec in specs.values()):
            raise SpecError("no sensor was named; for example: mmal run --camera device:0, or a simulation: mmal demo")
        if save_features is not None and not fast:
            raise SpecError("--save-features works with --fast only")
        if features is not None or fast:
            _fast(options, features, save_features)
        else:
            _live(options, LiveView(model))


@app.command()
def demo(
    duration: Annotated[float, typer.Option(metavar="S", min=1, help="how long")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="which simulated person, and how engaged when")] = 1000,
    model: ModelOption = "demo",
    json_lines: JsonOption = False,
) -> None:
    """Run the whole live graph on a simulated person, and show how often the estimate is right.

    Camera, microphone and wristband are simulated; features, windows, models and ROS topics are the real ones.
    """
    with clear_errors():
        from mmal_ros.sensors.synthetic import simulated_person

        _, script = simulated_person(seed)
        specs = {sensor: parse_spec(sensor, f"synthetic:{seed}") for sensor in Sensor}
        options = RunOptions(specs, model, duration, json_lines=json_lines)
        _live(options, LiveView(model, script.level_at))


@app.command()
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


def main() -> None:
    """The program `mmal`; SIGTERM ends it as cleanly as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what users can cause into one sentence and exit code 2, and Ctrl-C into exit code 130."""
    try:
        yield
    except ModuleNotFoundError as error:
        fail(f"the package '{error.name}' is missing; `mmal doctor` says how to install it")
    except (SourceError, ModelError, RecordingError, ValueError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


app.command()(clear_errors()(train))
app.command()(clear_errors()(evaluate))


def fail(message: str) -> NoReturn:
    """One clear sentence on stderr, exit code 2."""
    err.print(f"mmal: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(USAGE_ERROR)


def _fast(options: RunOptions, features: Path | None, save_features: Path | None) -> None:
    from mmal_ros.cli.fast_run import score_features, score_sources

    start_ns, estimates = score_features(options, features) if features else score_sources(options, save_features)
    view, began = LiveView(options.model), perf_counter()
    with err.status("scoring …") if not options.json_lines else nullcontext():
        for estimate in estimates:
            _take(options, view, estimate, start_ns)
    if not options.json_lines:
        elapsed_s = perf_counter() - began
        out.print(view)
        out.print(f"{view.time_s:.1f} s scored in {elapsed_s:.1f} s: {view.time_s / elapsed_s:.0f} × real time")


def _take(options: RunOptions, view: LiveView, estimate: Estimate, start_ns: int) -> None:
    if options.json_lines:
        print_json(estimate_record(estimate, start_ns))
    view.feed(estimate, start_ns)


def _live(options: RunOptions, view: LiveView) -> None:
    from mmal_ros.cli.live_run import LiveRun
    from mmal_ros.nodes.graph import GraphError

    try:
        LiveRun(options, view).play(out)
    except GraphError as error:
        fail(str(error))
    finally:
        if view.statistics.estimates:
            (err if options.json_lines else out).print(summary(view))
