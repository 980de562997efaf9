"""A portrait that can move: one photograph, bent by displacement fields, before a plain wall.

The photograph is scikit-image's `data.astronaut` (Eileen Collins, NASA, public domain). What a face or a head can do
is a table of smooth displacement fields over the photograph, weighted by the posture and added up, so one frame costs
two small remaps, one affine warp and one blend: about 3 ms on one core.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from mmal_ros.sensors.synthetic.person import Person
from mmal_ros.sensors.synthetic.posture import Posture

Image = NDArray[np.uint8]
Point = tuple[float, float]
Field = NDArray[np.float32]
"""(2, H, W): how far, in pixels of the photograph, a point moves to the right and down."""

OUTLINE = (
    (201, 23), (185, 38), (163, 51), (153, 68), (155, 98), (175, 121), (183, 134), (185, 148), (153, 151), (131, 167),
    (121, 183),
    (120, 201), (113, 202), (90, 227), (65, 246), (44, 282), (26, 342), (26, 366), (21, 386), (20, 419), (24, 432),
    (23, 460), (27, 495), (22, 500), (23, 511), (504, 511), (504, 456), (495, 452), (493, 421), (478, 384), (455, 361),
    (418, 345), (364, 348), (360, 344), (352, 286), (347, 282), (340, 262), (303, 233), (292, 207), (264, 178),
    (254, 166), (256, 152), (263, 138), (275, 134), (290, 117), (300, 92), (296, 58), (288, 43), (276, 31), (248, 18),
    (227, 16),
)  # fmt: skip
"""The person in the photograph, x and y in pixels: cv2.grabCut, simplified by cv2.approxPolyDP to 2.5 pixels."""
PORTRAIT_SIZE = 512
BELOW_PX = 40
"""Rows added below the photograph, so that its edge stays out of the picture when the person leans."""
HEAD = (slice(0, 256), slice(96, 356))
"""Rows and columns that move with the head."""
FACE = (slice(60, 204), slice(160, 286))
"""Rows and columns that move with the expression."""
NECK = (226.0, 195.0)
NOSE = (224.0, 122.0)
# Places in the photograph, as MediaPipe's face mesh finds them.
PUPILS = ((203.5, 101.0), (246.6, 103.0))
UPPER_LIDS = ((203.0, 97.5), (247.5, 99.5))
BROWS = ((203.0, 89.0), (249.0, 91.0))
MOUTH_CORNERS = ((201.8, 139.2), (245.0, 141.0))
MOUTH = (223.0, 146.5)
MOUTH_INSIDE_BGR = (20, 18, 60)
HEAD_HEIGHT_PX = 160
"""Rows from the upper edge of a picture 480 high to the resting head."""
DEPTH_PX = 70.0
"""The nose before the axis on which the head turns."""
JAW_PX = 9.0


class Portrait:
    """Draws one person in any posture."""

    def __init__(self, person: Person, size: tuple[int, int]) -> None:
        """`size` is (width, height) of the pictures in pixels."""
        self._person = person
        self._size = size
        self._figure = _cut_out()
        self._wall = _wall(person, size)
        self._face = _Bender(FACE, _expression_fields(FACE))
        self._head = _Bender(HEAD, _head_fields(HEAD))
        self._inside = _mouth_inside(FACE)

    def draw(self, posture: Posture) -> Image:
        """(H, W, 3) BGR."""
        side = -1 if self._person.mirrored else 1  # the photograph is bent before it is mirrored
        return self._place(posture, self._bend(posture, side))

    def _bend(self, posture: Posture, side: int) -> Image:
        figure = self._figure.copy()
        face = self._face.bend(
            figure,
            (side * posture.gaze_x, posture.gaze_y, posture.blink, posture.brows, posture.smile, posture.jaw),
        )
        figure[FACE] = self._open_mouth(face, posture.jaw)
        turn, nod, tilt = np.radians((side * posture.turn_deg, posture.nod_deg, side * posture.tilt_deg))
        figure[HEAD] = self._head.bend(figure, (float(np.sin(turn)), float(np.sin(nod)), float(tilt)))
        return figure

    def _open_mouth(self, face: Image, jaw: float) -> Image:
        if jaw <= 0:
            return face
        weight = self._inside * jaw
        blended = face[..., :3] * (1 - weight) + np.array(MOUTH_INSIDE_BGR, np.float32) * weight
        face[..., :3] = blended.astype(np.uint8)
        return face

    def _place(self, posture: Posture, figure: Image) -> Image:
        """Put the figure before the wall, the middle of the trunk at the middle of the picture's lower edge."""
        width, height = self._size
        pixels = height / 480  # postures are in pixels of a picture 480 high
        scale = self._person.size * posture.nearness * pixels
        matrix = cv2.getRotationMatrix2D((226, 430), -posture.sway_deg, scale)
        matrix[0, 2] += width / 2 - 226 + (self._person.place_px + posture.shift_px) * pixels
        matrix[1, 2] += (HEAD_HEIGHT_PX + 315 * self._person.size + posture.slump_px) * pixels - 430
        if self._person.mirrored:
            matrix = matrix @ np.array([[-1, 0, 2 * 226], [0, 1, 0], [0, 0, 1]], dtype=np.float64)
        placed = cv2.warpAffine(figure, matrix, self._size, flags=cv2.INTER_LINEAR)
        alpha = cv2.extractChannel(placed, 3)
        behind = cv2.multiply(self._wall, cv2.bitwise_not(cv2.merge((alpha, alpha, alpha))), scale=1 / 255)
        picture: Image = cv2.add(cv2.cvtColor(placed, cv2.COLOR_BGRA2BGR), behind)
        return picture


