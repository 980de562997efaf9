"""A session as other tools see it: what is flagged, and who said what of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from mmal_ros.session.card import SessionCard
from mmal_ros.session.exchange.spans import Span, window_span
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Flag, Label
from mmal_ros.session.store import SessionStore


@dataclass(frozen=True, slots=True)
class Coding:
    """The coded part of a session, in the order of time."""

    folder: SessionFolder
    card: SessionCard
    flags: tuple[Flag, ...]
    labels: tuple[Label, ...]
    """The standing ones."""
    coders: tuple[str, ...]
    """Their codes, in the order of the alphabet; also of one who has yet to begin."""

    @classmethod
    def of(cls, folder: SessionFolder, coder: str | None = None) -> Self:
        """Read a session; with a coder, only what this one said. Raises SessionError."""
        with SessionStore(folder.labels) as store:
            flags, labels = store.flags(), store.standing_labels()
        said = tuple(label for label in labels if coder in (None, label.annotator))
        coders = {coder} if coder else {label.annotator for label in said}
        return cls(folder, folder.card(), tuple(flags), said, tuple(sorted(coders)))

    def span(self, record: Flag | Label) -> Span:
        """When the window of a flag or label is."""
        return window_span(record.stamp_ns, self.card.start_ns)

    def said_by(self, coder: str) -> list[Label]:
        """What one coder says, in the order of time."""
        return [label for label in self.labels if label.annotator == coder]
