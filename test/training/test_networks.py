"""What a network says does not change on its way from torch to the runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from mmal_ros.datatypes import Modality
from mmal_ros.features.names import SIZES
from mmal_ros.model_card import OPSET
from mmal_ros.models import Classifier
from mmal_ros.training.export import checked
from mmal_ros.training.export.classifiers import export_classifier
from mmal_ros.training.group.fit import fit, statistics, temperature_of
from mmal_ros.training.group.networks import EngagementLSTM


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = EngagementLSTM(27)
    generator = np.random.default_rng(0)
    network.standardise_by(
        generator.normal(size=27).astype(np.float32), generator.uniform(0.5, 2, 27).astype(np.float32)
    )
    network.temperature.fill_(1.7)
    return network.eval()


def windows(count=64, size=27, seed=0):
    generator = np.random.default_rng(seed)
    levels = generator.integers(3, size=count)
    features = (generator.normal(size=(count, 10, size)) + levels[:, None, None]).astype(np.float32)
    return features, np.ones((count, 10), np.float32), levels


def test_probabilities_are_probabilities_whatever_was_measured(network):
    features, mask, _ = windows()
    features[0] = 1e30
    with torch.no_grad():
        found = network(torch.from_numpy(features), torch.from_numpy(mask)).numpy()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_a_step_that_is_masked_does_not_matter(network):
    features, mask, _ = windows(4)
    mask[:, 3] = 0
    other = features.copy()
    other[:, 3] = 99
    with torch.no_grad():
        first = network(torch.from_numpy(features), torch.from_numpy(mask))
        second = network(torch.from_numpy(other), torch.from_numpy(mask))
    assert torch.equal(first, second)


def test_a_feature_that_never_varied_does_not_blow_up(network):
    network.standardise_by(np.zeros(27, np.float32), np.zeros(27, np.float32))
    assert torch.equal(network.deviation, torch.ones(27))


@pytest.mark.parametrize("size", SIZES.values(), ids=list(map(str, Modality)))
def test_the_runtime_says_what_torch_says(tmp_path, size):
    torch.manual_seed(1)
    network = EngagementLSTM(size)
    export_classifier(network, tmp_path / "it.onnx")
    classifier = Classifier(tmp_path / "it.onnx", size, ["cpu"])
    features, mask, _ = windows(7, size)
    mask[3, 5:] = 0
    with torch.no_grad():
        expected = network(torch.from_numpy(features), torch.from_numpy(mask)).numpy()
    np.testing.assert_allclose(classifier.batch(features, mask), expected, atol=1e-5)
    np.testing.assert_allclose(classifier(features[3], mask[3]), expected[3], atol=1e-5)


def test_the_file_has_the_agreed_names_shapes_and_opset(tmp_path, network):
    export_classifier(network, tmp_path / "it.onnx")
    model = onnx.load(tmp_path / "it.onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"features": ["windows", 10, 27], "mask": ["windows", 10], "probabilities": ["windows", 3]}


def test_a_file_that_computes_something_else_is_not_written(tmp_path, network, monkeypatch):
    monkeypatch.setattr(checked, "TOLERANCE", -1.0)
    with pytest.raises(checked.ExportError, match="differ"):
        export_classifier(network, tmp_path / "it.onnx")
    assert list(tmp_path.iterdir()) == []


def test_it_learns_what_can_be_learned_and_the_same_every_time():
    train, test = windows(512), windows(128, seed=1)
    first, second = fit(train, seed=3), fit(train, seed=3)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with torch.no_grad():
        found = first(torch.from_numpy(test[0]), torch.from_numpy(test[1])).argmax(dim=1).numpy()
    assert (found == test[2]).mean() > 0.9


def test_calibration_takes_back_what_was_too_sure():
    features, mask, levels = windows(1024)
    network = fit((features, mask, levels), seed=3)
    mislabelled = levels.copy()
    mislabelled[::2] = np.random.default_rng(1).integers(3, size=512)  # these people are harder to read

    def too_sure_by() -> float:
        with torch.no_grad():
            sure, found = network(torch.from_numpy(features), torch.from_numpy(mask)).max(dim=1)
        return float(sure.mean()) - (found.numpy() == mislabelled).mean()

    before = too_sure_by()
    with torch.no_grad():
        logits = network.logits(torch.from_numpy(features), torch.from_numpy(mask)).numpy()
    network.temperature.fill_(temperature_of(logits, mislabelled))
    assert before > 0.15
    assert abs(too_sure_by()) < before / 2
    assert network.temperature > 1.2


def test_statistics_leave_out_what_was_not_measured():
    features, mask, _ = windows(8)
    features[2:] = 1e6
    mask[2:] = 0
    mean, deviation = statistics(features, mask)
    np.testing.assert_allclose(mean, features[:2].reshape(-1, 27).mean(axis=0), rtol=1e-5)
    assert deviation.max() < 10