class _Bender:
    """Bends one rectangle of an image by a weighted sum of fields."""

    def __init__(self, area: tuple[slice, slice], fields: Sequence[Field]) -> None:
        self._area = area
        height, width = fields[0].shape[1:]
        self._identity = np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32).ravel()
        self._fields = np.stack([field.ravel() for field in fields])
        self._shape = fields[0].shape

    def bend(self, image: Image, weights: tuple[float, ...]) -> Image:
        """The rectangle, bent; weights in the order of the fields."""
        origins = self._identity - np.array(weights, np.float32) @ self._fields
        across, down = origins.reshape(self._shape)
        bent: Image = cv2.remap(image[self._area], across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return bent


def _expression_fields(area: tuple[slice, slice]) -> list[Field]:
    """Gaze right, gaze up, blink, brows up, smile, jaw; each at full strength."""
    x, y = _grid(area)
    return [
        _bumps(x, y, PUPILS, (6.5, 5.0), (3.6, 0.0)),
        _bumps(x, y, PUPILS, (7.0, 4.0), (0.0, -1.8)),
        _bumps(x, y, UPPER_LIDS, (9.0, 4.5), (0.0, 5.5)),
        _bumps(x, y, BROWS, (13.0, 7.0), (0.0, -5.0)),
        _bumps(x, y, MOUTH_CORNERS[:1], (10.0, 9.0), (-4.0, -4.5))
        + _bumps(x, y, MOUTH_CORNERS[1:], (10.0, 9.0), (4.0, -4.5)),
        _jaw_field(x, y),
    ]


def _jaw_field(x: Field, y: Field) -> Field:
    """Everything from the lower lip to the chin goes down; the neck stays."""
    down = _step((y - MOUTH[1] + 2) / 6) * (1 - _step((y - 165) / 36))
    across = np.exp(-(((x - MOUTH[0]) / 26) ** 2))
    field: Field = np.stack([np.zeros_like(x), JAW_PX * down * across])
    return field


def _head_fields(area: tuple[slice, slice]) -> list[Field]:
    """Turn right and nod by the sine of the angle, as parallax of a rounded head; tilt per radian about the neck."""
    x, y = _grid(area)
    depth = DEPTH_PX * _mound(((x - NOSE[0]) / 98) ** 2 + ((y - NOSE[1]) / 125) ** 2)
    rigid = _mound(((x - NOSE[0]) / 128) ** 2 + ((y - 100) / 155) ** 2)
    still = np.zeros_like(depth)
    return [
        np.stack([depth, still]),
        np.stack([still, depth]),
        np.stack([-(y - NECK[1]) * rigid, (x - NECK[0]) * rigid]),
    ]


def _mouth_inside(area: tuple[slice, slice]) -> Field:
    """(H, W, 1) 0-1: the dark between the teeth and the lowered lip of a mouth wide open."""
    x, y = _grid(area)
    middle = MOUTH[1] + 0.55 * JAW_PX
    radius = ((x - MOUTH[0]) / 15) ** 2 + ((y - middle) / (0.62 * JAW_PX)) ** 2
    inside: Field = 1 - _step((radius - 0.55) / 0.6)
    return inside[..., np.newaxis]


def _grid(area: tuple[slice, slice]) -> tuple[Field, Field]:
    rows, columns = area
    x, y = np.meshgrid(np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop))
    return x.astype(np.float32), y.astype(np.float32)


def _bumps(x: Field, y: Field, centres: Sequence[Point], spread: Point, shift: Point) -> Field:
    """What is near the `centres` moves by `shift`: Gaussians of these deviations across and down."""
    weight = np.zeros_like(x)
    for centre in centres:
        weight += np.exp(-0.5 * (((x - centre[0]) / spread[0]) ** 2 + ((y - centre[1]) / spread[1]) ** 2))
    return np.stack([shift[0] * weight, shift[1] * weight])


def _mound(radius_squared: Field) -> Field:
    """1 in the middle, 0 with slope 0 from radius 1 on."""
    height: Field = np.clip(1 - radius_squared, 0, None)
    return height * height


def _step(share: Field) -> Field:
    """Smoothstep: 0 below 0, 1 above 1."""
    inside: Field = np.clip(share, 0, 1)
    step: Field = inside * inside * (3 - 2 * inside)
    return step


def _cut_out() -> Image:
    """(H, W, 4) the person with premultiplied alpha, extended downwards."""
    photograph = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    mask = np.zeros(photograph.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.array(OUTLINE, np.int32)], 255)
    mask = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (0, 0), 1.2)
    colour = cv2.multiply(photograph, cv2.merge((mask, mask, mask)), scale=1 / 255)
    figure: Image = cv2.merge((*cv2.split(colour), mask))
    figure = cv2.copyMakeBorder(figure, 0, BELOW_PX, 0, 0, cv2.BORDER_REPLICATE)
    figure[:, -4:] = 0  # nothing may smear beyond the right edge
    return figure


def _wall(person: Person, size: tuple[int, int]) -> Image:
    """A wall in the person's colour, lit from the upper left."""
    width, height = size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    light = 1.02 - 0.1 * x - 0.12 * y - 0.05 * (x * x + y * y)
    wall: Image = np.clip(light[..., np.newaxis] * np.array(person.wall_bgr), 0, 255).astype(np.uint8)
    return wall
