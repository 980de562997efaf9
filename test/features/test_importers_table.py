"""A researcher brings features in a plain table: CSV or Parquet, one named column each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmal_ros.datatypes import Modality
from mmal_ros.features.importers import FeatureFileError, read_table
from mmal_ros.features.importers.parquet import ROWS_AT_ONCE
from mmal_ros.features.names import FEATURE_SETS, PHYSIOLOGY

START = 1_700_000_000_000_000_000


def table(rows: int = 4, feature_set: str = "e4") -> pd.DataFrame:
    names = FEATURE_SETS[feature_set][1]
    numbers = pd.DataFrame(np.random.default_rng(1).normal(size=(rows, len(names))), columns=list(names))
    return pd.concat([pd.DataFrame({"time_s": np.arange(rows) / 10}), numbers], axis=1)


def saved(data: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        data.to_parquet(path, index=False)
    else:
        data.to_csv(path, index=False)
    return path


@pytest.fixture(params=["csv", "parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"child.{request.param}"


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_every_feature_set_can_be_given_as_a_table(file: Path, feature_set: str) -> None:
    data, modality = table(feature_set=feature_set), FEATURE_SETS[feature_set][0]
    frames = list(read_table(saved(data, file), modality, feature_set, START))
    assert [frame.stamp_ns - START for frame in frames] == [0, 100_000_000, 200_000_000, 300_000_000]
    for frame, (_, row) in zip(frames, data.iterrows(), strict=True):
        np.testing.assert_allclose(frame.values, row.to_numpy()[1:].astype(np.float32), rtol=1e-6)
        assert (frame.modality, frame.feature_set, frame.valid, frame.confidence) == (modality, feature_set, True, 1)


def test_a_wristband_that_was_not_worn_is_marked_and_its_values_are_not_looked_at(file: Path) -> None:
    data = table().assign(valid=[True, False, True, True], confidence=[1.0, 0.0, 0.5, 1.0])
    data.loc[1, "heart_rate_value"] = np.nan
    frames = list(read_table(saved(data, file), Modality.PHYSIOLOGY, "e4", START))
    assert [frame.valid for frame in frames] == [True, False, True, True]
    assert [frame.confidence for frame in frames] == [1, 0, 0.5, 1]
    assert not frames[1].values.any()


def test_further_columns_and_any_order_are_fine(file: Path) -> None:
    data = table().assign(remark="sat still", participant=7)
    frames = list(read_table(saved(data[data.columns[::-1]], file), Modality.PHYSIOLOGY, "e4", START))
    np.testing.assert_allclose(frames[2].values, data.loc[2, list(PHYSIOLOGY)].to_numpy(np.float32), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "line", "column", "problem"),
    [
        ({"eda_value": np.nan}, 3, "eda_value", "found nan, expected a finite number, or a row marked as not valid"),
        ({"eda_value": np.inf}, 3, "eda_value", "found inf, expected a finite number"),
        ({"eda_value": 1e39}, 3, "eda_value", "found 1e+39, expected a finite number"),
        ({"time_s": 0.1}, 3, "time_s", "0.1 s is the same as 0.1 s in the row before"),
        ({"time_s": 0.05}, 3, "time_s", "0.05 s is earlier than 0.1 s"),
        ({"time_s": -1.0}, 3, "time_s", "found -1, expected seconds"),
        ({"time_s": 1.6e12}, 3, "time_s", "found 1.6e+12, expected seconds"),
        ({"time_s": np.nan}, 3, "time_s", "found nan, expected seconds"),
        ({"confidence": 95.0}, 3, "confidence", "found 95, expected 0 to 1"),
        ({"valid": 2.0}, 3, "valid", "found 2, expected 0 or 1"),
    ],
)
def test_a_wrong_number_is_named_with_row_and_column(
    file: Path, change: dict[str, float], line: int, column: str, problem: str
) -> None:
    data = table().assign(valid=1.0, confidence=1.0)
    for name, value in change.items():
        data.loc[2, name] = value
    with pytest.raises(FeatureFileError) as error:
        list(read_table(saved(data, file), Modality.PHYSIOLOGY, "e4", START))
    assert (error.value.line, error.value.column) == (line + (file.suffix == ".csv"), column)  # CSV counts its header
    assert problem in str(error.value)


def test_missing_columns_are_named_and_guessed(file: Path) -> None:
    data = table().rename(columns={"eda_value": "EDA_value", "acc_x_value": "acc_x_Value"}).drop(columns="time_s")
    with pytest.raises(FeatureFileError) as error:
        read_table(saved(data, file), Modality.PHYSIOLOGY, "e4", START)
    assert "3 of 28 columns are missing: time_s, eda_value, acc_x_value" in str(error.value)
    assert "did you mean" in str(error.value)
    assert "acc_x_Value" in str(error.value)


def test_words_where_numbers_should_be_are_refused(file: Path) -> None:
    with pytest.raises(FeatureFileError, match=r"'eda_value'.*expected (a )?number"):
        list(read_table(saved(table().assign(eda_value="high"), file), Modality.PHYSIOLOGY, "e4", START))


def test_a_table_without_rows_is_refused(file: Path) -> None:
    with pytest.raises(FeatureFileError, match="no row"):
        list(read_table(saved(table(0), file), Modality.PHYSIOLOGY, "e4", START))


def test_rows_are_counted_through_the_pieces_of_a_long_parquet_file(tmp_path: Path) -> None:
    data = table(ROWS_AT_ONCE + 10)
    data.loc[ROWS_AT_ONCE + 4, "eda_value"] = np.nan
    frames = read_table(saved(data, tmp_path / "long.parquet"), Modality.PHYSIOLOGY, "e4", START)
    with pytest.raises(FeatureFileError, match=f"line {ROWS_AT_ONCE + 5}, column 'eda_value'"):
        list(frames)


def test_a_comma_for_the_decimal_point_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "german.csv"
    table().to_csv(path, index=False, decimal=",", quoting=1)
    with pytest.raises(FeatureFileError, match=r"line 2, column 'time_s': found '0,0', expected a number such as 0.25"):
        list(read_table(path, Modality.PHYSIOLOGY, "e4", START))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_another_delimiter_is_named(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "german.csv"
    table().to_csv(path, index=False, sep=delimiter)
    with pytest.raises(FeatureFileError, match=r"the columns are separated by .*, expected ','"):
        read_table(path, Modality.PHYSIOLOGY, "e4", START)


def test_a_feature_set_that_does_not_exist_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no feature set of face 'openface2'; did you mean 'openface-2'"):
        read_table(tmp_path / "any.csv", Modality.FACE, "openface2", START)
    with pytest.raises(
        ValueError, match="there is no feature set of body 'e4'; choose from openpose-18, mediapipe-pose"
    ):
        read_table(tmp_path / "any.csv", Modality.BODY, "e4", START)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = saved(table(), tmp_path / "child.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FeatureFileError, match="the Parquet file is damaged or not complete"):
        read_table(path, Modality.PHYSIOLOGY, "e4", START)
