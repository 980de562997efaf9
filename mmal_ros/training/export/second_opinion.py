"""From a person's trees to the ONNX file that `second_opinion.SecondOpinion` loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import ExtraTreesClassifier

from mmal_ros.datatypes import FloatArray
from mmal_ros.files import replacing
from mmal_ros.model_card import OPSET
from mmal_ros.onnx_session import open_session
from mmal_ros.second_opinion import PROBABILITIES, VECTOR
from mmal_ros.training.export.checked import check

TREES_OPSET = 3
"""Of the domain ai.onnx.ml, the one that belongs to opset 17."""
CHECKED = 64
"""Windows on which the file is compared with the trees."""


def export_second_opinion(trees: ExtraTreesClassifier, path: Path) -> None:
    """Write the trees to `path` as ONNX: input `vector` (N, E), output `probabilities` (N, 3), any number of windows.

    Args:
        trees: as `personalise` grows them, with all three classes.
        path: the file.

    Raises:
        ExportError: probabilities differ by more than 1e-5 from scikit-learn's.
    """
    with replacing(path) as scratch:
        scratch.write_bytes(_converted(trees).SerializeToString())
        check(path, largest_trees_difference(trees, scratch))


def largest_trees_difference(trees: ExtraTreesClassifier, path: Path) -> float:
    """Largest difference of a probability between scikit-learn and the file."""
    vectors = _on_the_edge(trees)
    session = open_session(path)
    (found,) = session.run([PROBABILITIES], {VECTOR: vectors})
    return float(np.abs(found - trees.predict_proba(vectors)).max())


def _on_the_edge(trees: ExtraTreesClassifier) -> FloatArray:
    """Windows whose features stand exactly where the trees split them: there a wrong rounding shows."""
    grown = [estimator.tree_ for estimator in trees.estimators_]
    features = np.concatenate([tree.feature for tree in grown])  # negative: a leaf
    edges = np.concatenate([tree.threshold for tree in grown])
    random = np.random.default_rng(0)
    vectors = np.zeros((CHECKED, trees.n_features_in_), np.float32)
    for feature in np.unique(features[features >= 0]):
        vectors[:, feature] = random.choice(edges[features == feature], CHECKED)
    return vectors


def _converted(trees: ExtraTreesClassifier) -> onnx.ModelProto:
    model = to_onnx(
        trees,
        initial_types=[(VECTOR, FloatTensorType([None, trees.n_features_in_]))],
        options={"zipmap": False},  # an array, no list of dictionaries
        target_opset={"": OPSET, "ai.onnx.ml": TREES_OPSET},
    )
    outputs = [output for output in model.graph.output if output.name == PROBABILITIES]
    del model.graph.output[:]  # the likeliest class of the trees alone, besides
    model.graph.output.extend(outputs)
    return model
