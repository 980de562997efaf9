"""Does anything grow while `mmal run` does what it does for its users? Half an hour in real time, then Ctrl-C.

    python benchmarks/soak_graph.py [--minutes 50]

The first twenty minutes do not count: until then libraries fill what they keep, less and less of it, and in half an
hour that cannot be told from what goes on growing.

The program runs in a process of its own with a recording, clips and the live page, at which a browser looks that does
not draw. A camera in this process sends pictures of a simulated person over HTTP, 30 a second; microphone and wristband
are simulated. Afterwards the session must open and score again bit by bit, and nothing may be left behind: no process,
no shared memory, no scratch file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import cv2
import numpy as np
import psutil
from long_run import LongRun
from process_tree import SHARED, Held, held_by, tree
from report import RESULTS
from rich.progress import track
from scored_again import score_again
from trends import Measure, Series

from mmal_ros.sensors.synthetic import SyntheticCamera, simulated_person

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))
from rigs.mjpeg_camera import MjpegCamera  # type: ignore[import-not-found]

OF_THE_COMPUTER = "lttng-ust-wait"
"""Files of /dev/shm that begin like this are made by the tracing in ROS 2's libraries, once, and are no session's."""
MMAL = str(Path(sys.executable).parent / "mmal")
EVERY_S = 5.0
CAMERA_HZ = 30
FILM_S = 20
"""Of pictures, over and over."""
WARM_UP_H = 20 / 60
START_TIMEOUT_S, STOP_TIMEOUT_S = 120.0, 60.0
STEP_S = 0.1
MOST_MISSED = 0.5
"""As a share of the estimates; a run that misses more is no good, however flat it is."""
LOG = RESULTS / "soak_graph.txt"
"""What the program said on stderr."""
PSS = Measure("memory, shared counted once", "MB", 5.0, "MB")
RSS = Measure("resident memory", "MB", 5.0, "MB")
OWN = Measure("resident memory, without the vision process", "MB", 5.0, "MB")
SHM = Measure("shared memory", "MB", 0.1, "MB")
HANDLES = Measure("open files", "", 1.0, "open files, threads")
THREADS = Measure("threads", "", 1.0, "open files, threads")
CORES = Measure("cores in use", "", 0.1, "cores")
LATENCY, LATENCY_99 = (Measure(f"latency, {name}", "ms", 5.0, "ms") for name in ("median", "p99"))
COMPUTE, COMPUTE_99 = (Measure(f"computing, {name}", "ms", 1.0, "ms") for name in ("median", "p99"))
RATE = Measure("estimates a second", "", 0.1, "estimates a second")
MEASURES = (PSS, RSS, OWN, SHM, HANDLES, THREADS, CORES, LATENCY, LATENCY_99, COMPUTE, COMPUTE_99, RATE)


@dataclass
class Estimates:
    """What the program prints, one a line."""

    times_s: list[float] = field(default_factory=list)
    latency_s: deque[float] = field(default_factory=deque)
    compute_s: deque[float] = field(default_factory=deque)

    def read(self, lines: IO[str]) -> None:
        """Until there are no more."""
        for line in lines:
            record = json.loads(line)
            self.times_s.append(record["time_s"])
            self.compute_s.append(record["compute_time_s"])
            if record["latency_s"] is not None:
                self.latency_s.append(record["latency_s"])

    @property
    def missed(self) -> int:
        """Windows between the first and the last that have no estimate."""
        return round((self.times_s[-1] - self.times_s[0]) / STEP_S) + 1 - len(self.times_s) if self.times_s else 0


class Program:
    """`mmal run`, as somebody types it."""

    def __init__(self, home: Path, camera: str) -> None:
        self.home, self.scratch = home, home / "tmp"
        self.scratch.mkdir(parents=True)
        login = home / "run"  # where the sound server's library puts its own, as it does for whoever has logged in
        login.mkdir(mode=0o700)
        self.estimates = Estimates()
        self.log: list[str] = []
        self._not_ours = set(SHARED.iterdir())  # of the machine, or of other programs
        self.seen_shared: set[Path] = set()
        sensors = ["--camera", camera, "--microphone", "synthetic:1000", "--wristband", "synthetic:1000"]
        kept = ["--record", "P900", "--privacy", "clips", "--page", "--json"]
        self.process = subprocess.Popen(
            [MMAL, "run", *sensors, *kept],
            env=os.environ | {"MMAL_HOME": str(home), "TMPDIR": str(self.scratch), "XDG_RUNTIME_DIR": str(login)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_hear_ctrl_c,
        )
        self._read(self.process.stdout, self.estimates.read)
        self._read(self.process.stderr, lambda lines: self.log.extend(lines))

    def held(self) -> Held:
        """What it holds now."""
        held = held_by(psutil.Process(self.process.pid))
        self.seen_shared |= {path for path in held.shared - self._not_ours if not path.name.startswith(OF_THE_COMPUTER)}
        return held

    def await_estimates(self) -> None:
        """Raises RuntimeError when there are none."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self.estimates.times_s:
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"mmal run gives no estimates:\n{''.join(self.log)}")
            time.sleep(0.1)

    def ctrl_c(self) -> dict[str, Any]:
        """End it; what was left behind."""
        processes = tree(psutil.Process(self.process.pid))
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_TIMEOUT_S)
        took_s = time.monotonic() - began_s
        _, alive = psutil.wait_procs(processes, timeout=5)
        return {
            "exit code": self.process.returncode,
            "stopped within (s)": round(took_s, 1),
            "traceback": any("Traceback" in line for line in self.log),
            "processes left": _names(Path(process.name()) for process in alive),
            "shared memory left": _names(path for path in self.seen_shared if path.exists()),
            "scratch files left": _names(self.scratch.iterdir()),
        }

    def kill(self) -> None:
        """Whatever is still there."""
        for process in tree(psutil.Process(self.process.pid)) if self.process.poll() is None else []:
            process.kill()

    def _read(self, stream: IO[str] | None, reader: Callable[[IO[str]], None]) -> None:
        assert stream is not None
        threading.Thread(target=reader, args=(stream,), daemon=True).start()

    def page(self) -> str:
        """The link that it printed."""
        found = re.search(r"review page: (\S+)", "".join(self.log))
        if not found:
            raise RuntimeError("mmal run --page printed no link")
        return found.group(1)


