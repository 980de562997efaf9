"""Somebody mistypes a command: every option of every command, found by looking, gets what it cannot have.

A new option is covered by itself; a new command, as soon as it can be run without one.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import pytest
from typer.models import OptionInfo
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.review.server import PORTS_TO_TRY, Address, AddressError, open_socket
from rigs.sessions import make_session

USAGE_ERROR = 2
SESSION = "2026-11-20_P017_01"
OTHERWISE_RIGHT: dict[str, list[object]] = {
    "run": ["--wristband", "synthetic", "--json", "--duration", 1],
    "demo": ["--once", "--json", "--duration", 10],
    "train": ["nowhere", "--output", "{home}/models/x/1"],
    "evaluate": ["nowhere"],
    "review": ["nowhere", "--no-browser"],
    "personalise": ["P017"],
    "score": [SESSION],
    "session show": [SESSION],
    "session export": [SESSION, "--format", "csv", "--output", "{home}/new.csv"],
    "session import-labels": [SESSION, "{home}/file", "--annotator", "C1"],
    "session replay": [SESSION],
}
"""What each command needs beside the option; `nowhere` keeps the slow ones from ever beginning."""
ALSO: dict[tuple[str, str], list[object]] = {
    ("run", "--save-features"): ["--fast"],
    ("run", "--sessions"): ["--record", "P017"],
}
FREE_TEXT = {
    ("train", "--purpose"): "any text is right",
    ("train", "--test"): "needs the data set: test/training/test_train.py",
    ("evaluate", "--people"): "needs the data set: test/training/test_data_sets.py",
    ("evaluate", "--ray-address"): "tested below",
    ("personalise", "--lead"): "without a label of this coder the majority counts",
    ("personalise", "--from"): "needs labels: test/cli/test_personalise.py",
    ("review", "--namespace"): "only with --live",
    ("review", "--host"): "tested below",
    ("session export", "--coder"): "a new coder begins with an empty tier",
    ("session import-labels", "--tier"): "only of an .eaf: test/session/test_exchange_import.py",
}


def commands(typer_app: Any = app, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Callable[..., Any]]]:
    for command in typer_app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        yield " ".join((*above, name)), inspect.unwrap(command.callback)
    for group in typer_app.registered_groups:
        yield from commands(group.typer_instance, (*above, group.name))


def options() -> Iterator[tuple[str, str, Any, Any]]:
    """(command, option, type, what Typer knows of it)"""
    for command, callback in commands():
        for name, parameter in inspect.signature(callback, eval_str=True).parameters.items():
            kind, info = parameter.annotation.__origin__, parameter.annotation.__metadata__[0]
            if isinstance(info, OptionInfo):
                spelt = next((one for one in info.param_decls or () if one.startswith("--")), f"--{name}")
                yield command, spelt.partition("/")[0].replace("_", "-"), _without_none(kind), info


def _without_none(kind: Any) -> Any:
    return next(one for one in get_args(kind) if one is not type(None)) if isinstance(kind, UnionType) else kind


def impossible(kind: Any, info: Any) -> Iterator[object]:
    """Values of the wrong type, out of range, or that no file can have."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield "nonsense"
    elif kind in (int, float):
        yield "many"
        yield from [info.min - 1] if info.min is not None else []
        yield from [info.max + 1] if info.max is not None else []
        yield from ["nan", "-inf"] if kind is float else []
    elif kind is Path:
        yield from ("{home}/file/below", "{home}/pipe", "x" * 300, "{home}/dangling")
    elif kind is not bool:
        yield "non/sense!"
        yield ""


