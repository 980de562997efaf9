"""What a process and all its children hold: memory, open files, threads, time of the CPU, shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SHARED = Path("/dev/shm")


@dataclass
class Held:
    """At one moment."""

    rss_mb: float = 0.0
    own_rss_mb: float = 0.0
    """Of the process without its children."""
    pss_mb: float = 0.0
    """Resident, with what several processes share counted once."""
    handles: int = 0
    threads: int = 0
    cpu_s: float = 0.0
    """Since each of them began."""
    shared: set[Path] = field(default_factory=set)
    """Files of /dev/shm that are mapped."""

    @property
    def shared_mb(self) -> float:
        """What these files take."""
        return sum(map(_size, self.shared)) / 1e6


def held_by(root: psutil.Process) -> Held:
    """Look at a process and its children; whoever ends meanwhile is passed over."""
    held = Held()
    for process in tree(root):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError, ProcessLookupError):
            memory, cpu = process.memory_full_info(), process.cpu_times()
            held.shared |= set(_shared_of(process.pid))
            held.handles += process.num_fds()
            held.threads += process.num_threads()
            held.rss_mb += memory.rss / 1e6
            held.own_rss_mb += memory.rss / 1e6 * (process.pid == root.pid)
            held.pss_mb += memory.pss / 1e6
            held.cpu_s += cpu.user + cpu.system
    return held


def tree(root: psutil.Process) -> list[psutil.Process]:
    """A process and its children; nothing once it has ended."""
    with suppress(psutil.NoSuchProcess):
        return [root, *root.children(recursive=True)]
    return []


def _shared_of(pid: int) -> Iterator[Path]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        name = line.split(maxsplit=5)[-1]
        if name.startswith(f"{SHARED}/") and not name.endswith("(deleted)"):
            yield Path(name)


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_blocks * 512
    return 0
