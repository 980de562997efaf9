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
    return [folder for folder in (checkout, *installed) if os.path.isdir(folder / "models")]


def model_folders() -> list[Path]:
    """Folders of the model sets that come with the package, best first."""
    return [folder / "models" for folder in share_folders()]


def path_of(name: str) -> Path:
    """The path that somebody wrote, with `~` for a home; as it stands where there is no such home."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def expanded(name: str, what: str) -> Path:
    """The same where it must be one; `what` it is that somebody wrote.

    Raises:
        ValueError: it is in the home of nobody; a folder of that name would be made, or missed, wherever this runs.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{what} is '{name}': nobody here has such a home; write the path in full") from error


def home() -> Path:
    """The folder of everything that is recorded and learned on this machine.

    Raises:
        ValueError: it is in the home of nobody.
    """
    return expanded(os.environ.get("MMAL_HOME", "") or "~/mmal", "MMAL_HOME")


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


def _model_roots() -> list[Path]:
    """Folders in which models are, best first; those that come along are there without a home, too."""
    try:
        return [personal_models_folder(), *model_folders()]
    except ValueError:
        return model_folders()


def find_model(name: str) -> Path:
    """The folder of a model set: a path as it is, a participant's code, or the name of one that comes along."""
    path = path_of(name)
    if any(os.path.isfile(path / file) for file in MODEL_FILES):
        return path
    places = [folder / name for folder in _model_roots()]
    return next(filter(os.path.isdir, places), None) or next(filter(_is_hidden, places), path)


def _is_hidden(path: Path) -> bool:
    """Whether this account may not even look: whoever opens it then says so, and not that it is not there."""
    try:
        path.stat()
    except (OSError, ValueError) as error:
        return isinstance(error, PermissionError)
    return False
