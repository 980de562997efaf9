"""Folders and archives of an E4 export: read or refused with one `SourceError`, and never unpacked without bound."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example
from hypothesis import strategies as st

from mmal_ros.sensors.e4_folder import E4Folder
from mmal_ros.sensors.source import SourceError
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_bytes, damaged_text

START = "1644829925.000000"
FILES = {
    "ACC.csv": f"{START}, {START}, {START}\n32.000000, 32.000000, 32.000000\n" + "-2,3,63\n" * 64,
    "BVP.csv": f"{START}\n64.000000\n" + "-1.25\n" * 128,
    "EDA.csv": f"{START}\n4.000000\n" + "0.31\n" * 8,
    "TEMP.csv": f"{START}\n4.000000\n" + "33.31\n" * 8,
    "IBI.csv": f"{START}, IBI\n0.5,0.8\n1.3,0.8\n",
    "tags.csv": "1644829926.0\n1644829926.5\n",
}


def _play(path: Path) -> None:
    """Whatever comes out is a sample; an exception other than ours fails the test."""
    try:
        with E4Folder(path, 0) as source:
            samples = list(source)
    except SourceError as error:
        assert str(error)
        assert "None" not in str(error).replace("found 'None'", "")  # which stands in the file then
        return
    assert samples
    assert all(np.isfinite(sample.values).all() for sample in samples)


def _zip(files: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, compression)
    return packed.getvalue()


def _tar(files: dict[str, str], form: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = {"comment": "x", "mtime": "1.5"} if form == tarfile.PAX_FORMAT else {}
            archive.addfile(member, io.BytesIO(content.encode()))
    return packed.getvalue()


def _lying_zip(unpacked_mib: int) -> bytes:
    """Says that its ACC.csv has ten bytes, and unpacks to so much."""
    compress = zlib.compressobj(1, wbits=-15)
    block = bytes(1 << 20)
    packed = b"".join([compress.compress(block) for _ in range(unpacked_mib)]) + compress.flush()
    name = b"ACC.csv"
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 33, 0, len(packed), 10, len(name), 0)
    central = struct.pack(
        "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, 33, 0, len(packed), 10, len(name), 0, 0, 0, 0, 0, 0
    )
    body, entry = local + name + packed, central + name
    return body + entry + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry), len(body), 0)


@fuzz(st.sampled_from(list(FILES)).flatmap(lambda name: st.tuples(st.just(name), damaged_text(FILES[name]))))
@example(("IBI.csv", b""))
@example(("BVP.csv", f"{START}\n64\n\n".encode()))  # nothing but an empty line
def test_a_damaged_file_of_an_export(tmp_path, damaged):
    name, content = damaged
    for file, text in FILES.items():
        (tmp_path / file).write_bytes(content if file == name else text.encode())
    _play(tmp_path)


@fuzz(
    damaged_bytes(
        [
            _zip(FILES),
            _zip(FILES, zipfile.ZIP_STORED),
            _zip(FILES, zipfile.ZIP_BZIP2),
            _zip(FILES, zipfile.ZIP_LZMA),
            _zip({f"P017/{name}": content for name, content in FILES.items()}),
            _zip({"../ACC.csv": FILES["ACC.csv"]}),
        ]
    )
)
def test_a_damaged_zip(tmp_path, content):
    path = tmp_path / "export.zip"
    path.write_bytes(content)
    _play(path)


@fuzz(st.booleans(), damaged_bytes([_tar(FILES), _tar(FILES, tarfile.GNU_FORMAT), gzip.compress(_tar(FILES))]))
def test_a_damaged_tar(tmp_path, packed_last, content):
    path = tmp_path / "export.tar.gz"
    path.write_bytes(gzip.compress(content, 1) if packed_last else content)
    _play(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_in_another_compression_does_not_fill_the_memory(tmp_path, compression):
    path = tmp_path / "export.zip"
    path.write_bytes(_zip({"ACC.csv": bytes(1 << 20)}, compression))
    with pytest.raises(SourceError, match="packed in an unusual way: zip it anew"):
        E4Folder(path, 0).open()


def test_a_zip_that_lies_about_its_size_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "export.zip"
    path.write_bytes(_lying_zip(128))
    tracemalloc.start()
    with pytest.raises(SourceError, match="cannot be unpacked"):
        E4Folder(path, 0).open()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20  # all of it was unpacked before the size was compared


def test_a_file_that_cannot_be_read_has_its_reason(tmp_path):
    (tmp_path / "ACC.csv").symlink_to("/proc/self/mem")
    assert os.path.exists(tmp_path / "ACC.csv")
    _play(tmp_path)
