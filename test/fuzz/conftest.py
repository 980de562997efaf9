"""Everything that reads what it did not write, against valid inputs that were damaged.

In `make test` every target sees a few examples, always the same. `MMAL_FUZZ_MINUTES=10` lets each run for so many
minutes on ever new ones: `make fuzz`, which puts a table into docs/reliability.md. What was found became an example of
its target.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from mmal_ros.datatypes import Modality
from mmal_ros.review import personalisation
from mmal_ros.session.folder import SessionFolder
from rigs.fuzzing import MINUTES
from rigs.model_sets import write_model_set
from rigs.review import Served, served
from rigs.scripted_graph import ScriptedGraph
from rigs.sessions import make_session

RESULTS = Path(os.environ.get("MMAL_FUZZ_RESULTS", ".cache/fuzz.jsonl"))
MEMORY_BYTES = 2 << 30
"""So much more than before a target may ask for: the largest documented limit of a reader is half a gigabyte."""


@dataclass
class Target:
    """What became of one target."""

    name: str
    examples: int = 0
    minutes: float = 0.0
    processor_minutes: float = 0.0
    """Of this process: what other work on the machine left of the minutes."""
    peak_mib: int = 0
    finding: str = ""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """With `MMAL_FUZZ_MINUTES` again and again until they are over; each time Hypothesis thinks of other examples."""
    handle = getattr(pyfuncitem.obj, "hypothesis", None)
    if handle is None or not MINUTES:
        return None
    target, test = Target(pyfuncitem.nodeid.partition("fuzz/")[2]), handle.inner_test

    def counted(*args: object, **kwargs: object) -> None:
        target.examples += 1
        test(*args, **kwargs)

    handle.inner_test = counted
    fixtures = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    begin, began = time.monotonic(), time.process_time()
    _forget_peak()
    try:
        while time.monotonic() - begin < 60 * MINUTES:
            pyfuncitem.obj(**fixtures)
    except BaseException as error:
        target.finding = f"{type(error).__name__}: {error}"
        raise
    finally:
        handle.inner_test = test
        target.minutes, target.peak_mib = (time.monotonic() - begin) / 60, _peak_mib()
        target.processor_minutes = (time.process_time() - began) / 60
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        with RESULTS.open("a") as results:
            results.write(json.dumps(asdict(target)) + "\n")
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MINUTES:
        for item in items:
            item.add_marker(pytest.mark.timeout(round(60 * MINUTES) + 600))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    """With three flags."""
    return make_session(tmp_path_factory.mktemp("sessions"), minutes=0.2, flags=3, clips=False)


@pytest.fixture(scope="module")
def server(session: SessionFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The pages of that session, of two versions of her model and of a graph; who personalises learns nothing."""
    models = tmp_path_factory.mktemp("models")
    for version in ("1", "2"):
        write_model_set(models / "P017", version, seed=int(version), feature_sets={Modality.AUDIO: "spectral"})
    with pytest.MonkeyPatch.context() as patch, served(session.path.parent, models, ScriptedGraph()) as running:
        patch.setattr(personalisation, "COMMAND", ("true",))  # which takes all arguments, and ends without a result
        yield running


@pytest.fixture(autouse=True)
def _bounded_memory() -> Iterator[None]:
    """What asks for more memory than any reader should need gets a MemoryError, and the test fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
