"""What the adapters say when something is wrong: one error, one way to guess what was meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mmal_ros import wording
from mmal_ros.features.importers.errors import FeatureFileError
from mmal_ros.features.recording import RecordingError
from mmal_ros.sensors.source import SourceError
from mmal_ros.training.people import DataError


def meant(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: what there is, and which of it was probably meant."""
    there = list(dict.fromkeys(known))
    return "; ".join(filter(None, (f"there is {', '.join(there) or 'nothing'}", wording.meant(word, there))))


@contextmanager
def as_data_error() -> Iterator[None]:
    """What a reader refuses is refused as data; its message names the place already."""
    try:
        yield
    except (FeatureFileError, RecordingError, SourceError) as error:
        raise DataError(str(error)) from error
