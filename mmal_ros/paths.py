"""Where the package's own files are: in a checkout, in a virtual environment, in a ROS installation."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = "mmal_ros"


def share_folders() -> list[Path]:
    """Folders that may hold `models/`, `config/` and `launch/`, best first."""
    checkout = Path(__file__).resolve().parent.parent
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    installed = [Path(prefix) / "share" / PACKAGE for prefix in prefixes]
    return [folder for folder in (checkout, *installed) if (folder / "models").is_dir()]


def model_folders() -> list[Path]:
    """Folders of the model sets that come with the package, best first."""
    return [folder / "models" for folder in share_folders()]


def find_model(name: str) -> Path:
    """The folder of a model set: a path as it is, or the name of one that comes with the package."""
    path = Path(name).expanduser()
    packaged = (folder / name for folder in model_folders() if (folder / name).is_dir())
    return path if path.exists() else next(packaged, path)
