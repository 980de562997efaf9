"""The process that writes labels dies between answer and acknowledgement: none is lost, none doubled.

Two hundred times: `python benchmarks/kill_labels.py`.
"""

from __future__ import annotations

from rigs.label_killer import check, label_and_kill

KILLS = 8


def test_no_acknowledged_label_is_lost_and_none_doubled(tmp_path):
    path = tmp_path / "labels.sqlite"
    acknowledged = label_and_kill(path, KILLS)
    assert acknowledged > KILLS  # it was killed at work, not before
    check(path, acknowledged)
