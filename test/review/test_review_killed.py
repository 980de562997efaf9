"""The review server dies between answer and acknowledgement: no label that a page saw as saved is lost, none doubled.

Two hundred times: `python benchmarks/kill_review.py`.
"""

from __future__ import annotations

from rigs.review_killer import check, label_and_kill
from rigs.sessions import make_session

KILLS = 10


def test_no_acknowledged_label_is_lost_and_none_doubled(tmp_path):
    session = make_session(tmp_path, minutes=0.5, flags=6, clips=False)
    tally = label_and_kill(session, KILLS)
    assert tally.answers > KILLS  # it was killed at work, not before
    check(session, tally)
