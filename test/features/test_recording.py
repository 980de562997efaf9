"""Files of features: what is no recording is told in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmal_ros.features.recording import RecordingError, read_recording


def test_what_is_no_recording_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "features.npz"
    for content in (b"", b"PK\x03\x04", b"no archive", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(RecordingError, match=r"features\.npz is no recording of features"):
            read_recording(path)


def test_a_file_of_other_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(RecordingError, match="it has no 'start_ns'"):
        read_recording(tmp_path / "other.npz")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        read_recording(tmp_path / "nowhere.npz")
