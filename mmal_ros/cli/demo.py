"""`mmal demo`: the whole loop on a simulated child, whose true engagement is known."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import time_ns
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mmal_ros.cli.errors import clear_errors, err
from mmal_ros.cli.review import PortOption, review
from mmal_ros.cli.run import ModelOption, Played, play_live
from mmal_ros.cli.run_options import FlagOptions, RecordOptions, RunOptions
from mmal_ros.cli.run_statistics import RunStatistics, Score
from mmal_ros.cli.view import LiveView
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Level
from mmal_ros.files import private_folder
from mmal_ros.paths import find_model, home
from mmal_ros.review import DEFAULT_PORT
from mmal_ros.sensors.simulated import UNLIKE, simulated_session
from mmal_ros.sensors.specs import Sensor, parse_spec
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Label, LabelValue

PARTICIPANT, EXPERT = "DEMO1", "SIMULATED"
SECONDS_PER_FLAG = 5
"""Engagement of simulated people changes every 6 to 20 s."""
FEWEST_FLAGS = 10
"""With fewer labels a new model could not be compared with the one in use."""
REFRACTORY_S = 1.0
SECONDS_PER_MINUTE = 60
PERSONALISE_TIMEOUT_S = 300
out = Console()


@dataclass(frozen=True, slots=True)
class Simulated:
    """The one who plays the child."""

    seed: int
    unlike: bool = True

    def spec(self, session: int) -> str:
        """Of her sensors."""
        return f"synthetic:{UNLIKE if self.unlike else ''}{self.seed}/{session}"

    def truth(self, session: int) -> Callable[[float], Level]:
        """Her level in a second of a session."""
        return simulated_session(self.seed, session, self.unlike)[1].level_at


def demo(
    duration: Annotated[float, typer.Option(metavar="S", min=10, max=2400, help="how long a session is")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="which simulated person, and how engaged when")] = 1000,
    model: ModelOption = "demo",
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="one session of a person like the others only; nothing is kept, labelled or learned"
        ),
    ] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="print one estimate a line; implies --once")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="end without the review page")] = False,
    port: PortOption = DEFAULT_PORT,
) -> None:
    """Play the whole loop with a simulated child, and show what it was worth.

    A session with flags, an expert who labels them (here: the truth), a model of this child, and a second session with
    it. This child shows engagement otherwise than those whom the model has learned from; that is why it pays. Camera,
    microphone, wristband and expert are simulated; everything else is what runs beside a robot. It ends with the review
    page, on which these sessions can be looked at. They are in the folder `demo` of $MMAL_HOME, or of ~/mmal, until the
    next demo.
    """
    with clear_errors():
        if once or json_lines:
            who = Simulated(seed, unlike=False)
            play_live(_options(who, 1, duration, model, json_lines), LiveView(model, who.truth(1)))
            return
        if not no_browser:
            _check_port(port)
        folder = _fresh(home() / "demo")
        _loop(folder, duration, Simulated(seed), model)
        if not no_browser:
            review(root=folder / "sessions", models=folder / "models", port=port)


def _check_port(port: int) -> None:
    """Whether there is one for the review page: better missed now than after two sessions."""
    from mmal_ros.review.server import Address, open_socket

    open_socket(Address(port=port)).close()


def _fresh(folder: Path) -> Path:
    """An empty folder: what the last demo made was of nobody."""
    shutil.rmtree(folder, ignore_errors=True)
    return private_folder(folder)


def _loop(folder: Path, duration_s: float, child: Simulated, model: str) -> None:
    sessions, models = folder / "sessions", folder / "models"
    budget = max(FEWEST_FLAGS, round(duration_s / SECONDS_PER_FLAG))
    flags = FlagOptions(budget=budget, expected_duration_min=duration_s / SECONDS_PER_MINUTE, refractory_s=REFRACTORY_S)
    record = RecordOptions(PARTICIPANT, sessions=sessions)

    def play(session: int, use: str) -> Played:
        options = replace(_options(child, session, duration_s, use), flags=flags, record=record)
        return play_live(options, LiveView(use, child.truth(session)))

    _say(1, "first session, with the model for everybody")
    first = play(1, model)
    _say(2, f"{_label(first, child.truth(1))} flagged windows are labelled, by the truth in an expert's place")
    _say(3, "a model of this child")
    result = _personalise(sessions, models, model)
    out.print(f"  {result['reason']}", highlight=False)
    mine = str(models / PARTICIPANT) if result["switched"] else model
    _say(4, "second session, with it" if result["switched"] else "second session, with the model for everybody")
    second = play(2, mine)
    _say(5, "what it was worth: the second session, by both models")
    candidate = models / PARTICIPANT / str(result["version"])
    out.print(_compared(second, child.truth(2), {"before": find_model(model), "after": candidate}))


def _say(step: int, what: str) -> None:
    out.rule(f"[bold]{step}/5[/] {what}", align="left")


def _options(who: Simulated, session: int, duration_s: float, model: str, json_lines: bool = False) -> RunOptions:
    specs = {sensor: parse_spec(sensor, who.spec(session)) for sensor in Sensor}
    return RunOptions(specs, model, duration_s, json_lines=json_lines)


def _middle_s(played: Played, stamp_ns: int) -> float:
    """The middle of the window that ends at a stamp, since the simulated person began."""
    return (stamp_ns - played.start_ns) / NANOSECONDS_PER_SECOND - 0.5


def _folder(played: Played) -> SessionFolder:
    if played.session is None:
        raise ValueError("nothing was recorded; see the log")
    return SessionFolder(played.session)


def _label(played: Played, truth: Callable[[float], Level]) -> int:
    """Label every flag, as an expert would on the page; how many."""
    from mmal_ros.session.store import SessionStore

    with SessionStore(_folder(played).labels) as store:
        flags = store.flags()
        for flag in flags:
            value = LabelValue[truth(max(0.0, _middle_s(played, flag.stamp_ns))).name]
            store.add_label(Label(flag.window_id, flag.stamp_ns, EXPERT, value, time_ns()), f"demo-{flag.window_id}")
    return len(flags)


def _personalise(sessions: Path, models: Path, model: str) -> dict[str, Any]:
    """`mmal personalise` in a process of its own, as the page starts it; its result."""
    code = "from mmal_ros.cli.main import main; main()"
    options = ["--sessions-dir", sessions, "--models", models, "--from", model, "--json"]
    command = [sys.executable, "-c", code, "personalise", PARTICIPANT, *map(str, options)]
    with err.status("learning …"):
        run = _run(command)
    if run.returncode:
        raise ValueError(run.stderr.strip().removeprefix("mmal: ") or f"personalising ended with code {run.returncode}")
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PERSONALISE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"personalising took longer than {PERSONALISE_TIMEOUT_S} s; is the machine busy?") from None


def _compared(played: Played, truth: Callable[[float], Level], models: dict[str, Path]) -> Table:
    table = Table("", "right", "macro-F1", title="against the simulated child's truth", title_justify="left")
    scores = {name: _score(played, truth, path) for name, path in models.items()}
    for name, score in scores.items():
        table.add_row(name, f"{score.accuracy * 100:.0f} %", f"{score.macro_f1:.2f}")
    table.add_row("constant", f"{next(iter(scores.values())).constant * 100:.0f} %", "")
    return table


def _score(played: Played, truth: Callable[[float], Level], model: Path) -> Score:
    statistics = RunStatistics()
    for stamp_ns, level in _answers(_folder(played), model):
        since_s = _middle_s(played, stamp_ns)
        if since_s > 0:
            statistics.judge(truth(since_s), level, {})
    return statistics.scores()["all together"]


def _answers(folder: SessionFolder, model: Path) -> Iterator[tuple[int, Level | None]]:
    from mmal_ros.models import load_model_set
    from mmal_ros.pipeline import EngagementPipeline
    from mmal_ros.recorded_windows import score_recording
    from mmal_ros.session.reading import read_features

    estimates = score_recording(EngagementPipeline(load_model_set(model)), read_features(folder))
    yield from ((estimate.stamp_ns, estimate.level) for estimate in estimates)
