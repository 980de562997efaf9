"""Plain tables: CSV or Parquet with one named column a feature and the time in `time_s`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features.importers.errors import FeatureFileError
from mmal_ros.features.importers.rows import RowReader
from mmal_ros.features.importers.text_table import Numbers, TextTable
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.wording import unknown, why

TIME, VALID, CONFIDENCE = "time_s", "valid", "confidence"
PARQUET_MAGIC = b"PAR1"


class Table(Protocol):
    """What a CSV and a Parquet file have in common."""

    columns: list[str]

    def require(self, names: Sequence[str]) -> None:
        """Raise unless every name is a column."""
        ...

    def numbers(self, names: Sequence[str]) -> Iterator[tuple[int, Numbers]]:
        """(line, numbers) of every row; NaN where there is none."""
        ...


def read_table(path: Path, modality: Modality, feature_set: str, start_ns: int) -> Iterator[FeatureFrame]:
    """The rows of a table as frames; columns of other names are not looked at, their order does not matter.

    Args:
        path: CSV with commas in UTF-8, or Parquet (told apart by content). One column for every name of the feature
            set in its unit, `time_s` (seconds, rising), and if wanted `valid` (0/1, absent: all valid) and
            `confidence` (0-1, absent: 1). The values of a row with `valid` 0 are not looked at.
        modality: of the frames.
        feature_set: one of `names.FEATURE_SETS`; of this modality.
        start_ns: stamp of `time_s` 0.

    Yields:
        Frames in the order of time.

    Raises:
        FeatureFileError: at once for the header, while iterating for the rows, with line and column.
        ValueError: there is no such feature set, or it is of another modality.
    """
    names = _names_of(feature_set, modality)
    table = _open(path)
    table.require((TIME, *names))
    return _frames(table, RowReader(path, modality, feature_set, names, start_ns), names)


def _names_of(feature_set: str, modality: Modality) -> tuple[str, ...]:
    of_modality = [name for name, (owner, _) in FEATURE_SETS.items() if owner == modality]
    if feature_set not in of_modality:
        raise ValueError(unknown(f"feature set of {modality}", feature_set, of_modality))
    return FEATURE_SETS[feature_set][1]


def _open(path: Path) -> Table:
    if not _is_parquet(path):
        return TextTable(path, note="; a table needs `time_s` and one column for every name of the feature set")
    try:
        from mmal_ros.features.importers.parquet import ParquetTable
    except ModuleNotFoundError as error:
        raise FeatureFileError(path, "Parquet needs pyarrow: pip install pyarrow") from error
    return ParquetTable(path)


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError as error:
        raise FeatureFileError(path, f"cannot be opened: {why(error)}") from error


def _frames(table: Table, rows: RowReader, names: Sequence[str]) -> Iterator[FeatureFrame]:
    optional = [name for name in (VALID, CONFIDENCE) if name in table.columns]
    for line, numbers in table.numbers((TIME, *names, *optional)):
        extra = dict(zip(optional, numbers[1 + len(names) :], strict=True))
        stamp_ns = rows.stamp(numbers[0], line, TIME)
        valid = rows.flag(extra.get(VALID, 1.0), line, VALID)
        trust = rows.confidence(extra.get(CONFIDENCE, 1.0), line, CONFIDENCE)
        yield rows.frame(stamp_ns, numbers[1 : 1 + len(names)], valid=valid, confidence=trust, line=line)
