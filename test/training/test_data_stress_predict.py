"""An hour with a wristband: the buttons that were pressed divide it, the code that runs live makes the features."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, Modality
from mmal_ros.features.names import PHYSIOLOGY
from mmal_ros.features.physiology import PhysiologyExtractor
from mmal_ros.pipeline import frames_of_samples
from mmal_ros.sensors.e4_archive import read_export
from mmal_ros.sensors.e4_folder import E4Folder
from mmal_ros.training.data import stress_predict
from mmal_ros.training.people import DataError
from mmal_ros.window_stream import WindowStream

TAGS_S = (15, 30, 45, 60, 75, 90, 105)
LASTS_S = 115
RATES_HZ = {"ACC.csv": 32, "BVP.csv": 64, "EDA.csv": 4, "TEMP.csv": 4}


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "stress-predict"


@pytest.fixture(scope="module")
def short(folder, tmp_path_factory):
    """The first two minutes of two people, with the seven presses of the button moved into them."""
    place = tmp_path_factory.mktemp("short")
    for code in ("S10", "S05"):
        shorten(folder / f"{code}.tar.gz", place / code)
    return place


@pytest.fixture(scope="module")
def data(short, tmp_path_factory):
    return stress_predict.load(short, cache=tmp_path_factory.mktemp("cache"))


def shorten(archive, export):
    export.mkdir()
    files = read_export(archive)
    start_s = float(files["ACC.csv"].split(b",")[0])
    for name, rate_hz in RATES_HZ.items():
        lines = files[name].splitlines()
        (export / name).write_bytes(b"\n".join(lines[: 2 + rate_hz * LASTS_S]))
    beats = files["IBI.csv"].splitlines()
    (export / "IBI.csv").write_bytes(
        b"\n".join([beats[0], *(b for b in beats[1:] if float(b.split(b",")[0]) < LASTS_S)])
    )
    (export / f"tags_{export.name}.csv").write_text("\n".join(f"{start_s + tag:.2f}" for tag in TAGS_S))


def copied(short, place):
    """A copy of one person that may be damaged."""
    export = place / "S10"
    export.mkdir()
    for file in (short / "S10").iterdir():
        (export / file.name).write_bytes(file.read_bytes())
    return export


def test_the_protocol_of_every_real_recording_is_read(folder):
    exports = stress_predict._exports(folder)
    assert list(exports) == ["S05", "S07", "S08", "S09", "S10", "S11", "S12", "S13"]
    for export in exports.values():
        protocol = stress_predict._protocol(export)
        assert [stress_predict.CLASSES[segment.label] for segment in protocol] == list(stress_predict.STRETCHES)
        minutes = [(segment.end_ns - segment.start_ns) / NANOSECONDS_PER_SECOND / 60 for segment in protocol]
        assert 8 < minutes[3] < 11  # the interview is the longest task
        assert 1.5 < minutes[5] < 3  # and hyperventilation the shortest


def test_people_classes_and_stretches(data):
    assert data.codes == ("S05", "S10")
    assert data.features[Modality.PHYSIOLOGY] == PHYSIOLOGY
    assert (data.steps, data.modalities) == (10, (Modality.PHYSIOLOGY,))
    for person in data.people:
        assert np.unique(person.blocks).tolist() == list(range(7))
        assert [person.labels[person.blocks == block][0] for block in range(7)] == [0, 1, 0, 1, 0, 2, 0]
        assert person.heard(Modality.PHYSIOLOGY).mean() > 0.95


def test_no_window_lies_across_a_border_or_after_the_end_of_relaxation(data):
    borders = (0, *TAGS_S)
    for person in data.people:
        for block in range(7):
            middles = person.times_s[person.blocks == block]
            assert middles.min() >= borders[block] + 0.5 - 1e-6
            assert middles.max() <= borders[block + 1] - 0.5 + 1e-6
            assert len(middles) == pytest.approx(14 / 0.67, abs=2)


def test_windows_follow_one_another_every_two_thirds_of_a_second(data):
    for person in data.people:
        steps = np.diff(person.times_s)[np.diff(person.blocks) == 0]
        assert set(np.round(steps, 6)) == {0.6, 0.7}
        assert steps.mean() == pytest.approx(0.67, abs=0.005)


def test_a_window_is_what_the_live_graph_sees(data, short):
    """Of the same export, frame by frame through the stream of a graph that estimates ten times a second."""
    export = short / "S10"
    start_ns = stress_predict._protocol(export)[0].start_ns
    with E4Folder(export, start_ns) as source:
        frames = list(frames_of_samples([(source, PhysiologyExtractor())]))
    stream = WindowStream(stress_predict.FEATURE_SETS)
    live = {
        window.end_ns: (window.features[Modality.PHYSIOLOGY].copy(), window.mask[Modality.PHYSIOLOGY].copy())
        for window in stream.replay(frames, start_ns)
    }
    (person,) = data.of(["S10"])
    for row in range(0, len(person), 7):
        end_ns = round(((person.times_s[row] + 0.5) * NANOSECONDS_PER_SECOND + start_ns) / STEP_NS) * STEP_NS
        features, mask = live[end_ns]
        assert np.array_equal(person.features[Modality.PHYSIOLOGY][row], features)
        assert np.array_equal(person.mask[Modality.PHYSIOLOGY][row], mask)


def test_what_was_computed_is_not_computed_again(short, tmp_path):
    alone = tmp_path / "people"
    alone.mkdir()
    copied(short, alone)
    before = stress_predict.load(alone, cache=tmp_path / "cache", jobs=1)
    (file,) = (tmp_path / "cache").glob("*/S10-*.npz")
    written = file.stat().st_mtime_ns
    with tarfile.open(tmp_path / "S10.tar.gz", "w:gz") as archive:
        archive.add(alone / "S10", "S10")
    (tmp_path / "S10.tar.gz").rename(alone / "other.tar.gz")
    for inside in (alone / "S10").iterdir():
        inside.unlink()
    (alone / "S10").rmdir()
    (alone / "other.tar.gz").rename(alone / "S10.tar.gz")
    again = stress_predict.load(alone, cache=tmp_path / "cache")  # packed, and still the same recording
    assert again.fingerprint() == before.fingerprint()
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("name", ["EDA.csv", "IBI.csv", "tags_S10.csv"])
def test_a_missing_file_is_named(short, tmp_path, name):
    (copied(short, tmp_path) / name).unlink()
    with pytest.raises(DataError, match=f"S10: the export lacks {'tags.csv' if 'tags' in name else name}"):
        stress_predict.load(tmp_path, cache=tmp_path / "cache")


def test_fewer_presses_of_the_button_are_refused(short, tmp_path):
    tags = copied(short, tmp_path) / "tags_S10.csv"
    tags.write_text("\n".join(tags.read_text().splitlines()[:6]))
    with pytest.raises(DataError, match="S10: there are 6 tags, expected 7"):
        stress_predict.load(tmp_path, cache=tmp_path / "cache")


@pytest.mark.parametrize("order", [(1, 0, 2, 3, 4, 5, 6), (0, 0, 1, 2, 3, 4, 5)])
def test_presses_that_do_not_rise_are_refused(short, tmp_path, order):
    tags = copied(short, tmp_path) / "tags_S10.csv"
    lines = tags.read_text().splitlines()
    tags.write_text("\n".join(lines[index] for index in order))
    with pytest.raises(DataError, match=r"tags.csv, line 2.*expected a time after"):
        stress_predict.load(tmp_path, cache=tmp_path / "cache")


def test_presses_of_another_session_are_refused(short, tmp_path):
    tags = copied(short, tmp_path) / "tags_S10.csv"
    tags.write_text("\n".join(f"{float(line) + 86_400:.2f}" for line in tags.read_text().splitlines()))
    with pytest.raises(DataError, match="its tags are not within its recording"):
        stress_predict.load(tmp_path, cache=tmp_path / "cache")


def test_a_number_that_is_none_is_refused_with_its_line(short, tmp_path):
    eda = copied(short, tmp_path) / "EDA.csv"
    lines = eda.read_text().splitlines()
    lines[11] = "nan"
    eda.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"S10/EDA.csv, line 12, column 1: found 'nan'"):
        stress_predict.load(tmp_path, cache=tmp_path / "cache")


def test_an_archive_that_was_cut_off_is_refused(folder, tmp_path):
    (tmp_path / "S05.tar.gz").write_bytes((folder / "S05.tar.gz").read_bytes()[:100_000])
    with pytest.raises(DataError, match=r"S05.tar.gz cannot be unpacked"):
        stress_predict.load(tmp_path, cache=tmp_path / "cache")


def test_a_folder_without_any_export_is_refused(tmp_path):
    (tmp_path / "LICENSE").write_text("MIT")
    with pytest.raises(DataError, match="there is no E4 export in it"):
        stress_predict.load(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        stress_predict.load(tmp_path / "elsewhere")


def test_one_person_twice_is_refused(short, tmp_path):
    copied(short, tmp_path)
    (tmp_path / "S10.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"S10 and S10.zip are of the same person"):
        stress_predict.load(tmp_path, cache=tmp_path / "cache")
