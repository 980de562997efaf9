"""FACE and BODY from one camera: the face in every image, the body, which costs five times as much, in some."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Modality, Sample
from mmal_ros.features import body, face
from mmal_ros.features.action_units import CALIBRATION_S

LONGEST_GAP_NS = NANOSECONDS_PER_SECOND
"""After a longer gap everybody may sit elsewhere: the trackers start afresh."""
LONGEST_WITHOUT_POSE_NS = 300_000_000
"""A window bridges no longer gap (`windowing.HOLD_STEPS`): a slow camera is looked at for the pose more often."""


class VisionExtractor:
    """`Extractor` of the source `camera`; one camera, and one person at a time."""

    feature_sets = {Modality.FACE: face.FEATURE_SET, Modality.BODY: body.FEATURE_SET}  # noqa: RUF012 (of the protocol)

    def __init__(self, pose_every: int = 2, calibration_s: float = CALIBRATION_S, focal_lengths: float = 1.0) -> None:
        """Load the models (a second).

        Args:
            pose_every: the body is looked for in every so-manieth image, 1: in each; and whenever the next image
                would come too late for a window to bridge the gap.
            calibration_s: how long the neutral face is learnt (`action_units`).
            focal_lengths: of the camera, in image widths (`head_pose.Lens.assumed`).
        """
        # OpenCV would start a thread per core for images that one handles in a fraction of a millisecond, and take
        # the cores from MediaPipe. This holds for the process.
        cv2.setNumThreads(1)
        self._face = face.FaceExtractor(calibration_s, focal_lengths)
        self._body = body.BodyExtractor()
        self._pose_every = pose_every
        self._images_since_pose = 0
        self._pose_ns: int | None = None
        self._last: Sample | None = None
        self._somebody_else = threading.Event()
        self._warm_up()

    def process(self, sample: Sample) -> Iterator[FeatureFrame]:
        """FACE first, so that it can be used before BODY is computed. Iterate to the end, or BODY is skipped.

        Raises:
            ValueError: the sample is not an (H, W, 3) image of uint8.
        """
        if sample.source != "camera":
            return
        image = _rgb(sample)
        if self._somebody_else.is_set():
            self._somebody_else.clear()
            self._face.forget_person()
        if self._last is not None and _is_cut(self._last, sample):
            self._restart()
        pose_is_due = self._is_pose_due(sample.stamp_ns)
        self._last = sample
        yield self._face.extract(sample.stamp_ns, image)
        if pose_is_due:
            yield self._body.extract(sample.stamp_ns, image)

    def expect_somebody_else(self) -> None:
        """From the next image on it is another person, whose neutral face is learnt; callable from any thread."""
        self._somebody_else.set()

    def close(self) -> None:
        """Release MediaPipe's graphs."""
        self._face.close()
        self._body.close()

    def _warm_up(self) -> None:
        """Show both models a black picture: they load when first asked, and the first real one would wait 0.4 s."""
        black = np.zeros((480, 640, 3), np.uint8)
        self._face.extract(0, black)
        self._body.extract(0, black)

    def _restart(self) -> None:
        self._face.reset()
        self._body.reset()
        self._last = self._pose_ns = None

    def _is_pose_due(self, stamp_ns: int) -> bool:
        """Whether it is this image's turn, or the next one will come too late, at the pace of the last two."""
        self._images_since_pose += 1
        if self._last is not None and self._pose_ns is not None and self._images_since_pose < self._pose_every:
            next_ns = stamp_ns + (stamp_ns - self._last.stamp_ns)
            if next_ns - self._pose_ns <= LONGEST_WITHOUT_POSE_NS:
                return False
        self._images_since_pose = 0
        self._pose_ns = stamp_ns
        return True


def _is_cut(last: Sample, sample: Sample) -> bool:
    """Whether the picture cannot be the continuation of the last one."""
    return abs(sample.stamp_ns - last.stamp_ns) > LONGEST_GAP_NS or sample.values.shape != last.values.shape


def _rgb(sample: Sample) -> NDArray[np.uint8]:
    image = sample.values
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected an image (height, width, 3) of uint8, got {image.shape} of {image.dtype}")
    converted: NDArray[np.uint8] = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB)
    converted.flags.writeable = False  # MediaPipe then takes it without a copy
    return converted
