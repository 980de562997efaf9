"""A model set is loaded as one thing or refused as one thing, with the reason."""

from __future__ import annotations

import errno
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mmal_ros.datatypes import STEPS_PER_WINDOW, Modality
from mmal_ros.features.names import SIZES
from mmal_ros.model_card import ModelError, make_current, read_card, readable
from mmal_ros.models import PROVIDERS, load_model_set, resolve_version
from mmal_ros.onnx_session import CPU, open_session
from mmal_ros.paths import find_model
from rigs.gpu import LostGpu
from rigs.model_sets import CHOSEN_SETS, DAMAGES, edit_card, put_on_a_failing_disk, write_model_set

REASONS = {
    "no card": ["is no model set", "model.json"],
    "card is not JSON": ["model.json", "the file", "Invalid JSON"],
    "unknown field": ["model.json", "colour", "not permitted"],
    "field missing": ["model.json", "purpose", "required"],
    "no modality": ["model.json", "names no modality"],
    "other classes": ["model.json", "['low', 'high']", "['low', 'medium', 'high']"],
    "other step": ["model.json", "10 steps of 50 ms", "10 steps of 100 ms"],
    "card of another opset": ["model.json", "opset", "17"],
    "wrong hash": ["audio.onnx", "SHA-256"],
    "file changed afterwards": ["face.onnx", "SHA-256"],
    "file missing": ["body.onnx", "not there"],
    "file outside the folder": ["audio.onnx", "not there"],
    "other feature order": ["feature 3 of audio", "'mfcc_5'", "expected 'mfcc_4'"],
    "feature missing": ["audio has 23 features", "24"],
    "other feature set": ["feature 0 of audio", "'mfcc_1'", "'Loudness_sma3'"],
    "unknown feature set": ["'opensmile-is09'", "no feature set of audio", "opensmile-egemaps", "spectral"],
    "feature set of another modality": ["'e4'", "no feature set of audio"],
    "no temperature": ["modalities.audio.temperature", "greater than 0"],
    "truncated": ["audio.onnx", "cannot load"],
    "file of an unknown opset": ["audio.onnx", "cannot load", "99"],
    "more features": ["audio.onnx", "inputs", "[10, 25]", "expected", "[10, 24]"],
    "fewer steps": ["audio.onnx", "inputs", "[9, 24]", "[10, 24]"],
    "two classes": ["audio.onnx", "outputs", "[2]", "[3]"],
    "output of another name": ["audio.onnx", "outputs", "logits_", "probabilities"],
    "fixed batch": ["audio.onnx", "batch"],
    "gives NaN": ["audio.onnx", "no probabilities", "nan"],
}


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    write_model_set(folder)
    return folder


def test_a_good_model_set_answers_for_every_modality(model_folder: Path) -> None:
    models = load_model_set(model_folder)
    assert models.card.identity == "demo/1"
    assert models.card.feature_sets == CHOSEN_SETS
    assert set(models.providers.values()) == {"CPUExecutionProvider"}
    for modality in Modality:
        features = np.ones((STEPS_PER_WINDOW, SIZES[modality]), np.float32)
        probabilities = models.classifiers[modality](features, np.ones(STEPS_PER_WINDOW, np.float32))
        assert probabilities.shape == (3,)
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_an_answer_is_not_overwritten_by_the_next_one(model_folder: Path) -> None:
    """The output buffer is bound once; what was handed out before must stay."""
    audio = load_model_set(model_folder).classifiers[Modality.AUDIO]
    random, mask = np.random.default_rng(0), np.ones(10, np.float32)
    first = audio(random.standard_normal((10, 24), np.float32), mask)
    kept = first.copy()
    assert not np.array_equal(audio(random.standard_normal((10, 24), np.float32), mask), kept)
    assert np.array_equal(first, kept)


def test_a_classifier_answers_a_batch_bitwise_like_one_by_one(model_folder: Path) -> None:
    random = np.random.default_rng(0)
    for modality, classifier in load_model_set(model_folder).classifiers.items():
        features = random.standard_normal((67, 10, SIZES[modality])).astype(np.float32)
        mask = (random.random((67, 10)) > 0.3).astype(np.float32)
        one_by_one = np.stack([classifier(*pair) for pair in zip(features, mask, strict=True)])
        for n in (1, 2, 64, 67):
            assert np.array_equal(classifier.batch(features[:n], mask[:n]), one_by_one[:n])


