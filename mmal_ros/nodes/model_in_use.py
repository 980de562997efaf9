"""Where the model set is that `model/info` speaks of: a name and a version, for those who need its files."""

from __future__ import annotations

from pathlib import Path

from mmal_ros.model_card import CARD_NAME, ModelError, read_card, readable
from mmal_ros.paths import find_model


def folder_of(name: str, version: str, known: Path) -> Path:
    """The folder of a version: beside a known one, beside its model, or by its name.

    Raises:
        ModelError: it is nowhere; the model is not named, for its name may be a participant's code.
    """
    beside = known.parent
    for folder in (beside / version, beside.parent / name / version, find_model(name) / version):
        with readable(folder):
            is_there = (folder / CARD_NAME).is_file()
        if is_there and read_card(folder).identity == f"{name}/{version}":
            return folder
    raise ModelError(
        f"version {version}, which is in use, is neither in {beside.parent} nor among the models that come along; "
        "copy it there"
    )
