"""An estimate as a record that JSON can hold: what `mmal run --json` prints, one a line."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Estimate

DIGITS = 6


def estimate_record(estimate: Estimate, start_ns: int) -> dict[str, Any]:
    """Level, probabilities and modalities; times in seconds, `time_s` since `start_ns`."""
    return {
        "time_s": _seconds(estimate.stamp_ns - start_ns),
        "stamp_ns": estimate.stamp_ns,
        "level": None if estimate.level is None else estimate.level.name.lower(),
        "probabilities": _rounded(estimate.probabilities),
        "modalities": {
            modality.value: {
                "status": estimate.status[modality].value,
                "probabilities": _rounded(estimate.by_modality[modality]),
                "confidence": round(float(estimate.confidence[modality]), DIGITS),
                "age_s": _seconds(estimate.age_ns[modality]),
            }
            for modality in estimate.status
        },
        "model": estimate.model_version,
    }


def print_json(record: object) -> None:
    """One line on stdout, at once."""
    sys.stdout.write(json.dumps(record, allow_nan=False) + "\n")
    sys.stdout.flush()


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / NANOSECONDS_PER_SECOND, DIGITS)


def _rounded(values: Any) -> list[float]:
    return [round(float(value), DIGITS) for value in np.asarray(values)]
