"""Somebody mistypes a command: every option and file of every command, found by looking, gets what it cannot have.

A new option is covered by itself; a new command, as soon as it can be run without one.
"""

from __future__ import annotations

import inspect
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import psutil
import pytest
from typer.models import OptionInfo
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.cli.paths_given import folder, input_folder, output_file
from mmal_ros.review.server import PORTS_TO_TRY, Address, AddressError, open_socket
from rigs.model_sets import put_on_a_failing_disk
from rigs.sessions import make_session

USAGE_ERROR = 2
MMAL = Path(sys.executable).parent / "mmal"
SESSION = "2026-11-20_P017_01"
FILE = "{home}/file"
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
    "session import-labels": [SESSION, FILE, "--annotator", "C1"],
    "session replay": [SESSION],
}
"""What each command needs beside the option; `nowhere` keeps the slow ones from ever beginning.

Where a file is needed that is no option, it is FILE.
"""
ALSO: dict[tuple[str, str], list[object]] = {
    ("run", "--save-features"): ["--fast"],
    ("run", "--sessions"): ["--record", "P017"],
    ("run", "--port"): ["--page"],
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


def parameters() -> Iterator[tuple[str, str, Any, Any]]:
    """(command, option or what stands for a file that is none, type, what Typer knows of it)"""
    for command, callback in commands():
        for name, parameter in inspect.signature(callback, eval_str=True).parameters.items():
            kind, info = _without_none(parameter.annotation.__origin__), parameter.annotation.__metadata__[0]
            if isinstance(info, OptionInfo):
                spelt = next((one for one in info.param_decls or () if one.startswith("--")), f"--{name}")
                yield command, spelt.partition("/")[0].replace("_", "-"), kind, info
            elif kind is Path:
                yield command, info.metavar, kind, info


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
        yield from ["{home}/sessions"] if info.callback not in (folder, input_folder) else []
        yield from ["{home}/failing.yaml"] if info.callback is not output_file else []  # which may be replaced
    elif kind is not bool:
        yield "non/sense!"
        yield ""


CASES = [
    pytest.param(command, option, value, id=f"{command} {option} {str(value)[:24]}")
    for command, option, kind, info in parameters()
    for value in impossible(kind, info)
    if value == "" or (command, option) not in FREE_TEXT
]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A session, a file, and things that are none of both."""
    place = tmp_path_factory.mktemp("home")
    make_session(place / "sessions", minutes=0.2, flags=2, clips=False)
    for name in ("file", "failing.yaml"):
        (place / name).write_text("start_s,end_s,value\n")
    put_on_a_failing_disk(place / "failing.yaml")
    (place / "dangling").symlink_to(place / "nowhere" / "at" / "all")
    os.mkfifo(place / "pipe")
    return place


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


def given(command: str, option: str, value: object) -> list[object]:
    """All that a command is given, right but for one value."""
    right = OTHERWISE_RIGHT.get(command, ["demo"] if command.startswith("models") else [])
    if option.startswith("--"):
        return [*right, *ALSO.get((command, option), []), option, value]
    where = right.index(FILE)
    return [*right[:where], value, *right[where + 1 :]]


@pytest.mark.parametrize(("command", "option", "value"), CASES)
def test_an_impossible_value_is_one_sentence_and_leaves_nothing(home, command, option, value):
    before = everything_in(home)
    said = refused(mmal(home, *command.split(), *given(command, option, value)))
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
        (["run", "--wristband", "synthetic", "--port", 9000], "works with --page only"),
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


@pytest.mark.parametrize(
    "arguments",
    [
        ["session", "list"],
        ["session", "show", SESSION],
        ["session", "delete", "--participant", "P017", "--yes"],
        ["session", "delete", SESSION, "--yes"],
        ["session", "replay", SESSION],
        ["score", SESSION],
        ["review", "--no-browser"],
        ["personalise", "P017"],
        ["models", "list"],
        ["models", "rollback", "P017"],
        ["demo", "--no-browser"],
        ["evaluate", "cohort"],
        ["run", "--wristband", "synthetic", "--record", "P017", "--page"],
    ],
    ids=" ".join,
)
def test_where_nobody_has_such_a_home_nothing_is_looked_for_or_made(tmp_path, monkeypatch, arguments):
    """Else it would be a folder with that name wherever one stands, and a child's data would seem to be gone."""
    monkeypatch.chdir(tmp_path)
    said = refused(mmal(Path("~nobody0815/mmal"), *arguments))
    assert said == "mmal: MMAL_HOME is '~nobody0815/mmal': nobody here has such a home; write the path in full"
    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--features", "{home}/failing.yaml"],
        ["run", "--microphone", "file:{home}/failing.yaml", "--fast", "--json"],
        ["run", "--camera", "file:{home}/failing.yaml", "--fast", "--json"],
        ["review", "--no-browser", "--tls-cert", "{home}/file", "--tls-key", "{home}/failing.yaml"],
        ["evaluate", "{home}/failing.yaml"],
        ["train", "{home}/failing.yaml", "--output", "{home}/models/x/1"],
        ["session", "import-labels", SESSION, "{home}/failing.yaml", "--annotator", "C1"],
    ],
    ids=" ".join,
)
def test_a_file_that_the_disk_does_not_give_is_named_with_the_reason(home, arguments):
    """And is not taken for one of another kind."""
    before = everything_in(home)
    said = refused(mmal(home, *arguments))
    assert str(home / "failing.yaml") in said
    assert re.search("Input/output error.*; look at its disk, or copy it again", said)
    assert everything_in(home) == before


@pytest.fixture
def taken() -> Iterator[int]:
    """The first of as many ports as are tried, all held; below those that the system gives to whoever asks for any."""
    for first in range(20_000, 30_000, PORTS_TO_TRY):
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + PORTS_TO_TRY):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            yield first
            return


def test_taken_ports_are_stepped_over():
    with open_socket(Address(port=0)) as first:
        port = first.getsockname()[1]
        with open_socket(Address(port=port)) as second:
            assert port < second.getsockname()[1] < port + PORTS_TO_TRY


def test_ports_that_are_all_taken_are_named_as_far_as_there_are_any(taken):
    with pytest.raises(AddressError, match=f"{taken} to {taken + PORTS_TO_TRY - 1} are taken"):
        open_socket(Address(port=taken))
    with socket.create_server(("127.0.0.1", 65535)), pytest.raises(AddressError, match="65535 to 65535 are taken"):
        open_socket(Address(port=65535))


@pytest.mark.parametrize(
    "arguments",
    [
        ["review", "--no-browser"],
        ["run", "--camera", "synthetic", "--wristband", "synthetic", "--record", "P017", "--page"],
        ["demo"],
    ],
    ids=" ".join,
)
def test_a_command_whose_ports_are_all_taken_ends_before_anything_begins(tmp_path, taken, arguments):
    """What the last demo left is still there, too."""
    (tmp_path / "demo" / "sessions").mkdir(parents=True)
    before = everything_in(tmp_path)
    environment = os.environ | {"MMAL_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = [str(MMAL), *arguments, "--port", str(taken)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    sentence = f"mmal: ports {taken} to {taken + PORTS_TO_TRY - 1} are taken; name another with --port\n"
    assert (run.returncode, run.stdout, run.stderr) == (USAGE_ERROR, "", sentence)
    assert everything_in(tmp_path) == before
    assert processes_of(tmp_path) == []


def processes_of(home: Path) -> list[psutil.Process]:
    """Those that were started with this home, by whomever."""
    everybody = psutil.process_iter(["environ"])
    return [one for one in everybody if (one.info["environ"] or {}).get("MMAL_HOME") == str(home)]
