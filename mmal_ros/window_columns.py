"""Many windows at once, one column per field: what a recording is scored in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmal_ros.datatypes import FloatArray, Modality, Window


@dataclass(frozen=True, slots=True, eq=False)
class WindowColumns:
    """N windows; the fields are those of `Window`, N times. All windows know the same modalities."""

    id: Sequence[int]
    end_ns: Sequence[int]
    features: Mapping[Modality, FloatArray]
    """(N, T, D) per modality."""
    mask: Mapping[Modality, FloatArray]
    """(N, T) per modality."""
    coverage: Mapping[Modality, Sequence[float]]
    newest_ns: Mapping[Modality, Sequence[int | None]]
    frames_seen: Mapping[Modality, Sequence[int]]

    @classmethod
    def of(cls, windows: Sequence[Window]) -> WindowColumns:
        """Copies of at least one window."""
        modalities = windows[0].features
        return cls(
            id=[window.id for window in windows],
            end_ns=[window.end_ns for window in windows],
            features={m: np.stack([window.features[m] for window in windows]) for m in modalities},
            mask={m: np.stack([window.mask[m] for window in windows]) for m in modalities},
            coverage={m: [window.coverage[m] for window in windows] for m in modalities},
            newest_ns={m: [window.newest_ns[m] for window in windows] for m in modalities},
            frames_seen={m: [window.frames_seen[m] for window in windows] for m in modalities},
        )
