"""Other tools' files and damaged files: always one clear `FeatureFileError`, never another exception, never a hang."""

from __future__ import annotations

import gzip
import io
import json
import math
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features.importers import FeatureFileError, read_openface, read_openpose, read_opensmile, read_table
from mmal_ros.features.names import AUDIO_OPENSMILE, FACE, PHYSIOLOGY

Reader = Callable[[Path], Iterator[FeatureFrame]]

READERS: dict[str, Reader] = {
    "openface": lambda path: read_openface(path, 0),
    "openpose": lambda path: read_openpose(path, 0, 30, 640, 480),
    "opensmile": lambda path: read_opensmile(path, 0),
    "table": lambda path: read_table(path, Modality.PHYSIOLOGY, "e4", 0),
}


# --- other tools' files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("pyfeat-testdata/iMotions_Test_v6.txt", "this looks like an iMotions export; its action units are evidence"),
        ("pyfeat-testdata/001.csv", "this looks like a py-feat table; it has no gaze, no 3-D landmarks"),
        ("flirt-e4-sample/ACC.csv", "this looks like a signal of an Empatica E4 export; give the whole export"),
        ("flirt-e4-sample/EDA.csv", "this looks like a signal of an Empatica E4 export; give the whole export"),
        ("flirt-e4-sample/IBI.csv", "this looks like a signal of an Empatica E4 export; give the whole export"),
        ("pyfeat-testdata/single_face.mp4", "this looks like a video file; run the tool on it"),
        ("pyfeat-testdata/single_face.jpg", "this looks like a picture; run the tool on it"),
    ],
)
def test_real_files_of_other_tools_are_called_by_their_names(
    shared_data: Path, reader: str, file: str, sentence: str
) -> None:
    with pytest.raises(FeatureFileError) as error:
        list(READERS[reader](shared_data / file))
    assert sentence in str(error.value)
    assert file in str(error.value)


def test_files_that_we_read_are_sent_to_the_right_reader(shared_data: Path, tmp_path: Path) -> None:
    frame, sound = tmp_path / "frame_0.json", tmp_path / "sound.csv"
    frame.write_text('{"version": 1.3, "people": []}')
    sound.write_text("frameTime;" + ";".join(AUDIO_OPENSMILE) + "\n0.0;" + ";".join("0" * 24))
    faces = shared_data / "pyfeat-testdata/OpenFace_Test.csv"
    features = tmp_path / "features.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(features)

    for file, tool, reader in [
        (frame, "OpenPose JSON", "read_openpose"),
        (sound, "openSMILE low-level descriptors", "read_opensmile"),
        (faces, "an OpenFace CSV", "read_openface"),
        (features, "a Parquet file", "read_table"),
    ]:
        others = [name for name in READERS if f"read_{name}" != reader]
        for name in others:
            with pytest.raises(FeatureFileError) as error:
                list(READERS[name](file))
            assert f"this looks like {tool}; use {reader}" in str(error.value)


@pytest.mark.parametrize("reader", ["openface", "opensmile", "table"])
def test_a_folder_is_no_table(tmp_path: Path, reader: str) -> None:
    with pytest.raises(FeatureFileError, match="Is a directory"):
        list(READERS[reader](tmp_path))


@pytest.mark.parametrize(
    ("content", "tool"),
    [
        (b"@relation lld\n@attribute x numeric\n", "an ARFF file of openSMILE"),
        (b"name;frameTime;F0semitoneFrom27.5Hz_sma3nz_amean\n", "openSMILE functionals"),
        ("frame,timestamp\n".encode("utf-16"), "text in UTF-16"),
        (b"PK\x03\x04[Content_Types].xml", "a zip archive or an office document"),
        (gzip.compress(b"frame", mtime=0), "a gzip archive"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "a sound or video file"),
    ],
)
def test_further_kinds_are_recognised(tmp_path: Path, content: bytes, tool: str) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    with pytest.raises(FeatureFileError, match=f"this looks like {tool}"):
        list(read_openface(path, 0))


# --- damaged files ------------------------------------------------------------------------------------------------


def genuine_openface() -> bytes:
    header = ["frame", "face_id", "timestamp", "confidence", "success", *FACE]
    rows = [[str(n), "0", f"{n / 30:.3f}", "0.98", "1", *(["0.5"] * len(FACE))] for n in range(1, 4)]
    return "\n".join(", ".join(cells) for cells in [header, *rows]).encode()


