"""Kill the process that writes labels, 200 times at random moments: `python benchmarks/kill_labels.py [KILLS]`.

Says how many labels were acknowledged; fails when one of them is not there, or one is there twice.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))
from rigs.label_killer import check, label_and_kill  # type: ignore[import-not-found]


def main() -> None:
    """Kill, count, check."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with TemporaryDirectory() as folder:
        path = Path(folder) / "labels.sqlite"
        acknowledged = label_and_kill(path, kills)
        check(path, acknowledged)
    print(f"{kills} kills, {acknowledged} labels acknowledged: none lost, none doubled")


if __name__ == "__main__":
    main()
