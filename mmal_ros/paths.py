"""Where the package's own files are: in a checkout, in a virtual environment, in a ROS installation.

And where its user's are: sessions and personal models, in `$MMAL_HOME`, or else in `~/mmal`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = "mmal_ros"
MODEL_FILES = ("model.json", "current")
"""One of them is in every folder of a model set: any other folder of that name is none."""


def share_folders() -> list[Path]:
    """Folders that may hold `models/`, `config/` and `launch/`, best first."""
    checkout = Path(__file__).resolve().parent.parent
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    installed = [Path(prefix) / "share" / PACKAGE for prefix in prefixes]
    return [folder for folder in (checkout, *installed) if (folder / "models").is_dir()]


def model_folders() -> list[Path]:
    """Folders of the model sets that come with the package, best first."""
    return [folder / "models" for folder in share_folders()]


def path_of(name: str) -> Path:
    """The path that somebody wrote, with `~` for a home; as it stands where there is no such home."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def home() -> Path:
    """The folder of everything that is recorded and learned on this machine."""
    return path_of(os.environ.get("MMAL_HOME", "") or "~/mmal")


def sessions_folder() -> Path:
    """Where sessions are recorded to, unless told otherwise."""
    return home() / "sessions"


def personal_models_folder() -> Path:
    """Where the model sets of participants are, one folder each, unless told otherwise."""
    return home() / "models"


def cache_folder() -> Path:
    """What evaluations keep to be faster the next time: models and policies, with windows of those they learned from.

    It may go at any time.
    """
    return home() / "cache"


def find_model(name: str) -> Path:
    """The folder of a model set: a path as it is, a participant's code, or the name of one that comes along."""
    try:
        path = path_of(name)
        if any((path / file).is_file() for file in MODEL_FILES):
            return path
        named = (folder / name for folder in (personal_models_folder(), *model_folders()) if (folder / name).is_dir())
        return next(named, path)
    except OSError:  # too long
        return Path(name)