def genuine_opensmile() -> bytes:
    rows = [f"0 days 00:00:00.{n:02}0000," + ",".join(["0.5"] * 24) for n in range(30)]
    return "\n".join(["start," + ",".join(AUDIO_OPENSMILE), *rows]).encode()


def genuine_table() -> pd.DataFrame:
    numbers = np.random.default_rng(0).normal(size=(5, len(PHYSIOLOGY)))
    return pd.DataFrame(numbers, columns=list(PHYSIOLOGY)).assign(time_s=np.arange(5) / 10, valid=1.0)


def genuine_parquet() -> bytes:
    buffer = io.BytesIO()
    genuine_table().to_parquet(buffer, index=False)
    return buffer.getvalue()


def genuine_json() -> bytes:
    person = {"pose_keypoints_2d": [float(100 + n) if n % 3 < 2 else 0.9 for n in range(75)]}
    return json.dumps({"version": 1.3, "people": [person]}).encode()


def genuine_tar(compressed: bool = True) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if compressed else "w") as tar:
        for number in range(3):
            member = tarfile.TarInfo(f"a_{number}.json")
            member.size = len(genuine_json())
            tar.addfile(member, io.BytesIO(genuine_json()))
    return buffer.getvalue()


def genuine_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"a_{number}.json", genuine_json())
    return buffer.getvalue()


GENUINE: dict[str, tuple[str, bytes, Callable[[bytes], bytes]]] = {
    "openface": ("openface", genuine_openface(), bytes),
    "opensmile": ("opensmile", genuine_opensmile(), bytes),
    "csv": ("table", genuine_table().to_csv(index=False).encode(), bytes),
    "parquet": ("table", genuine_parquet(), bytes),
    "gzip": ("openpose", genuine_tar(), bytes),
    "tar": ("openpose", genuine_tar(compressed=False), gzip.compress),
    "zip": ("openpose", genuine_zip(), bytes),
}
"""Reader, content to damage, what is done to it afterwards."""

SNIPPETS = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b",", b"\n", b'"', b"\r", b";", b"nan", b"-", b"e999", b"1e39", b"\x00", b"\xff", b"_", b" " * 99]
    ),
)
DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), SNIPPETS), min_size=1, max_size=4)
"""Where (share of the file), how many bytes go, what comes in their place."""


def damaged(content: bytes, damage: list[tuple[float, int, bytes]]) -> bytes:
    for share, gone, inserted in damage:
        at = int(share * len(content))
        content = content[:at] + inserted + content[at + gone :]
    return content


def read_or_refuse(reader: str, path: Path) -> None:
    """Whatever comes out is fit for a window; an exception other than ours fails the test."""
    try:
        frames = list(READERS[reader](path))
    except FeatureFileError:
        return
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(set(stamps))
    assert all(np.isfinite(frame.values).all() and frame.values.dtype == np.float32 for frame in frames)
    assert all(0 <= frame.confidence <= 1 and not math.isnan(frame.confidence) for frame in frames)
    assert all(frame.valid or not frame.values.any() for frame in frames)


@pytest.mark.parametrize("kind", GENUINE)
def test_the_undamaged_file_is_read(tmp_path: Path, kind: str) -> None:
    reader, content, packed = GENUINE[kind]
    path = tmp_path / "file"
    path.write_bytes(packed(content))
    assert all(frame.valid for frame in READERS[reader](path))
    assert len(list(READERS[reader](path))) >= 3


@pytest.mark.parametrize("kind", GENUINE)
@settings(max_examples=150, deadline=None)
@given(damage=DAMAGE)
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, damage: list[tuple[float, int, bytes]]
) -> None:
    reader, content, packed = GENUINE[kind]
    path = tmp_path_factory.getbasetemp() / f"damaged_{kind}"
    path.write_bytes(packed(damaged(content, damage)))
    read_or_refuse(reader, path)


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=100, deadline=None)
@given(
    content=st.tuples(
        st.sampled_from([b"", b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08", b"frame,", b"{"]), st.binary()
    ).map(b"".join)
)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, reader: str, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"bytes_{reader}"
    path.write_bytes(content)
    read_or_refuse(reader, path)


@settings(max_examples=150, deadline=None)
@given(
    content=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["people", "pose_keypoints_2d", "version"]), inner, max_size=3)
        ),
        max_leaves=20,
    )
)
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    folder = tmp_path_factory.getbasetemp() / "any_json"
    folder.mkdir(exist_ok=True)
    (folder / "a_1.json").write_text(json.dumps(content))
    read_or_refuse("openpose", folder)
