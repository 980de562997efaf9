"""Model sets that were damaged, or made by a stranger: refused as a whole with one `ModelError`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import example
from hypothesis import strategies as st

from mmal_ros.datatypes import Modality
from mmal_ros.model_card import CARD_NAME, CURRENT_NAME, ModelError
from mmal_ros.model_versions import HISTORY_NAME, current, diff, rollback, versions
from mmal_ros.models import load_model_set
from rigs.fuzzing import fuzz
from rigs.model_sets import replace_graph, write_model_set
from rigs.mutation import damaged_bytes, damaged_json, damaged_text

HISTORY = (
    "2026-11-20T10:00:00+00:00\tuse\t1\n2026-11-20T10:00:01+00:00\tuse\t2\n2026-11-20T10:00:02+00:00\trollback\t1\n"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "P017"
    for version in ("1", "2"):
        write_model_set(folder, version, seed=int(version), feature_sets={Modality.AUDIO: "spectral"})
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "P017"))


def _use(model: Path) -> None:
    for look in (load_model_set, current, versions, rollback, lambda m: diff(m / "1", m / "2")):
        try:
            look(model)
        except ModelError as error:
            assert str(error)


@fuzz(st.data(), few=40)
def test_a_damaged_card(model, made, data):
    valid = json.loads((made / "2" / CARD_NAME).read_text())
    (model / "2" / CARD_NAME).write_bytes(data.draw(damaged_json(valid)))
    _use(model)


@fuzz(st.data(), few=40)
def test_a_damaged_graph_whose_hash_is_right(model, made, data):
    (model / "2" / CARD_NAME).write_bytes((made / "2" / CARD_NAME).read_bytes())
    replace_graph(model / "2", data.draw(damaged_bytes((made / "2" / "audio.onnx").read_bytes())))
    _use(model)


@fuzz(damaged_text(["2\n", "1"]), damaged_text(HISTORY), few=40)
@example(b"\xff\xfe", b"")  # ended with a traceback
@example(b"../P017/2\n", b"")
@example(b"9" * 5000, b"")
@example(b"2\0", b"")  # no file can be called so
def test_damaged_files_of_what_is_live(model, live, history):
    (model / CURRENT_NAME).write_bytes(live)
    (model / HISTORY_NAME).write_bytes(history)
    _use(model)
