"""Tables and their descriptions, as people write them for `mmal train`: read, or refused with one `DataError`."""

from __future__ import annotations

from hypothesis import example

from mmal_ros.training.data import load_data_set
from mmal_ros.training.people import DataError
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_text

LAYOUT = """name: our-study
source: Doe et al., 2025
file: study.csv
person: child
time: second
label: engagement
classes: [low, medium, high]
labels: {-1: low, 0: medium, 1: high, 9: null}
block: session
gap_s: 10
missing: [999]
modalities:
  face: ["AU*", gaze_x]
  physiology: [heart_rate]
"""
TABLE = "child,second,engagement,session,AU1,gaze_x,heart_rate\n" + "".join(
    f"P{n % 2},{n},{n % 3 - 1},s{n // 6},0.5,{n / 7:.2f},{60 + n}\n" for n in range(12)
)


def _load(path):
    try:
        load_data_set(str(path))
    except DataError as error:
        assert str(error)


@fuzz(damaged_text(LAYOUT))
@example(("name: " + "[" * 5000).encode())  # deeper than the parser can go
@example(LAYOUT.replace("study.csv", "'study\\0.csv'").encode())
@example(LAYOUT.replace("gap_s: 10", "gap_s: 1e308").encode())
@example(LAYOUT.replace("gap_s: 10", "gap_s: " + "9" * 5000).encode())
def test_a_damaged_description(tmp_path, content):
    (tmp_path / "study.csv").write_text(TABLE)
    (tmp_path / "study.yaml").write_bytes(content)
    _load(tmp_path / "study.yaml")


@fuzz(damaged_text(TABLE))
@example(TABLE.replace("0.5", "1e300").encode())
def test_a_damaged_table(tmp_path, content):
    (tmp_path / "study.csv").write_bytes(content)
    (tmp_path / "study.yaml").write_text(LAYOUT)
    _load(tmp_path / "study.yaml")
