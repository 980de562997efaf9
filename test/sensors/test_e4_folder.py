"""Playing back what a wristband E4 recorded: real exports, damaged ones, and files of other tools."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors import e4_archive
from mmal_ros.sensors.e4_folder import E4Folder
from mmal_ros.sensors.source import SourceError, SourceState

START_NS = 1_800_000_000_000_000_000
RECORDED_S = 1644829925
"""When the person S05 of stress-predict began."""


def samples_of(path: Path) -> list[Sample]:
    with E4Folder(path, START_NS) as source:
        return list(source)


def values_of(samples: list[Sample], source: str) -> np.ndarray:
    return np.concatenate([sample.values for sample in samples if sample.source == source])


def opened(path: Path) -> None:
    E4Folder(path, START_NS).open()


@pytest.fixture(scope="module")
def s05(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One hour of one person, unpacked."""
    folder = tmp_path_factory.mktemp("export")
    with tarfile.open(shared_data / "stress-predict" / "S05.tar.gz") as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # not in 3.11.2
    return folder / "S05"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An export of two seconds that a test may spoil."""
    folder = tmp_path / "small"
    folder.mkdir()
    write_export(folder)
    return folder


def write_export(folder: Path) -> None:
    start = f"{RECORDED_S}.000000"
    (folder / "ACC.csv").write_text(f"{start}, {start}, {start}\n32.000000, 32.000000, 32.000000\n" + "-2,3,63\n" * 64)
    (folder / "BVP.csv").write_text(f"{start}\n64.000000\n" + "-30.33\n" * 128)
    (folder / "EDA.csv").write_text(f"{start}\n4.000000\n" + "0.830302\n" * 8)
    (folder / "TEMP.csv").write_text(f"{start}\n4.000000\n" + "29.53\n" * 8)
    (folder / "IBI.csv").write_text(f"{start}, IBI\n0.750000,0.781250\n1.500000,0.750000\n")
    (folder / "tags.csv").write_bytes(f"{RECORDED_S + 1}.50\r\n".encode())


def test_an_hour_of_a_real_person_comes_out_as_recorded(s05: Path) -> None:
    samples = samples_of(s05)
    acc = np.loadtxt(s05 / "ACC.csv", delimiter=",", skiprows=2) / 64
    np.testing.assert_array_equal(values_of(samples, "acc"), acc.astype(np.float32))
    for file, source in (("BVP", "bvp"), ("EDA", "eda"), ("TEMP", "temperature")):
        recorded = np.loadtxt(s05 / f"{file}.csv", skiprows=2)
        np.testing.assert_array_equal(values_of(samples, source), recorded.astype(np.float32))
    intervals = np.loadtxt(s05 / "IBI.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(values_of(samples, "ibi"), intervals[:, 1].astype(np.float32))
    ends_s = [(s.end_ns - START_NS) / NANOSECONDS_PER_SECOND for s in samples if s.source == "ibi"]
    np.testing.assert_allclose(ends_s, intervals[:, 0], atol=1e-6)


def test_samples_come_in_the_order_of_their_ends_in_small_chunks(s05: Path) -> None:
    samples = samples_of(s05)
    assert all(first.end_ns <= second.end_ns for first, second in pairwise(samples))
    assert samples[0].stamp_ns == START_NS
    for sample in samples:
        assert sample.end_ns - sample.stamp_ns < 100_000_000
    starts = [sample.stamp_ns for sample in samples if sample.source == "bvp"]
    assert set(np.diff(starts)) == {6 * NANOSECONDS_PER_SECOND // 64}


def test_button_presses_lie_where_they_were_pressed(s05: Path) -> None:
    tags = [sample for sample in samples_of(s05) if sample.source == "tag"]
    assert len(tags) == 7
    assert tags[0].stamp_ns == START_NS + (1644830599 - RECORDED_S) * NANOSECONDS_PER_SECOND


def test_the_archive_gives_what_its_folder_gives(s05: Path, shared_data: Path, tmp_path: Path) -> None:
    zipped = shutil.make_archive(str(tmp_path / "S05"), "zip", s05)
    expected = samples_of(s05)
    for path in (shared_data / "stress-predict" / "S05.tar.gz", Path(zipped)):
        assert same(samples_of(path), expected)


def same(first: list[Sample], second: list[Sample]) -> bool:
    return len(first) == len(second) and all(
        a.source == b.source and a.stamp_ns == b.stamp_ns and np.array_equal(a.values, b.values)
        for a, b in zip(first, second, strict=True)
    )


def test_streams_that_end_at_different_times_do_so(shared_data: Path) -> None:
    samples = samples_of(shared_data / "flirt-e4-sample")
    last_s = {sample.source: (sample.end_ns - START_NS) / NANOSECONDS_PER_SECOND for sample in samples}
    assert last_s == pytest.approx(
        {"bvp": 156.2, "acc": 312.4, "temperature": 1249.3, "eda": 2499.3, "ibi": 8934}, abs=0.2
    )


def test_the_earliest_stream_starts_the_recording(small: Path) -> None:
    (small / "EDA.csv").write_text(f"{RECORDED_S - 3}.000000\n4.000000\n" + "0.83\n" * 20)
    samples = samples_of(small)
    first = {sample.source: sample.stamp_ns for sample in reversed(samples)}
    assert first["eda"] == START_NS
    assert first["bvp"] == START_NS + 3 * NANOSECONDS_PER_SECOND


def test_nobody_pressed_the_button_and_no_beat_was_clean(small: Path) -> None:
    (small / "tags.csv").write_text("")
    (small / "IBI.csv").write_text("")
    assert {sample.source for sample in samples_of(small)} == {"acc", "bvp", "eda", "temperature"}


def test_a_missing_file_is_named_and_the_rest_is_played(small: Path) -> None:
    (small / "EDA.csv").unlink()
    with E4Folder(small, START_NS) as source:
        assert "EDA.csv" in source.status.message
        assert {sample.source for sample in source} == {"acc", "bvp", "temperature", "ibi", "tag"}
        assert source.status.state is SourceState.ENDED


def test_closing_in_the_middle_ends_the_iteration(small: Path) -> None:
    with E4Folder(small, START_NS) as source:
        samples = iter(source)
        next(samples)
        source.close()
        assert list(samples) == []


def test_values_cannot_be_changed_by_who_reads_them(small: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        samples_of(small)[0].values[0] = 0


@pytest.mark.parametrize(
    ("file", "line", "text", "complaint"),
    [
        ("ACC.csv", 10, "-2,3", r"ACC.csv, line 10, column 3: found 2 columns, expected 3"),
        ("ACC.csv", 10, "-2,3,63,1", r"line 10, column 4: found 4 columns"),
        ("ACC.csv", 10, "-2,3,0.98", r"line 10, column 3: found 0.98, expected 1/64 g, whole numbers"),
        ("ACC.csv", 10, "-2,300,63", r"line 10, column 2: found 300, .* from -128 to 127"),
        ("ACC.csv", 1, "1644829925, 1644829926, 1644829925", r"line 1, column 2: found .*, expected one start time"),
        ("ACC.csv", 1, "1644829925", r"line 1, column 2: found 1 columns, expected 3"),
        ("BVP.csv", 7, "abc", r"BVP.csv, line 7, column 1: found 'abc'"),
        ("BVP.csv", 7, "nan", r"line 7, column 1: found 'nan'"),
        ("BVP.csv", 7, "", r"line 7, column 1: found ''"),
        ("BVP.csv", 2, "32.0", r"line 2, column 1: found 32, expected a rate of 64 Hz"),
        ("BVP.csv", 1, "1644829925000", r"line 1, column 1: found .*, expected .* s since 1970"),
        ("EDA.csv", 5, "-0.1", r"line 5, column 1: found -0.1, expected µS from 0 to 100"),
        ("EDA.csv", 5, "830.3", r"found 830.3, expected µS"),
        ("TEMP.csv", 5, "302.7", r"found 302.7, expected °C from -40 to 60"),
        ("TEMP.csv", 5, "85.1", r"found 85.1, expected °C"),
        ("IBI.csv", 1, "1644829925", r"IBI.csv, line 1, column 2: found nothing, expected the word IBI"),
        ("IBI.csv", 3, "0.5,0.78", r"line 3, column 1: found 0.5, expected a time after 0.75"),
        ("IBI.csv", 2, "0.75,781", r"line 2, column 2: found 781, expected s between beats"),
        ("tags.csv", 1, "1644829926500", r"tags.csv, line 1, column 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(small: Path, file: str, line: int, text: str, complaint: str) -> None:
    lines = (small / file).read_text().splitlines()
    lines[line - 1] = text
    (small / file).write_text("\n".join(lines) + "\n")
    with pytest.raises(SourceError, match=complaint):
        opened(small)


@pytest.mark.parametrize("file", ["ACC.csv", "BVP.csv", "EDA.csv", "TEMP.csv", "IBI.csv", "tags.csv"])
@pytest.mark.parametrize("other", ["001.csv", "OpenFace_Test.csv", "iMotions_Test_v6.txt", "single_face.jpg"])
def test_files_of_other_tools_are_refused(shared_data: Path, small: Path, file: str, other: str) -> None:
    shutil.copy(shared_data / "pyfeat-testdata" / other, small / file)
    with pytest.raises(SourceError, match=rf"{file}(, line 1, column \d+: found .* expected| is no text file)"):
        opened(small)


def test_two_files_in_each_others_place_are_noticed(small: Path) -> None:
    (small / "EDA.csv").rename(small / "other")
    (small / "BVP.csv").rename(small / "EDA.csv")
    (small / "other").rename(small / "BVP.csv")
    with pytest.raises(SourceError, match="a rate of"):
        opened(small)


def test_a_path_that_is_no_export(shared_data: Path, small: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="a single file of another kind"):
        opened(shared_data / "pyfeat-testdata" / "OpenFace_Test.csv")
    with pytest.raises(SourceError, match=r"has none of ACC\.csv"):
        opened(shared_data / "pyfeat-testdata")
    with pytest.raises(SourceError, match=r"did you mean .*small\?"):
        opened(tmp_path)
    with pytest.raises(SourceError, match=r"did you mean .*S05.tar.gz\?"):
        opened(shared_data / "stress-predict")


def test_files_of_two_sessions_are_not_mixed(small: Path) -> None:
    (small / "tags.csv").write_text(f"{RECORDED_S - 3600}\n")
    with pytest.raises(SourceError, match=r"3600.0 s older than the recording"):
        opened(small)


def test_two_recordings_in_one_archive(tmp_path: Path) -> None:
    for person in ("S01", "S02"):
        (tmp_path / "both" / person).mkdir(parents=True)
        write_export(tmp_path / "both" / person)
    archive = shutil.make_archive(str(tmp_path / "both"), "gztar", tmp_path / "both")
    with pytest.raises(SourceError, match="more than one E4 recording"):
        opened(Path(archive))


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def link(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo("ACC.csv")
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "member",
    [
        lambda: tarfile.TarInfo("../ACC.csv"),
        lambda: tarfile.TarInfo("/tmp/ACC.csv"),
        lambda: tarfile.TarInfo("a/../../ACC.csv"),
        lambda: link(tarfile.SYMTYPE),
        lambda: link(tarfile.LNKTYPE),
        lambda: link(tarfile.FIFOTYPE),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, member: Callable[[], tarfile.TarInfo]) -> None:
    with pytest.raises(SourceError, match="points out of it; refused"):
        opened(tar_with(tmp_path / "bad.tar.gz", member()))


@pytest.mark.parametrize("name", ["../ACC.csv", "/tmp/ACC.csv", "C:\\ACC.csv", "a\\..\\ACC.csv"])
def test_a_zip_that_reaches_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(SourceError, match="points out of it; refused"):
        opened(tmp_path / "bad.zip")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("ACC.csv")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(SourceError, match="a link or a path that points out of it"):
        opened(tmp_path / "bad.zip")


def test_archives_that_unpack_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e4_archive, "MOST_BYTES", 4 * 1024 * 1024)
    with gzip.open(tmp_path / "bomb.tar.gz", "wb") as packed:
        packed.write(bytes(16 * 1024 * 1024))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("other.txt", bytes(16 * 1024 * 1024))
    for name in ("bomb.tar.gz", "bomb.zip"):
        with pytest.raises(SourceError, match="unpacks to more than 4 MiB"):
            opened(tmp_path / name)


@pytest.mark.parametrize("name", ["broken.zip", "broken.tar.gz", "broken.tgz"])
def test_a_damaged_archive_is_named(tmp_path: Path, small: Path, name: str) -> None:
    whole = Path(shutil.make_archive(str(tmp_path / "whole"), "zip" if name.endswith("zip") else "gztar", small))
    (tmp_path / name).write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(SourceError, match=f"{name} cannot be unpacked"):
        opened(tmp_path / name)
    (tmp_path / name).write_bytes(b"no archive at all")
    with pytest.raises(SourceError, match=f"{name} cannot be unpacked"):
        opened(tmp_path / name)
