"""`mmal run`: the whole graph in one process, live or as fast as recordings go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console

from mmal_ros.cli.errors import clear_errors, err, fail
from mmal_ros.cli.estimate_record import estimate_record, print_json
from mmal_ros.cli.paths_given import folder, input_file, output_file
from mmal_ros.cli.run_options import FlagOptions, RecordOptions, RunOptions
from mmal_ros.cli.view import LiveView, summary
from mmal_ros.datatypes import Estimate
from mmal_ros.review import DEFAULT_PORT
from mmal_ros.selector import DEFAULT
from mmal_ros.sensors.specs import SCHEMES, Sensor, SpecError, parse_spec
from mmal_ros.session.card import new_code
from mmal_ros.session.records import Privacy

LONGEST_S = 7 * 24 * 3600
out = Console()


def _spec(sensor: Sensor) -> str:
    return "SPEC: " + "; ".join(SCHEMES[sensor].values())


CameraOption = Annotated[str, typer.Option("--camera", metavar="SPEC", help=_spec(Sensor.CAMERA))]
MicrophoneOption = Annotated[str, typer.Option("--microphone", metavar="SPEC", help=_spec(Sensor.MICROPHONE))]
WristbandOption = Annotated[str, typer.Option("--wristband", metavar="SPEC", help=_spec(Sensor.WRISTBAND))]
ModelOption = Annotated[
    str, typer.Option("--model", metavar="DIR", help="model set: a folder, or the name of one that comes along")
]
DurationOption = Annotated[
    float | None, typer.Option("--duration", metavar="S", min=0.1, max=LONGEST_S, help="stop after S seconds")
]
RateOption = Annotated[
    float, typer.Option("--rate-estimates", metavar="HZ", help="estimates per second: 1, 2, 5, 10, 20, 40 or 50")
]
DelayOption = Annotated[
    float, typer.Option("--max-delay", metavar="MS", min=0, max=1000, help="wait so long for a slow modality")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one estimate a line instead of the view")]
FastOption = Annotated[bool, typer.Option("--fast", help="recordings as fast as they go; the same estimates")]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", callback=input_file, help="score features written by --save-features instead of sensors"
    ),
]
SaveOption = Annotated[
    Path | None, typer.Option(metavar="FILE", callback=output_file, help="with --fast: write the features to this .npz")
]
ProviderOption = Annotated[
    list[str] | None, typer.Option(help="ONNX execution provider: tensorrt, cuda or cpu; best first, repeatable")
]
UntilLastOption = Annotated[bool, typer.Option("--until-last", help="go on until the last recording ends")]
RecordOption = Annotated[
    str | None,
    typer.Option(metavar="CODE", help="record the session of this participant: a code with a digit, never a name"),
]
PrivacyOption = Annotated[
    Privacy,
    typer.Option(
        help="of picture and sound, features_only keeps nothing, clips a few seconds around each flag, full everything"
    ),
]
SessionsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", callback=folder, help="where sessions are kept; $MMAL_HOME/sessions or ~/mmal/sessions"
    ),
]
PolicyOption = Annotated[str, typer.Option(metavar="NAME", help="which selector flags windows")]
BudgetOption = Annotated[int, typer.Option(metavar="N", min=0, max=500, help="labels that may be asked for")]
ExpectedOption = Annotated[
    float,
    typer.Option(metavar="MIN", min=0.1, max=600, help="how long the session will be: the flags are spread over it"),
]
PageOption = Annotated[
    bool, typer.Option("--page", help="also serve the pages: what is estimated now, and a button to flag by hand")
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="N",
        min=0,
        max=65535,
        help=f"with --page: where, or the next one that is free; else {DEFAULT_PORT}",
    ),
]


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
    record: RecordOption = None,
    privacy: PrivacyOption = Privacy.CLIPS,
    sessions: SessionsOption = None,
    policy: PolicyOption = DEFAULT,
    budget: BudgetOption = 20,
    expected_minutes: ExpectedOption = 25,
    page: PageOption = False,
    port: PortOption = None,
) -> None:
    """Run the whole graph in one process and show, or print, ten estimates a second.

    The run ends with the first recording that is over, after --duration, or with Ctrl-C. With --record it becomes a
    session on disk, in which the few windows worth an expert's label are flagged; `mmal review` shows them afterwards.

    Example: `mmal run --camera device:0 --microphone device:default --wristband "ble:Empatica E4" --record P017`
    """
    with clear_errors():
        texts = zip(Sensor, (camera, microphone, wristband), strict=True)
        specs = {sensor: parse_spec(sensor, text) for sensor, text in texts}
        providers = tuple(provider or ["cpu"])
        recording = RecordOptions(new_code(record), privacy, sessions) if record is not None else None
        flags = FlagOptions(policy, budget, float(expected_minutes))
        pace = (duration, rate_estimates, max_delay, providers, until_last, json_lines)
        options = RunOptions(specs, model, *pace, flags, recording)
        if features is None and all(spec.scheme == "none" for spec in specs.values()):
            raise SpecError("no sensor was named; for example: mmal run --camera device:0, or a simulation: mmal demo")
        if features is not None and any(spec.scheme != "none" for spec in specs.values()):
            raise SpecError("--features is instead of sensors; leave out one of them")
        if save_features is not None and (features is not None or not fast):
            raise SpecError("--save-features works with --fast and sensors only")
        if port is not None and not page:
            raise SpecError("--port works with --page only")
        if features is not None or fast:
            _refuse(record, page)
            _fast(options, features, save_features)
        else:
            play_live(options, LiveView(model), page=page, port=port)


def _refuse(record: str | None, page: bool) -> None:
    if record or page:
        raise SpecError(f"--{'record' if record else 'page'} works live only, without --fast and --features")


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


@dataclass(frozen=True, slots=True)
class Played:
    """What a live run leaves."""

    start_ns: int
    """When recorded and simulated sources began."""
    session: Path | None
    """Folder of the session that was recorded, if one was."""


def play_live(options: RunOptions, view: LiveView, *, page: bool = False, port: int | None = None) -> Played:
    """Run the graph until it ends, perhaps with its page; a GraphError is one sentence and exit code 2."""
    from mmal_ros.cli.live_run import LiveRun
    from mmal_ros.nodes.graph import GraphError

    live = LiveRun(options, view)
    try:
        with _page(options, port) if page else nullcontext():
            live.play(out)
    except GraphError as error:
        fail(str(error))
    finally:
        if view.statistics.estimates:
            (err if options.json_lines else out).print(summary(view))
        if live.session is not None:
            err.print(
                f"recorded {live.session}; label it with: mmal review {live.session.name}",
                highlight=False,
                soft_wrap=True,
            )
    return Played(live.start_ns, live.session)


@contextmanager
def _page(options: RunOptions, port: int | None) -> Iterator[None]:
    from mmal_ros.cli.live_page import live_page
    from mmal_ros.cli.review import show_link
    from mmal_ros.paths import personal_models_folder, sessions_folder

    sessions = (options.record.sessions if options.record else None) or sessions_folder()
    with live_page(sessions, personal_models_folder(), port) as link:
        show_link(link, err)
        yield
