"""What the model said of one window, out of a bag of hours."""

from __future__ import annotations

from dataclasses import dataclass

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Level, Modality
from mmal_ros.session.bag_reading import Bag
from mmal_ros.session.card import SessionError
from mmal_ros.session.cdr import CdrError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.message_columns import MISSING, UNKNOWN, estimate_columns
from mmal_ros.session.records import Flag

LATEST_NS = 3 * NANOSECONDS_PER_SECOND
"""An estimate is received soon after the end of its window, or something is wrong."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """One estimate, ready for JSON."""

    level: str | None
    """`low`, `medium`, `high`; None: nothing could be heard."""
    probabilities: list[float]
    """Of low, medium, high."""
    by_modality: dict[str, list[float] | None]
    """The same of each modality alone; None: it could not be heard."""


def opinion_of(folder: SessionFolder, flag: Flag) -> Opinion | None:
    """The estimate that was recorded for a flagged window; None: there is none. Raises SessionError."""
    bag = Bag(folder)
    topic = bag.named("engagement")
    if topic is None:
        return None
    received = bag.read([topic], flag.stamp_ns, flag.stamp_ns + LATEST_NS)[topic]
    try:
        estimates = estimate_columns(received.data)
    except CdrError as error:
        raise SessionError(f"the bag of {folder.name} holds something else than our messages: {error}") from error
    found = estimates[estimates.window_id == flag.window_id]
    if not len(found):
        return None
    level = int(found.level[0])
    return Opinion(
        level=None if level == UNKNOWN else Level(level).name.lower(),
        probabilities=found.probabilities[0].tolist(),
        by_modality={
            modality.value: None if found.status[0, place] == MISSING else found.by_modality[0, place].tolist()
            for place, modality in enumerate(Modality)
        },
    )
