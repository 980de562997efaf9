"""A researcher brings sound that openSMILE described, in each of its two ways to write it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import opensmile
import pandas as pd
import pytest
from opensmile.core.lib import OpenSMILE

from mmal_ros.datatypes import STEP_NS, Modality, Sample
from mmal_ros.features.audio_opensmile import OpenSmileExtractor
from mmal_ros.features.importers import FeatureFileError, read_opensmile
from mmal_ros.features.importers.opensmile import KNOWN_AFTER_NS
from mmal_ros.features.names import AUDIO_OPENSMILE

RATE = 16_000
START = 1_700_000_000_030_000_000
"""30 ms after a step, so that nothing falls on the grid by luck."""
CONFIG = Path(opensmile.__file__).parent / "core" / "config"


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """2.5 s of a noisy room. No voice: then openSMILE's pitch tracker never waits, and live equals import."""
    return (np.random.default_rng(2).normal(0, 0.02, int(2.5 * RATE)) * 32768).astype("<i2")


@pytest.fixture(scope="module")
def descriptors(sound: np.ndarray) -> pd.DataFrame:
    smile = opensmile.Smile(feature_set="eGeMAPSv02", feature_level="lld")
    return smile.process_signal(sound.astype(np.float32) / 32768, RATE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "room.csv"


def smilextract(sound: np.ndarray, folder: Path) -> Path:
    """The CSV that the SMILExtract program writes: its own configuration, through the library that it is made of."""
    recording, table = folder / "room.wav", folder / "room_lld.csv"
    with wave.open(str(recording), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.tobytes())
    options = {
        "source": CONFIG / "shared/standard_wave_input.conf.inc",
        "sink": CONFIG / "shared/standard_data_output_no_lld_de.conf.inc",
        "bufferModeRbConf": CONFIG / "shared/BufferModeRb.conf.inc",
        "frameModeFunctionalsConf": CONFIG / "shared/FrameModeFunctionals.conf.inc",
        "filename": recording,
        "lld_csv_output": table,
    }
    smile = OpenSMILE()
    smile.initialize(str(CONFIG / "egemaps/v02/eGeMAPSv02.conf"), options, loglevel=1)
    smile.run()
    smile.free()
    return table


def test_an_import_gives_what_the_live_extractor_gives(
    file: Path, sound: np.ndarray, descriptors: pd.DataFrame
) -> None:
    """The model that learned from the file meets the same numbers at the same times in the live session."""
    extractor = OpenSmileExtractor()
    live = list(extractor.process(Sample("microphone", START, sound.astype(np.float32) / 32768, RATE)))
    extractor.close()
    descriptors.to_csv(file)
    imported = {frame.stamp_ns: frame for frame in read_opensmile(file, START)}

    assert len(live) >= 23
    for frame in live:
        twin = imported[frame.stamp_ns]
        np.testing.assert_allclose(twin.values, frame.values, rtol=1e-4, atol=1e-4)
        assert (twin.modality, twin.feature_set) == (frame.modality, frame.feature_set)
        assert (twin.valid, twin.confidence) == (True, 1.0)


def test_both_ways_to_write_give_the_same(
    file: Path, sound: np.ndarray, descriptors: pd.DataFrame, tmp_path: Path
) -> None:
    descriptors.to_csv(file)
    of_python = list(read_opensmile(file, START))
    of_program = list(read_opensmile(smilextract(sound, tmp_path), START))
    assert [frame.stamp_ns for frame in of_program] == [frame.stamp_ns for frame in of_python]
    for one, other in zip(of_program, of_python, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-3, atol=1e-3)


def test_the_table_of_several_files_names_its_second_recording(file: Path, sound: np.ndarray, tmp_path: Path) -> None:
    smilextract(sound, tmp_path)
    smile = opensmile.Smile(feature_set="eGeMAPSv02", feature_level="lld")
    one = smile.process_file(tmp_path / "room.wav")
    one.to_csv(file)
    assert len(list(read_opensmile(file, START))) == 24
    two = one.rename(index={str(tmp_path / "room.wav"): "other.wav"}, level="file")
    pd.concat([one, two]).to_csv(file)
    with pytest.raises(FeatureFileError, match=r"a second recording, 'other.wav', begins"):
        list(read_opensmile(file, START))


def test_a_step_is_the_mean_of_what_became_known_in_it(file: Path) -> None:
    """Row i holds the number i: which rows are in a step can be read from its mean."""
    rows = [f"'unknown';{i / 100:.6f};" + ";".join([str(i)] * len(AUDIO_OPENSMILE)) for i in range(40)]
    file.write_text("\n".join(["name;frameTime;" + ";".join(AUDIO_OPENSMILE), *rows]))
    frames = list(read_opensmile(file, 0))

    assert [frame.stamp_ns for frame in frames] == [STEP_NS, 2 * STEP_NS, 3 * STEP_NS, 4 * STEP_NS]
    for frame in frames:
        known = [i for i in range(40) if frame.stamp_ns - STEP_NS < i * 10_000_000 + KNOWN_AFTER_NS <= frame.stamp_ns]
        np.testing.assert_allclose(frame.values, np.mean(known))
        assert frame.modality is Modality.AUDIO


def test_a_pause_between_two_segments_is_a_gap(file: Path, descriptors: pd.DataFrame) -> None:
    pd.concat([descriptors[:60], descriptors[140:]]).to_csv(file)
    stamps = [frame.stamp_ns for frame in read_opensmile(file, START)]
    assert sorted(set(np.diff(stamps))) == [STEP_NS, 9 * STEP_NS]  # known until 0.70 s, and again from 1.51 s on


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Loudness_sma3,", "loudness_sma3,", "1 of 24 columns are missing: Loudness_sma3; did you mean loudness_sma3"),
        ("start,", "begin,", "no column `frameTime` or `start`"),
        ("0 days 00:00:00.020000,", "soon,", "line 4, column 'start': found 'soon', expected seconds"),
        ("0 days 00:00:00.020000,", "0 days 00:00:00.025000,", "line 4, column 'start': 15 ms after the row before"),
        ("0 days 00:00:00.020000,", "0 days 00:00:00.010000,", "line 4, column 'start': 0.01 s is the same as"),
        ("0 days 00:00:00.020000,", "0 days 00:00:00.000000,", "line 4, column 'start': 0 s is earlier than"),
    ],
)
def test_a_wrong_header_or_time_is_named(
    file: Path, descriptors: pd.DataFrame, old: str, new: str, problem: str
) -> None:
    text = descriptors.reset_index(level="end", drop=True).to_csv()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(FeatureFileError, match=problem.replace(".", r"\.")):
        list(read_opensmile(file, START))


def test_descriptors_of_another_rate_are_refused(file: Path, descriptors: pd.DataFrame) -> None:
    descriptors[::2].to_csv(file)
    with pytest.raises(FeatureFileError, match="line 3, column 'start': 20 ms after the row before, expected 10 ms"):
        list(read_opensmile(file, START))


def test_functionals_are_recognised(file: Path, sound: np.ndarray) -> None:
    smile = opensmile.Smile(feature_set="eGeMAPSv02", feature_level="func")
    smile.process_signal(sound.astype(np.float32) / 32768, RATE).to_csv(file)
    with pytest.raises(FeatureFileError, match=r"looks like openSMILE functionals.*make low-level descriptors"):
        list(read_opensmile(file, START))
