"""A launched graph that records, whose clock can be set, and somebody who hears estimates and diagnostics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmal_msgs.msg import Engagement
from mmal_ros.datatypes import Modality
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, SESSION_STATUS
from rigs.estimates import counts
from rigs.launched import Launched
from rigs.room import room
from rigs.ros import Participant, message_of, participant
from rigs.stepped_clock import SteppedClock

PARTICIPANT = "P017"


@dataclass
class WatchedLaunch:
    graph: Launched
    ros: Participant
    clock: SteppedClock

    @property
    def estimates(self) -> list[Engagement]:
        return self.ros.heard[ENGAGEMENT.name]

    @property
    def reports(self) -> list:
        """The newest diagnostics of engagement_node."""
        arrays = self.ros.heard[DIAGNOSTICS.name][-20:]
        return [a for a in arrays if a.status and "/engagement_node: " in a.status[0].name]

    def said(self, part: str) -> str:
        """What engagement_node says of a part now."""
        return message_of(self.reports, part)

    def hears(self, *modalities: Modality) -> bool:
        return counts(self.estimates, *modalities)


@contextmanager
def watched_launch(home: Path, folder: Path, **arguments: str) -> Iterator[WatchedLaunch]:
    """Somebody in a room, unless the arguments name other sensors; `folder` is for the logs."""
    clock = SteppedClock(folder)
    with pytest.MonkeyPatch.context() as patch, participant() as ros:
        patch.setenv("MMAL_HOME", str(home))
        for topic in (ENGAGEMENT, DIAGNOSTICS, SESSION_STATUS):
            ros.listen(topic)
        with (
            room(ros) as devices,
            Launched(folder, clock.environment, record=PARTICIPANT, **devices | arguments) as graph,
        ):
            yield WatchedLaunch(graph, ros, clock)
