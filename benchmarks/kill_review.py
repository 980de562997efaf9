"""Kill the review server while somebody labels, 200 times: `python benchmarks/kill_review.py [KILLS]`.

Says how many labels were acknowledged; fails when one of them is not there, or one is there twice.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))
from rigs.review_killer import check, label_and_kill  # type: ignore[import-not-found]
from rigs.sessions import make_session  # type: ignore[import-not-found]


def main() -> None:
    """Kill, count, check."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with TemporaryDirectory() as folder:
        session = make_session(Path(folder), minutes=0.5, flags=20, clips=False)
        tally = label_and_kill(session, kills)
        check(session, tally)
    repeated = f"{tally.repeated} of them had been written when the server died, and were sent again"
    print(f"{kills} kills, {tally.answers} labels acknowledged ({repeated}): none lost, none doubled")


if __name__ == "__main__":
    main()
