"""Action units as geometric proxies: how far brows, lids, lips and jaw stand from the person's own neutral face.

These are proxies, not FACS codes; nobody has coded them and nobody may take them for codes. Brows (1, 2), lip corners
(12, 15, 20), lips apart (25), jaw (26) and blink (45) respond; 4, 5, 6, 9, 10, 17 and 23 hardly, and there is
cross-talk: a smile raises 6, a wide mouth 20, speech 17. Nothing measures 7, 14 and 28: they stay 0.

The neutral face is the median of the first seconds in which the person faces the camera, frozen from then on. Somebody
who talks or blinks meanwhile does no harm, somebody who smiles all the time has a smiling neutral.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.features.face_landmarks import MESH_OF_LANDMARK, RIGID, DoubleArray, fit_similarity
from mmal_ros.features.names import ACTION_UNITS, ACTION_UNITS_PRESENCE

CALIBRATION_S = 3.0
MOST_OFF_AXIS = 0.5
"""Radians (30 degrees): a face that is turned further away does not count for the calibration."""
LONGEST_FRAME_S = 0.2
"""No single image counts for more time than this, however long nothing came before it."""
MOST_INTENSITY = 5.0
PRESENT = 1.0
"""Intensity from which a unit counts as present: FACS level A, a trace."""

_RIGID_MESH = [MESH_OF_LANDMARK[landmark] for landmark in RIGID]


class NeutralFace:
    """Learns the neutral face of one person from the first images, then stays as it is."""

    def __init__(self, calibration_s: float = CALIBRATION_S) -> None:
        self._remaining_ns = round(calibration_s * NANOSECONDS_PER_SECOND)
        self._faces: list[DoubleArray] = []
        self._last_ns: int | None = None
        self._neutral: DoubleArray | None = None

    @property
    def is_known(self) -> bool:
        """Whether the calibration is over."""
        return self._neutral is not None

    def learn(self, stamp_ns: int, face: DoubleArray, off_axis: float) -> None:
        """Take an image in.

        Args:
            stamp_ns: of the image.
            face: (478, 3) mm, in head coordinates.
            off_axis: radians between where the head points and the camera.
        """
        since_ns = 0 if self._last_ns is None else max(0, stamp_ns - self._last_ns)  # the clock may be set back
        self._last_ns = stamp_ns
        if self.is_known or off_axis > MOST_OFF_AXIS:
            return
        self._faces.append(face)
        self._remaining_ns -= min(since_ns, round(LONGEST_FRAME_S * NANOSECONDS_PER_SECOND))
        if self._remaining_ns <= 0:
            self._neutral = np.median(self._faces, axis=0)
            self._faces.clear()

    def intensities(self, face: DoubleArray) -> DoubleArray:
        """(17,) 0-5 in the order of `names.ACTION_UNITS`; zeros while the neutral face is not known."""
        if self._neutral is None:
            return np.zeros(len(ACTION_UNITS))
        aligned = fit_similarity(face[_RIGID_MESH], self._neutral[_RIGID_MESH]).apply(face)
        change = FaceShape(*np.subtract(_shape(aligned), _shape(self._neutral)))
        proxies = _proxies(change)
        return np.array([np.clip(MOST_INTENSITY * proxies.get(unit, 0), 0, MOST_INTENSITY) for unit in ACTION_UNITS])


def presences(intensities: DoubleArray) -> DoubleArray:
    """(18,) 0 or 1 in the order of `names.ACTION_UNITS_PRESENCE`."""
    by_unit = dict(zip(ACTION_UNITS, intensities, strict=True))
    return np.array([float(by_unit.get(unit, 0) >= PRESENT) for unit in ACTION_UNITS_PRESENCE])


class FaceShape(NamedTuple):
    """Distances in a face, in mm of the mean head; heights are above the corners of the eyes."""

    inner_brow: float
    outer_brow: float
    brow_gap: float
    upper_lid: float
    lower_lid: float
    eye_opening: float
    cheek: float
    nostril: float
    upper_lip: float
    mouth_corner: float
    mouth_width: float
    lip_gap: float
    lip_thickness: float
    chin_boss: float
    """From the lower lip to the chin."""
    jaw_drop: float
    """From the nose to the chin."""


def _shape(face: DoubleArray) -> FaceShape:
    """The numbers are points of MediaPipe's mesh, right and left."""
    eyes = face[[33, 133, 362, 263], 1].mean()

    def height(*points: int) -> float:
        return float(eyes - face[list(points), 1].mean())

    def distance(one: int, other: int) -> float:
        return float(np.linalg.norm(face[one] - face[other]))

    return FaceShape(
        inner_brow=height(55, 107, 285, 336),
        outer_brow=height(46, 70, 276, 300),
        brow_gap=distance(55, 285),
        upper_lid=height(159, 386),
        lower_lid=height(145, 374),
        eye_opening=(distance(159, 145) + distance(386, 374)) / 2,
        cheek=height(50, 280),
        nostril=height(98, 327),
        upper_lip=height(0),
        mouth_corner=height(61, 291),
        mouth_width=distance(61, 291),
        lip_gap=distance(13, 14),
        lip_thickness=(distance(0, 13) + distance(14, 17)) / 2,
        chin_boss=distance(17, 152),
        jaw_drop=distance(1, 152),
    )


def _proxies(change: FaceShape) -> dict[str, float]:
    """Share of the full scale per unit. The divisors are millimetres at which a strong expression of an adult ends."""
    return {
        "AU01": change.inner_brow / 10,
        "AU02": change.outer_brow / 10,
        "AU04": -(change.inner_brow + change.brow_gap) / 14,
        "AU05": change.upper_lid / 4,
        "AU06": (change.cheek + change.lower_lid) / 10,
        "AU09": change.nostril / 5,
        "AU10": change.upper_lip / 5,
        "AU12": (change.mouth_width + change.mouth_corner) / 24,
        "AU15": -change.mouth_corner / 7,
        "AU17": -change.chin_boss / 7,
        "AU20": (change.mouth_width - max(0.0, change.mouth_corner)) / 10,
        "AU23": -change.lip_thickness / 5,
        "AU25": change.lip_gap / 10,
        "AU26": change.jaw_drop / 18,
        "AU45": -change.eye_opening / 7,
    }
