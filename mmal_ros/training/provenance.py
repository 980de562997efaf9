"""Where results are from: command, code, seeds, data and software, so that somebody else can get them again."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

LEARNED_FROM = "learned_from"
"""In the card of a model set, under `training`: the end of every labelled window, in ns, by recorded session."""
SOFTWARE = ("mmal_ros", "numpy", "scipy", "torch", "scikit-learn", "scikit-activeml", "pyarrow", "joblib", "ray")


def command() -> str:
    """What was typed, as a shell takes it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def commit() -> str:
    """The commit of this package's checkout, "with changes" where files differ from it; "unknown" without one."""
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", here.name) is None:  # installed, or lying in somebody else's repository
        return "unknown"
    head, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", str(here.parents[2]))
    return f"{head}{' with changes' if changes else ''}"


def software() -> dict[str, str]:
    """Versions of what decides the numbers; packages that are not installed are left out."""
    return {"python": python_version(), **{name: found for name in SOFTWARE if (found := _version(name))}}


def _git(*arguments: str) -> str | None:
    """What git prints, run beside this file; None when it fails or is not there."""
    try:
        run = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
