"""BORIS: a project with the five words as ethogram, and an observation per coder, so that BORIS can compare them.

Every label is a state that starts and stops; times are seconds from the session's start. The observations are of
BORIS's kind `LIVE`: a session has clips and no film. Format: project files 7.0 as BORIS 7 and 8 write them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmal_ros.session.exchange.coding import Coding
from mmal_ros.session.records import LabelValue


def write_boris(path: Path, coding: Coding) -> None:
    """Write the standing labels of a session as a BORIS project."""
    card = coding.card
    project = {
        "time_format": "seconds",
        "project_date": _date(coding),
        "project_name": card.name,
        "project_description": "Engagement, coded window by window; exported by mmal_ros",
        "project_format_version": "7.0",
        "subjects_conf": {"0": {"key": "p", "name": card.participant, "description": ""}},
        "behaviors_conf": {str(i): _behaviour(i, value) for i, value in enumerate(LabelValue)},
        "behavioral_categories": [],
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
        "observations": {f"{card.name} {coder}": _observation(coding, coder) for coder in coding.coders},
    }
    path.write_text(json.dumps(project, indent=1))


def _behaviour(number: int, value: LabelValue) -> dict[str, Any]:
    return {
        "type": "State event",
        "key": str(number + 1),
        "code": value.value,
        "description": f"engagement: {value.replace('_', ' ')}",
        "category": "",
        "modifiers": {},
        "excluded": ",".join(other for other in LabelValue if other != value),
        "coding map": "",
    }


def _observation(coding: Coding, coder: str) -> dict[str, Any]:
    return {
        "type": "LIVE",
        "date": _date(coding),
        "description": f"coder {coder}",
        "file": {},
        "time offset": 0.0,
        "observation time interval": [0, 0],
        "events": _events(coding, coder),
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "close_behaviors_between_videos": False,
        "scan_sampling_time": 0,
        "start_from_current_time": False,
    }


def _events(coding: Coding, coder: str) -> list[list[Any]]:
    """[time, subject, behaviour, modifier, comment]: where a label starts, and where it stops."""
    found: list[list[Any]] = []
    for word in coding.said_by(coder):
        span = coding.span(word)
        found += [
            [milliseconds / 1000, coding.card.participant, word.value, "", comment]
            for milliseconds, comment in ((span.start_ms, word.note), (span.end_ms, ""))
        ]
    return sorted(found, key=lambda event: event[0])


def _date(coding: Coding) -> str:
    return coding.card.start.strftime("%Y-%m-%dT%H:%M:%S")
