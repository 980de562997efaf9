"""Features that other tools wrote, tables of labels, recordings: beyond `features/test_importers_robust.py`."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example
from hypothesis import strategies as st

from mmal_ros import npz
from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features.importers import FeatureFileError, read_openface, read_openpose, read_opensmile, read_table
from mmal_ros.features.names import AUDIO_OPENSMILE, FACE, FEATURE_SETS, PHYSIOLOGY
from mmal_ros.features.recording import RecordingError, read_recording, write_recording
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_bytes, damaged_json, damaged_text, odd_words

PERSON = {"pose_keypoints_2d": [float(100 + n) if n % 3 < 2 else 0.9 for n in range(75)]}
SETS = {Modality.FACE: "mediapipe-face", Modality.PHYSIOLOGY: "e4"}


def _table(header: list[str], rows: int, time: str, comma: str = ",") -> str:
    lines = [comma.join([time, *header])] + [
        comma.join([f"{n / 30:.3f}", *(["0.5"] * len(header))]) for n in range(rows)
    ]
    return "\n".join(lines) + "\n"


OPENFACE = "\n".join(
    ["frame,face_id,timestamp,confidence,success," + ",".join(FACE)]
    + [f"{n},0,{n / 30:.3f},0.98,1," + ",".join(["0.5"] * len(FACE)) for n in range(1, 5)]
)
TEXTS = {
    "openface": OPENFACE,
    "opensmile": _table(list(AUDIO_OPENSMILE), 20, "frameTime", ";"),
    "table": _table(list(PHYSIOLOGY), 5, "time_s"),
}


def _check(frames: list[FeatureFrame]) -> None:
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(set(stamps))
    assert all(np.isfinite(frame.values).all() and 0 <= frame.confidence <= 1 for frame in frames)


def _read(tool: str, path: Path) -> None:
    try:
        if tool == "openface":
            _check(list(read_openface(path, 0)))
        elif tool == "opensmile":
            _check(list(read_opensmile(path, 0)))
        else:
            _check(list(read_table(path, Modality.PHYSIOLOGY, "e4", 0)))
    except FeatureFileError as error:
        assert str(error)


@fuzz(st.sampled_from(list(TEXTS)).flatmap(lambda tool: st.tuples(st.just(tool), damaged_text(TEXTS[tool]))))
def test_a_table_with_damaged_lines(tmp_path, damaged):
    tool, content = damaged
    (tmp_path / "features.csv").write_bytes(content)
    _read(tool, tmp_path / "features.csv")


@fuzz(damaged_bytes([b"frame,timestamp\n1,2\n" * 3]), few=30)
def test_a_real_file_that_was_damaged(shared_data, tmp_path, content):
    """The first lines of what OpenFace wrote, with a damage spliced in."""
    genuine = (shared_data / "pyfeat-testdata/OpenFace_Test.csv").read_bytes()[:60_000]
    at = len(genuine) * content[0] // 256 if content else 0
    (tmp_path / "features.csv").write_bytes(genuine[:at] + content + genuine[at:])
    _read("openface", tmp_path / "features.csv")


@fuzz(damaged_json({"version": 1.3, "people": [PERSON]}))
@example(("[" * 100_000).encode())
@example(b'{"people": [{"pose_keypoints_2d": [' + b"9" * 5000 + b"]}]}")
def test_a_frame_of_openpose_with_damaged_json(tmp_path, content):
    (tmp_path / "a_1.json").write_bytes(content)
    try:
        _check(list(read_openpose(tmp_path, 0, 30, 640, 480)))
    except FeatureFileError as error:
        assert str(error)


@pytest.fixture(scope="module")
def zipped() -> bytes:
    """Three frames in an archive, as one sends them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"json/a_{number}.json", json.dumps({"version": 1.3, "people": [PERSON]}))
    return file.getvalue()


