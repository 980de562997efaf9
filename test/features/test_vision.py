"""One camera, two modalities: which images are looked at, and that nothing but the images decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmal_ros.datatypes import FeatureFrame, Modality, Sample
from mmal_ros.features.names import FEATURE_SETS, SIZES
from mmal_ros.features.vision import VisionExtractor

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 40_000_000


@pytest.fixture(scope="module")
def clip(shared_data: Path) -> list[Sample]:
    video = cv2.VideoCapture(str(shared_data / "grid-av-clips" / "lbax4n.mpg"))
    samples = []
    while len(samples) < 40 and (read := video.read())[0]:
        samples.append(Sample("camera", START_NS + len(samples) * FRAME_NS, read[1], 25.0))
    return samples


def frames_of(samples: Sequence[Sample], **options: float) -> list[FeatureFrame]:
    extractor = VisionExtractor(calibration_s=1.0, **options)  # type: ignore[arg-type]
    frames = [frame for sample in samples for frame in extractor.process(sample)]
    extractor.close()
    return frames


def assert_same(frames: Sequence[FeatureFrame], others: Sequence[FeatureFrame]) -> None:
    assert len(frames) == len(others)
    for frame, other in zip(frames, others, strict=True):
        np.testing.assert_array_equal(frame.values, other.values)
        assert (frame.modality, frame.stamp_ns, frame.valid) == (other.modality, other.stamp_ns, other.valid)
        assert frame.confidence == other.confidence


@pytest.fixture(scope="module")
def frames(clip: list[Sample]) -> list[FeatureFrame]:
    return frames_of(clip)


def test_a_face_in_every_image_and_a_body_in_every_second(clip: list[Sample], frames: list[FeatureFrame]) -> None:
    faces = [frame.stamp_ns for frame in frames if frame.modality is Modality.FACE]
    bodies = [frame.stamp_ns for frame in frames if frame.modality is Modality.BODY]
    assert faces == [sample.stamp_ns for sample in clip]
    assert bodies == faces[::2]
    assert all(frame.valid for frame in frames)
    assert [frame.modality for frame in frames[:2]] == [Modality.FACE, Modality.BODY]


@pytest.mark.parametrize(("every_nth", "pose_in"), [(2, 3), (3, 2), (4, 1), (8, 1)])
def test_a_slow_camera_is_looked_at_for_the_body_more_often(clip: list[Sample], every_nth: int, pose_in: int) -> None:
    """Every third picture where that is soon enough: 300 ms are bridged, and pictures come 40 ms times n apart."""
    slow = frames_of(clip[::every_nth], pose_every=3)
    faces = [frame.stamp_ns for frame in slow if frame.modality is Modality.FACE]
    assert [frame.stamp_ns for frame in slow if frame.modality is Modality.BODY] == faces[::pose_in]


def test_frames_are_what_their_feature_set_says(frames: list[FeatureFrame]) -> None:
    for frame in frames:
        assert frame.feature_set == VisionExtractor.feature_sets[frame.modality]
        assert FEATURE_SETS[frame.feature_set][0] is frame.modality
        assert frame.values.shape == (SIZES[frame.modality],)
        assert frame.values.dtype == np.float32
        assert np.isfinite(frame.values).all()
        assert 0 <= frame.confidence <= 1


def test_the_same_clip_gives_the_same_frames(clip: list[Sample], frames: list[FeatureFrame]) -> None:
    assert_same(frames_of(clip), frames)


def test_what_comes_later_changes_nothing(clip: list[Sample], frames: list[FeatureFrame]) -> None:
    start = frames_of(clip[:10])
    assert_same(start, frames[: len(start)])


def test_the_face_is_there_before_the_body_is_looked_for(clip: list[Sample]) -> None:
    extractor = VisionExtractor()
    running = iter(extractor.process(clip[0]))
    assert next(running).modality is Modality.FACE
    extractor._body.close()  # were it looked for already, this would come too late
    with pytest.raises(AttributeError):
        next(running)
    extractor.close()
    extractor.close()


@pytest.mark.parametrize("cut", ["gap", "back in time", "other size"])
def test_after_a_cut_nothing_is_carried_over(clip: list[Sample], cut: str) -> None:
    before, after = clip[:7], clip[34:40]
    shift_ns = {"gap": 0, "back in time": -60 * FRAME_NS, "other size": -27 * FRAME_NS}[cut]
    after = [replace(sample, stamp_ns=sample.stamp_ns + shift_ns) for sample in after]
    if cut == "other size":
        after = [replace(sample, values=cv2.resize(sample.values, (640, 480))) for sample in after]  # type: ignore[call-overload]
    fresh = frames_of(after)
    assert_same(frames_of([*before, *after])[-len(fresh) :], fresh)


def test_without_a_cut_the_tracker_remembers(clip: list[Sample]) -> None:
    """The counterpart of the test above: were this equal too, that one would show nothing."""
    fresh = frames_of(clip[7:10])
    carried_on = frames_of(clip[:10])[-len(fresh) :]
    assert any(not np.array_equal(a.values, b.values) for a, b in zip(fresh, carried_on, strict=True))


def test_other_sensors_are_none_of_its_business() -> None:
    assert frames_of([Sample("eda", START_NS, np.zeros(4, np.float32), 4.0)]) == []


@pytest.mark.parametrize(
    "image", [np.zeros((48, 64), np.uint8), np.zeros((48, 64, 4), np.uint8), np.zeros((48, 64, 3), np.float32)]
)
def test_an_image_of_another_kind_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected an image \(height, width, 3\) of uint8"):
        frames_of([Sample("camera", START_NS, image, 0.0)])


def test_somebody_else_has_another_neutral_face(clip: list[Sample]) -> None:
    """Until it is known the confidence is halved; a second later it is."""
    extractor = VisionExtractor(calibration_s=0.2)
    list(extractor.process(clip[0]))  # the first image has no length

    def confidence(samples: Sequence[Sample]) -> float:
        faces = [frame for sample in samples for frame in extractor.process(sample) if frame.modality is Modality.FACE]
        return faces[-1].confidence

    known = confidence(clip[1:10])
    extractor.expect_somebody_else()
    assert confidence(clip[10:11]) < 0.6 * known
    assert confidence(clip[11:25]) > 0.9 * known
    extractor.close()