def test_every_damage_has_a_reason() -> None:
    assert REASONS.keys() == DAMAGES.keys()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_set_is_refused_with_the_reason(model_folder: Path, damage: str) -> None:
    DAMAGES[damage](model_folder / "1")
    with pytest.raises(ModelError) as refusal:
        load_model_set(model_folder / "1")
    for words in REASONS[damage]:
        assert words in str(refusal.value)


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "graph": (
        lambda folder: put_on_a_failing_disk(folder / "audio.onnx"),
        r"audio\.onnx cannot be read \(Input/output",
    ),
    "card": (lambda folder: put_on_a_failing_disk(folder / "model.json"), r"model\.json cannot be read \(Input/output"),
    "name in the card": (
        lambda folder: edit_card(folder, lambda card: card["modalities"]["audio"].update(file="é" * 200)),
        r"é cannot be read \(File name too long\)",
    ),
}
"""Of what: how it comes about, and what is said."""


@pytest.mark.parametrize("part", UNREADABLE)
def test_what_cannot_be_read_is_named_with_the_reason(model_folder: Path, part: str) -> None:
    spoil, words = UNREADABLE[part]
    spoil(model_folder / "1")
    with pytest.raises(ModelError, match=words):
        load_model_set(model_folder)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_what_this_account_may_not_read_is_named_with_the_remedy(number: int) -> None:
    """Root may read everything, so it is only said here."""
    expected = r"^face\.onnx cannot be read \(no; give this account the right to it, or name another one\)$"
    with pytest.raises(ModelError, match=expected), readable(Path("model")):
        raise OSError(number, "no", "face.onnx")