@pytest.fixture(scope="module")
def tarred() -> bytes:
    """The same, as others send them."""
    file = io.BytesIO()
    content = json.dumps({"version": 1.3, "people": [PERSON]}).encode()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(3):
            member = tarfile.TarInfo(f"json/a_{number}.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@fuzz(st.data(), few=40)
def test_a_damaged_archive_of_openpose(tmp_path, zipped, tarred, data):
    packed = data.draw(
        damaged_bytes(zipped) | damaged_bytes(tarred).map(gzip.compress) | damaged_bytes(gzip.compress(tarred))
    )
    (tmp_path / "poses").write_bytes(packed)
    try:
        _check(list(read_openpose(tmp_path / "poses", 0, 30, 640, 480)))
    except FeatureFileError as error:
        assert str(error)


# --- recordings --------------------------------------------------------------------------------------------------


def _recording(path: Path) -> bytes:
    frames = [
        (10**18 + n * 10**8, FeatureFrame(m, 10**18 + n * 10**8, np.ones(len(FEATURE_SETS[s][1]), np.float32), True, 1.0, s))  # noqa: E501
        for n in range(12)
        for m, s in SETS.items()
    ]  # fmt: skip
    write_recording(path, 10**18, frames)
    return path.read_bytes()


def _score(path: Path) -> None:
    """What comes out can be played; an exception other than ours fails the test."""
    try:
        recording = read_recording(path)
    except RecordingError as error:
        assert str(error)
        return
    frames = list(recording.frames())
    assert all(type(time_ns) is int and type(frame.stamp_ns) is int for time_ns, frame in frames)
    assert all(frame.values.dtype == np.float32 and type(frame.valid) is bool for _, frame in frames)
    assert len(list(recording.until(recording.start_ns).frames())) <= len(frames)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _recording(tmp_path_factory.mktemp("recorded") / "session.npz")


@fuzz(st.data())
def test_a_recording_with_damaged_bytes(tmp_path, recorded, data):
    path = tmp_path / "damaged.npz"
    path.write_bytes(data.draw(damaged_bytes(recorded)))
    _score(path)


ARRAYS = st.one_of(
    st.sampled_from(
        [
            np.zeros(0), np.float64(np.nan), np.array("x"), np.array(b"\xff"), np.array([1, 2, 3]), np.zeros((2, 2)),
            np.zeros(12, "<M8[ns]"), np.array(1 + 2j), np.full(12, np.nan), np.full(12, 1e300), np.zeros(12, "V3"),
            np.full(12, 1 << 63, np.uint64), np.array(["a"] * 12), np.zeros((12, 0)), np.zeros(12, [("a", "f4")]),
        ]
    ),
    odd_words().map(lambda word: np.array(word.encode("utf-8", "replace").decode())),
)  # fmt: skip


@fuzz(st.data())
def test_a_recording_whose_arrays_are_of_another_kind(tmp_path, recorded, data):
    with np.load(io.BytesIO(recorded)) as file:
        arrays = {name: file[name] for name in file.files}
    for name in data.draw(st.lists(st.sampled_from(list(arrays)), min_size=1, max_size=3)):
        if data.draw(st.booleans()):
            arrays.pop(name, None)
        else:
            arrays[name] = data.draw(ARRAYS)
    np.savez(tmp_path / "other.npz", **arrays)
    _score(tmp_path / "other.npz")


def test_a_recording_that_says_it_is_larger_than_any_memory(tmp_path):
    header = json.dumps({"descr": "<f4", "fortran_order": False, "shape": [1 << 50]})
    header = header.replace("false", "False").replace("[", "(").replace("]", ",)").ljust(117) + "\n"
    with zipfile.ZipFile(tmp_path / "large.npz", "w") as archive:
        archive.writestr("start_ns.npy", b"\x93NUMPY\1\0" + bytes([len(header), 0]) + header.encode())
    with pytest.raises(RecordingError):
        read_recording(tmp_path / "large.npz")


def test_a_recording_that_says_it_is_shorter_than_it_is(tmp_path):
    """Its checksum stands behind what nobody would read."""
    path = tmp_path / "shorter.npz"
    np.savez(path, start_ns=np.zeros(2000))
    path.write_bytes(path.read_bytes().replace(b"(2000,)", b"(1000,)"))
    with pytest.raises(RecordingError, match="more than its array"):
        read_recording(path)


def test_a_recording_that_was_packed_to_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "LARGEST_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", start_ns=np.zeros(2 << 20, np.int8))
    with pytest.raises(RecordingError, match="unpacks to"):
        read_recording(tmp_path / "bomb.npz")


def test_a_recording_in_gzip_is_no_recording(tmp_path):
    (tmp_path / "packed.npz").write_bytes(gzip.compress(b"start_ns"))
    with pytest.raises(RecordingError):
        read_recording(tmp_path / "packed.npz")