class Watch:
    """Looks at the program every few seconds."""

    def __init__(self, program: Program) -> None:
        self.series = {measure: Series(measure) for measure in MEASURES}
        self._program = program
        self._began_s = self._before_s = time.monotonic()
        self._cpu_s = program.held().cpu_s
        self._known = len(program.estimates.times_s)

    def look(self) -> None:
        """Take down what there is now."""
        held, now_s = self._program.held(), time.monotonic()
        estimates = self._program.estimates
        known, since_s = len(estimates.times_s), now_s - self._before_s
        latency, compute = (_percentiles_ms(values) for values in (estimates.latency_s, estimates.compute_s))
        values = {
            PSS: held.pss_mb,
            RSS: held.rss_mb,
            OWN: held.own_rss_mb,
            SHM: held.shared_mb,
            HANDLES: held.handles,
            THREADS: held.threads,
            CORES: (held.cpu_s - self._cpu_s) / since_s,
            RATE: (known - self._known) / since_s,
            **dict(zip((LATENCY, LATENCY_99), latency, strict=False)),
            **dict(zip((COMPUTE, COMPUTE_99), compute, strict=False)),
        }
        for measure, value in values.items():
            self.series[measure].add((now_s - self._began_s) / 3600, value)
        self._before_s, self._cpu_s, self._known = now_s, held.cpu_s, known


def soak(program: Program, minutes: float) -> tuple[Watch, dict[str, Any]]:
    """Let it run, look, and press Ctrl-C."""
    program.await_estimates()
    with visitor(program.page()):
        watch, began_s = Watch(program), time.monotonic()
        for number in track(range(1, round(60 * minutes / EVERY_S) + 1), "looking"):
            time.sleep(max(0.0, began_s + number * EVERY_S - time.monotonic()))
            watch.look()
            if program.process.poll() is not None:
                raise RuntimeError(f"mmal run ended by itself:\n{''.join(program.log[-20:])}")
    return watch, program.ctrl_c()


@contextmanager
def visitor(link: str) -> Iterator[None]:
    """Somebody who looks at the live page all the time."""
    ended = threading.Event()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(link, timeout=30).read()

    def look() -> None:
        events = opener.open(link.partition("/live")[0] + "/api/live", timeout=30)
        while not ended.is_set() and events.readline():
            pass

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join(10)


def film() -> Callable[[int], bytes]:
    """Pictures of a simulated person, 640 x 480, as a camera sends them."""
    person, script = simulated_person(1000, FILM_S + 1)
    with SyntheticCamera(person, script, 0, rate_hz=CAMERA_HZ) as camera:
        pictures = [
            cv2.imencode(".jpg", cv2.resize(np.asarray(sample.values), (640, 480)))[1].tobytes()
            for sample in islice(camera, FILM_S * CAMERA_HZ)
        ]
    return lambda number: pictures[number % len(pictures)]


def main() -> None:
    """Run, look, end, score again, publish; exit code 1 when something grows, is left or lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=50.0, help="twenty of them warm up")
    parser.add_argument("--into", type=Path, metavar="DIR", help="where the results go, instead of docs/reliability")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the session here, an empty folder")
    arguments = parser.parse_args()
    os.environ.setdefault("ROS_DOMAIN_ID", "79")
    home = nullcontext(arguments.keep) if arguments.keep else TemporaryDirectory()
    with home as folder, MjpegCamera(CAMERA_HZ, film()) as camera:
        program = Program(Path(folder), camera.url)
        try:
            watch, ended = soak(program, arguments.minutes)
        finally:
            program.kill()
            LOG.parent.mkdir(exist_ok=True)
            LOG.write_text("".join(program.log))
        again = score_again(Path(folder))
    estimates = program.estimates
    facts = {"estimates": len(estimates.times_s), "windows missed": estimates.missed, **ended, **again}
    title = f"{arguments.minutes:g} minutes of mmal run: camera, microphone, wristband, recording, clips, live page"
    run = LongRun("soak_graph", title, WARM_UP_H, list(watch.series.values()), facts)
    run.publish(arguments.into)
    stopped = estimates.missed > MOST_MISSED * len(estimates.times_s) or not watch.series[RATE].values[-1]
    left = stopped or any(value != "0" for name, value in ended.items() if name.endswith("left"))
    sys.exit(left or bool(run.growing()) or ended["traceback"] or ended["exit code"] != 128 + signal.SIGINT)


def _percentiles_ms(values: deque[float]) -> list[float]:
    """Median and 99th of all that came since it was last asked for; nothing if nothing came."""
    taken = [values.popleft() for _ in range(len(values))]
    return [1000 * float(value) for value in np.percentile(taken, (50, 99))] if taken else []


def _names(paths: Iterable[Path]) -> str:
    """What is left, for people; 0: nothing."""
    return ", ".join(sorted(path.name for path in paths)) or "0"


def _hear_ctrl_c() -> None:
    """Whoever runs this in the background has SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    main()
