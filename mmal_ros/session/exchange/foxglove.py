"""Foxglove: a folder with the recording, the labels as a recording of their own, and a layout that shows both.

In Foxglove choose *Open local files*, take all .mcap files of the folder at once, and import `layout.json`. Format of
layouts: docs.foxglove.dev; of recordings: mcap.dev, with JSON messages for the labels.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from mcap.writer import Writer

from mmal_ros.files import PRIVATE_FOLDER
from mmal_ros.session.bag_reading import Bag
from mmal_ros.session.exchange.coding import Coding

_SCHEMA = {
    "type": "object",
    "properties": {
        "value": {"type": "string"},
        "level": {"type": "integer", "description": "0 low, 1 medium, 2 high, -1: no level was named"},
        "window_id": {"type": "string"},
        "note": {"type": "string"},
    },
}


def write_foxglove(path: Path, coding: Coding) -> None:
    """Write the folder `path`; raises SessionError where the session's bag is not there, damaged, or being recorded."""
    bag = Bag(coding.folder)
    path.mkdir(mode=PRIVATE_FOLDER)
    shutil.copyfile(bag.path, path / bag.path.name)
    _write_labels(path / "labels.mcap", coding)
    layout = json.dumps(_layout(_topics(bag), coding.coders), indent=1)
    (path / "layout.json").write_text(layout)


def _write_labels(path: Path, coding: Coding) -> None:
    """One topic per coder; a message at the end of each labelled window."""
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("mmal_label", "jsonschema", json.dumps(_SCHEMA).encode())
        channels = {coder: writer.register_channel(_label_topic(coder), "json", schema) for coder in coding.coders}
        for word in coding.labels:
            level = word.value.level if word.value else None
            content = {
                "value": word.value,
                "level": -1 if level is None else int(level),
                "window_id": str(word.window_id),
                "note": word.note,
            }
            writer.add_message(channels[word.annotator], word.stamp_ns, json.dumps(content).encode(), word.stamp_ns)
        writer.finish()


def _topics(bag: Bag) -> dict[str, str]:
    """Topic by the last part of its name, whatever the namespace of the recording was."""
    return {topic.rsplit("/", 1)[-1]: topic for topic in bag.topics}


def _layout(topics: dict[str, str], coders: tuple[str, ...]) -> dict[str, Any]:
    """From top to bottom: pictures if there are any, levels as bands, probabilities, skin conductance."""
    engagement = topics.get("engagement", "/mmal/engagement")
    bands = [_path(f"{engagement}.level", "model"), *(_path(f"{_label_topic(c)}.value", c) for c in coders)]
    lines = [_path(f"{engagement}.probabilities[{i}]", name) for i, name in enumerate(("low", "medium", "high"))]
    panels: dict[str, Any] = {
        "StateTransitions!levels": {"isSynced": True, "paths": bands},
        "Plot!probabilities": {"isSynced": True, "showLegend": True, "minYValue": 0, "maxYValue": 1, "paths": lines},
    }
    if "eda" in topics:
        skin = _path(f"{topics['eda']}.values[:]", "skin conductance (uS)")
        panels["Plot!skin"] = {"isSynced": True, "showLegend": True, "paths": [skin]}
    if "compressed" in topics:
        panels = {"Image!camera": {"imageMode": {"imageTopic": topics["compressed"]}}, **panels}
    return {
        "configById": panels,
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": _stacked(list(panels)),
    }


def _stacked(names: list[str]) -> Any:
    if len(names) == 1:
        return names[0]
    share = 100 / len(names)
    return {"direction": "column", "first": names[0], "second": _stacked(names[1:]), "splitPercentage": share}


def _path(value: str, label: str) -> dict[str, Any]:
    return {"value": value, "label": label, "enabled": True, "timestampMethod": "headerStamp"}


def _label_topic(coder: str) -> str:
    return f"/labels/{coder}"