def test_a_name_that_is_too_long_for_a_folder_is_no_model_set(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be read \(File name too long\)"):
        load_model_set(tmp_path / ("é" * 300))
    with pytest.raises(ModelError, match=r"cannot be read \(File name too long\)"):
        resolve_version(tmp_path / ("é" * 300))


def test_the_live_version_is_the_one_that_current_names(model_folder: Path) -> None:
    write_model_set(model_folder, "2", seed=7)
    assert load_model_set(model_folder).card.identity == "demo/2"
    make_current(model_folder, "1")
    assert load_model_set(model_folder).card.identity == "demo/1"
    assert load_model_set(model_folder / "2").card.identity == "demo/2", "a version can be asked for directly"
    assert sorted(p.name for p in model_folder.iterdir()) == ["1", "2", "current"], "no scratch file is left"


def test_a_current_that_names_nothing_is_refused(model_folder: Path) -> None:
    make_current(model_folder, "9")
    with pytest.raises(ModelError, match="current names version '9', which is not there"):
        resolve_version(model_folder)


def test_a_mistyped_model_gets_a_hint(model_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"dmeo is no model set.*did you mean .*demo\?"):
        load_model_set(model_folder.with_name("dmeo"))


@pytest.mark.parametrize("name", ["dmeo", "Demo", "nowhere/demos"])
def test_a_mistyped_name_of_a_model_that_comes_along_gets_a_hint(name: str) -> None:
    with pytest.raises(ModelError, match=r"is no model set.*did you mean demo\?"):
        load_model_set(find_model(name))


def test_who_names_something_else_learns_which_models_come_along() -> None:
    with pytest.raises(ModelError, match=r"nowhere is no model set.*these come with the package: demo$"):
        load_model_set(find_model("nowhere"))


def test_a_card_with_fewer_modalities_loads_what_it_has(tmp_path: Path) -> None:
    write_model_set(tmp_path / "voice", feature_sets={Modality.AUDIO: "spectral"})
    assert list(load_model_set(tmp_path / "voice").classifiers) == [Modality.AUDIO]


@pytest.mark.parametrize("providers", [["gpu"], ["cuda", "GPU"], []])
def test_an_unknown_provider_is_refused(model_folder: Path, providers: list[str]) -> None:
    with pytest.raises(ModelError, match=r"choose from .*'cuda', 'cpu'"):
        load_model_set(model_folder, providers)


@pytest.mark.parametrize("providers", [["cuda", "cpu"], ["tensorrt", "cuda", "cpu"], ["cuda"]])
def test_the_provider_in_use_is_reported_not_the_one_that_was_asked_for(
    model_folder: Path, providers: list[str]
) -> None:
    if _a_gpu_works():
        pytest.skip("this machine has a GPU that ONNX Runtime can use")
    models = load_model_set(model_folder, providers)
    assert models.providers == dict.fromkeys(Modality, "CPUExecutionProvider")


def test_a_runtime_without_gpu_support_loads_without_a_warning(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain `onnxruntime` wheel knows no CUDA at all and warns when it is asked for; we report it ourselves."""
    for place in ("onnxruntime", "onnxruntime.capi._pybind_state"):
        monkeypatch.setattr(f"{place}.get_available_providers", lambda: ["CPUExecutionProvider"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models = load_model_set(model_folder, ["cuda", "cpu"])
    assert set(models.providers.values()) == {"CPUExecutionProvider"}


@pytest.fixture(params=["in its first run", "as a graph is loaded"])
def full_gpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A GPU whose memory others have taken: it fails in the first run, or has not even room for the weights."""

    def opened(path: Path, providers: list[str]) -> Any:
        session = open_session(path)
        if providers != [CPU] and request.param == "as a graph is loaded":
            raise ModelError(f"{path}: ONNX Runtime cannot load it: CUDA error 719")
        return session if providers == [CPU] else LostGpu(session)

    monkeypatch.setattr("mmal_ros.models.onnxruntime.get_available_providers", lambda: list(PROVIDERS.values()))
    monkeypatch.setattr("mmal_ros.models.open_session", opened)


@pytest.mark.usefixtures("full_gpu")
def test_a_gpu_that_fails_at_the_start_is_left_for_the_cpu_loudly(
    model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        models = load_model_set(model_folder, ["cuda", "cpu"])
    assert models.providers == dict.fromkeys(Modality, CPU)
    assert all(classifier.fell_back for classifier in models.classifiers.values())
    assert re.search(r"goes on (on the CPU|without cuda): .*CUDA error 719", caplog.text)
    assert "face.onnx" in caplog.text


@pytest.mark.usefixtures("full_gpu")
def test_a_gpu_that_fails_at_the_start_is_refused_where_no_fallback_is_allowed(model_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"face\.onnx.*CUDA error 719.*; set allow_fallback to go on on the CPU$"):
        load_model_set(model_folder, ["cuda", "cpu"], allow_fallback=False)


@pytest.fixture
def no_tensorrt() -> None:
    """It is compiled in, and its libraries are not there."""
    if _a_gpu_works() or PROVIDERS["tensorrt"] not in onnxruntime.get_available_providers():
        pytest.skip("this machine has a GPU that ONNX Runtime can use, or an ONNX Runtime that knows of none")


@pytest.mark.usefixtures("no_tensorrt")
@pytest.mark.parametrize("providers", [["tensorrt"], ["tensorrt", "cpu"], ["tensorrt", "cuda", "cpu"]])
def test_a_provider_that_cannot_be_made_is_left_for_the_cpu_and_nothing_is_printed(
    model_folder: Path, providers: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """What is printed would be among the estimates of `mmal run --json`."""
    models = load_model_set(model_folder, providers)
    assert models.providers == dict.fromkeys(Modality, CPU)
    assert all(classifier.fell_back for classifier in models.classifiers.values())
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("no_tensorrt")
def test_a_provider_that_cannot_be_made_is_refused_where_no_fallback_is_allowed(
    model_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=r"^\S+face\.onnx: ONNX Runtime cannot load it: .*; set allow_fallback .*$"):
        load_model_set(model_folder, ["tensorrt", "cpu"], allow_fallback=False)
    assert capfd.readouterr().out == ""


def test_the_next_gpu_provider_is_tried_before_the_cpu(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: Path, providers: list[str]) -> Any:
        if providers[0] == PROVIDERS["tensorrt"]:
            raise ModelError(f"{path}: ONNX Runtime cannot load it: no TensorRT")
        session = open_session(path)
        return session if providers[0] == CPU else LostGpu(session, works=True)

    monkeypatch.setattr("mmal_ros.models.onnxruntime.get_available_providers", lambda: list(PROVIDERS.values()))
    monkeypatch.setattr("mmal_ros.models.open_session", opened)
    models = load_model_set(model_folder, ["tensorrt", "cuda", "cpu"])
    assert models.providers == dict.fromkeys(Modality, PROVIDERS["cuda"])
    assert not any(classifier.fell_back for classifier in models.classifiers.values())


def test_a_card_survives_being_written_and_read(model_folder: Path) -> None:
    card = read_card(model_folder / "1")
    edit_card(model_folder / "1", lambda content: content.update(metrics={"macro F1": 0.4}))
    again = read_card(model_folder / "1")
    assert again.metrics == {"macro F1": 0.4}
    assert again.modalities == card.modalities


def _a_gpu_works() -> bool:
    """Asked in a process of its own: a failing CUDA prints and leaves libraries behind."""
    code = "import ctypes; ctypes.CDLL('libcuda.so.1')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