CASES = [
    pytest.param(command, option, value, id=f"{command} {option} {str(value)[:24]}")
    for command, option, kind, info in options()
    for value in impossible(kind, info)
    if value == "" or (command, option) not in FREE_TEXT
]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A session, a file, and things that are none of both."""
    folder = tmp_path_factory.mktemp("home")
    make_session(folder / "sessions", minutes=0.2, flags=2, clips=False)
    (folder / "file").write_text("start_s,end_s,value\n")
    (folder / "dangling").symlink_to(folder / "nowhere" / "at" / "all")
    os.mkfifo(folder / "pipe")
    return folder


def mmal(home: Path, *arguments: object) -> Any:
    runner = CliRunner(env={"MMAL_HOME": str(home), "COLUMNS": "1000", "NO_COLOR": "1", "TERM": "dumb"})
    return runner.invoke(app, [str(argument).replace("{home}", str(home)) for argument in arguments])


def refused(run: Any) -> str:
    """That it was, as it should be; the sentence."""
    assert isinstance(run.exception, SystemExit), repr(run.exception)
    assert (run.exit_code, run.stdout) == (USAGE_ERROR, ""), run.output
    return " ".join(run.stderr.split())


def everything_in(home: Path) -> set[Path]:
    return set(home.rglob("*"))


@pytest.mark.parametrize(("command", "option", "value"), CASES)
def test_an_option_with_an_impossible_value_is_one_sentence_and_leaves_nothing(home, command, option, value):
    before = everything_in(home)
    right = OTHERWISE_RIGHT.get(command, ["demo"] if command.startswith("models") else [])
    said = refused(mmal(home, *command.split(), *right, *ALSO.get((command, option), []), option, value))
    told = str(value).replace("{home}", str(home))
    assert option in said or told in said or option.strip("-").replace("-", " ") in said, said
    assert "Traceback" not in said
    assert everything_in(home) == before


@pytest.mark.parametrize("command", [command for command, _ in commands()])
def test_a_misspelt_option_is_not_ignored(home, command):
    assert "No such option: --nonsense" in refused(mmal(home, *command.split(), "--nonsense"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["models", "lsit"], "Did you mean 'list'?"),
        (["session", "exprt"], "Did you mean 'export'?"),
        (["run", "--wristbnd", "synthetic"], "--wristband"),
        (["run", "--wristband", "sinthetic"], "did you mean synthetic"),
        (["run", "--wristband", "synthetic", "--policy", "margni"], "did you mean 'margin'"),
        (["run", "--wristband", "synthetic", "--provider", "cdua"], "did you mean 'cuda'"),
        (["run", "--wristband", "synthetic", "--model", "dmeo"], "did you mean demo"),
        (["models", "show", "dmeo"], "did you mean 'demo'"),
        (["session", "show", "2026-11-20_P071_01"], f"did you mean '{SESSION}'"),
        (["session", "delete", "--participant", "P071"], "did you mean 'P017'"),
        (["personalise", "P071"], "did you mean 'P017'"),
        (["evaluate", "chort"], "did you mean 'cohort'"),
        (["session", "export", SESSION, "--format", "boirs", "--output", "{home}/new"], "did you mean 'boris'"),
    ],
)
def test_what_is_misspelt_is_recognised(home, arguments, sentence):
    assert sentence in refused(mmal(home, *arguments))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--wristband", "synthetic", "--fast", "--record", "P017"], "works live only"),
        (["run", "--wristband", "synthetic", "--fast", "--page"], "works live only"),
        (
            ["run", "--wristband", "synthetic", "--save-features", "{home}/new.npz"],
            "works with --fast and sensors only",
        ),
        (["run", "--wristband", "synthetic", "--record", "Anna Maria"], "no code of a participant"),
        (["run", "--wristband", "synthetic", "--record="], "nothing is given after '--record='"),
        (["run", "--features", "{home}/file", "--wristband", "synthetic"], "instead of sensors"),
        (["evaluate", "cohort", "--ray-address", "auto"], "works with --engine ray only"),
        (["review", "--tls-cert", "{home}/file"], "TLS needs both"),
        (["review", "--tls-cert", "{home}/file", "--tls-key", "{home}/file"], "no certificate and key"),
        (["review", "--host", "0.0.0.0"], "lets other computers in"),
        (["review", "--host", "nowhere.invalid", "--insecure"], "cannot be served"),
        (["review", "--report", "{home}/new.html"], "is of one session"),
        (["review", "--port", "0", "--live", "--namespace", "a b"], "'a b' is no namespace"),
        (["session", "delete"], "name one session, or a participant"),
        (["session", "export", SESSION, "--format", "csv", "--output", "{home}/file"], "is there already"),
        (["session", "replay", SESSION, "--stamps", "orignal"], "did you mean 'original'"),
    ],
)
def test_what_makes_no_sense_together_is_said(home, arguments, sentence):
    before = everything_in(home)
    assert sentence in refused(mmal(home, *arguments))
    assert everything_in(home) == before


def test_taken_ports_are_stepped_over_and_when_all_are_it_is_said():
    with ExitStack() as taken:
        port = taken.enter_context(open_socket(Address(port=0))).getsockname()[1]
        second = taken.enter_context(open_socket(Address(port=port))).getsockname()[1]
        assert port < second < port + PORTS_TO_TRY
        for _ in range(PORTS_TO_TRY):
            with suppress(AddressError):
                taken.enter_context(open_socket(Address(port=port)))
        with pytest.raises(AddressError, match="are taken; name another with --port"):
            open_socket(Address(port=port))
