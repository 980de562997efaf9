"""Where the model set is that `model/info` speaks of: a name and a version, for those who need its files."""

from __future__ import annotations

from pathlib import Path

from mmal_ros.model_card import CARD_NAME, ModelError, read_card
from mmal_ros.paths import find_model


def folder_of(name: str, version: str, known: Path) -> Path:
    """The folder of a version: beside a known one, beside its model, or by its name; raises ModelError."""
    beside = known.parent
    for folder in (beside / version, beside.parent / name / version, find_model(name) / version):
        if (folder / CARD_NAME).is_file() and read_card(folder).identity == f"{name}/{version}":
            return folder
    raise ModelError(f"{name}/{version} is neither in {beside.parent} nor among the models that come along")
