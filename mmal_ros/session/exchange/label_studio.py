"""Label Studio: a task per clip, with what was said of it as annotations; predictions are left out on purpose.

Clips are named as the server's local files (`/data/local-files/?d=…`): start it with
`LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true` and `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT` set to the folder of the
sessions. The labelling interface to paste in stands in a file beside the tasks. Format: labelstud.io/guide/task_format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmal_ros.session.card import SessionError
from mmal_ros.session.exchange.coding import Coding
from mmal_ros.session.records import Flag, Label, LabelValue

_CHOICES = "\n".join(f'    <Choice value="{value}" hotkey="{key}"/>' for key, value in enumerate(LabelValue, start=1))
INTERFACE = f"""<View>
  <Video name="video" value="$video"/>
  <Choices name="engagement" toName="video" choice="single" showInLine="true" required="true">
{_CHOICES}
  </Choices>
  <TextArea name="coder" toName="video" placeholder="code of the coder" maxSubmissions="1"/>
</View>
"""


def write_tasks(path: Path, coding: Coding) -> None:
    """Write the flagged windows that have a clip as tasks, as JSON; raises SessionError where none has."""
    tasks = [_task(coding, flag) for flag in coding.flags if flag.clip]
    if not tasks:
        raise SessionError(f"{coding.folder.name} has no clips to be looked at; export it as csv, eaf or foxglove")
    path.write_text(json.dumps(tasks, indent=1))


def _task(coding: Coding, flag: Flag) -> dict[str, Any]:
    span = coding.span(flag)
    data = {
        "video": f"/data/local-files/?d={coding.folder.name}/{flag.clip}",
        "session": coding.folder.name,
        "window_id": str(flag.window_id),  # text: JavaScript's numbers end at 2^53
        "start_s": span.start_ms / 1000,
        "end_s": span.end_ms / 1000,
    }
    words = [label for label in coding.labels if label.window_id == flag.window_id]
    return {"data": data, "annotations": [_annotation(word) for word in words]}


def _annotation(word: Label) -> dict[str, Any]:
    value = {"from_name": "engagement", "to_name": "video", "type": "choices", "value": {"choices": [word.value]}}
    coder = {"from_name": "coder", "to_name": "video", "type": "textarea", "value": {"text": [word.annotator]}}
    return {"result": [value, coder]}
