"""Windows are compared by numbers in which every modality has its say and none can shout."""

from __future__ import annotations

import numpy as np

from mmal_ros.datatypes import Modality
from mmal_ros.window_vectors import FARTHEST, Scale, window_vectors

FACE, AUDIO = Modality.FACE, Modality.AUDIO


def scale(**sizes: int) -> Scale:
    """Features that are standardised already."""
    return Scale(
        {Modality(name): np.zeros(size, np.float32) for name, size in sizes.items()},
        {Modality(name): np.ones(size, np.float32) for name, size in sizes.items()},
    )


def test_the_mean_of_the_known_steps_in_deviations_from_the_mean() -> None:
    """Steps of 10 and 14 around a mean of 8 in deviations of 2; the unknown step counts for nothing."""
    features = {FACE: np.array([[[10], [14], [0]]], np.float32)}
    mask = {FACE: np.array([[1, 1, 0]], np.float32)}
    found = window_vectors(features, mask, Scale({FACE: np.float32([8])}, {FACE: np.float32([2])}))
    np.testing.assert_allclose(found, [[2]])
    assert found.dtype == np.float32


def test_a_modality_that_is_not_heard_stands_at_the_mean() -> None:
    """One known step of four is too few, two are enough: the rule of the live graph. Nobody is divided by zero."""
    mask = {FACE: np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]], np.float32)}
    features = {FACE: np.full((3, 4, 2), 4, np.float32) * mask[FACE][..., None]}
    found = window_vectors(features, mask, scale(face=2))
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [4 / np.sqrt(2)] * 2])


def test_each_modality_has_the_same_say_in_a_distance() -> None:
    """One feature of the voice that is two deviations off weighs as much as 257 of the face that are."""
    quiet = {FACE: np.zeros((1, 2, 257), np.float32), AUDIO: np.zeros((1, 2, 1), np.float32)}
    mask = {FACE: np.ones((1, 2), np.float32), AUDIO: np.ones((1, 2), np.float32)}
    of_face = window_vectors(quiet | {FACE: quiet[FACE] + 2}, mask, scale(face=257, audio=1))
    of_voice = window_vectors(quiet | {AUDIO: quiet[AUDIO] + 2}, mask, scale(face=257, audio=1))
    assert of_face.shape == (1, 258)
    np.testing.assert_allclose([np.linalg.norm(of_face), np.linalg.norm(of_voice)], 2, rtol=1e-5)


def test_a_broken_measurement_does_not_make_a_window_unlike_all_others() -> None:
    features = {FACE: np.array([[[1e6]], [[-1e6]]], np.float32)}
    mask = {FACE: np.ones((2, 1), np.float32)}
    np.testing.assert_array_equal(window_vectors(features, mask, scale(face=1)), [[FARTHEST], [-FARTHEST]])


def test_numbers_stand_modality_after_modality_as_the_scale_has_them() -> None:
    features = {AUDIO: np.full((1, 1, 1), 1, np.float32), FACE: np.full((1, 1, 1), 2, np.float32)}
    mask = {m: np.ones((1, 1), np.float32) for m in features}
    np.testing.assert_array_equal(window_vectors(features, mask, scale(face=1, audio=1)), [[2, 1]])
    np.testing.assert_array_equal(window_vectors(features, mask, scale(audio=1, face=1)), [[1, 2]])


def test_a_window_has_the_same_vector_in_any_company() -> None:
    random = np.random.default_rng(0)
    mask = {FACE: random.integers(2, size=(9, 10)).astype(np.float32)}
    features = {FACE: random.normal(size=(9, 10, 257)).astype(np.float32) * mask[FACE][..., None]}
    together = window_vectors(features, mask, scale(face=257))
    alone = [
        window_vectors({FACE: features[FACE][i : i + 1]}, {FACE: mask[FACE][i : i + 1]}, scale(face=257))
        for i in range(9)
    ]
    np.testing.assert_array_equal(np.concatenate(alone), together)
