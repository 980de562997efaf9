"""Who can be tested, before anything is computed: one whom nobody can be compared with would end the grid half-way."""

from __future__ import annotations

from dataclasses import replace

from mmal_ros.training.evaluation.protocol import time_blocked
from mmal_ros.training.evaluation.settings import TIME_BLOCKED, Settings
from mmal_ros.training.people import DataError, DataSet

FEWEST_OF_A_GROUP = 2
"""Windows: somebody has to be held out."""


def with_whom(data: DataSet, settings: Settings) -> tuple[DataSet, tuple[str, ...]]:
    """Who can be tested, in the order of the data; the data's repairs say who is left out, and why.

    Raises:
        DataError: there is nobody to learn from, nobody to test, or somebody who was named cannot be tested.
    """
    reasons = {code: _why_not(data, code, settings) for code in settings.people or data.tested}
    left_out = [reason for reason in reasons.values() if reason]
    people = tuple(code for code, reason in reasons.items() if not reason)
    if left_out and (settings.people or not people):
        raise DataError(left_out[0])
    return replace(data, repairs=(*data.repairs, *(f"Not tested: {reason}." for reason in left_out))), people


def _why_not(data: DataSet, code: str, settings: Settings) -> str:
    """Why somebody cannot be tested; empty: she can be."""
    if sum(len(person) for person in data.group_without(code)) < FEWEST_OF_A_GROUP:
        return f"{data.name} has nobody besides '{code}' to learn a group's model from; add recordings of other people"
    if TIME_BLOCKED in settings.protocols:
        try:
            time_blocked(data.of([code])[0], data.gap_s, settings.pool_share)
        except DataError as error:
            return str(error)
    return ""
