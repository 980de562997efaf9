"""What became of provoked faults, as a table: how soon they were seen, how soon all was well again, what was lost.

    MMAL_FAULT_LOG=faults.jsonl pytest test/faults -m "soak or not soak"
    python benchmarks/fault_table.py faults.jsonl --into docs/reliability.md

Each line of the log is an `Outcome` of test/rigs/fault_log.py. Repeated provocations are one row, in the order in which
each was first there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from docs_sections import put_between, table

COLUMNS = ("fault", "how it was provoked", "n", "seen after, median (max)", "well again after, median (max)", "lost")
FIELDS = {"fault", "provoked", "detected_s", "recovered_s", "lost"}
Outcome = dict[str, Any]


def read_log(path: Path) -> list[Outcome]:
    """The outcomes of a log; raises ValueError for what is none."""
    outcomes = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            outcome = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number} is no JSON: {error.msg}; was a test killed while it wrote?"
            ) from error
        if not isinstance(outcome, dict) or set(outcome) != FIELDS:
            raise ValueError(f"{path}, line {number} is no outcome; expected {', '.join(sorted(FIELDS))}")
        outcomes.append(outcome)
    return outcomes


def fault_table(outcomes: Iterable[Outcome]) -> str:
    """One row for each fault and way to provoke it; those of a fault stand together."""
    groups: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome["fault"], {}).setdefault(outcome["provoked"], []).append(outcome)
    rows = [_row(fault, provoked, same) for fault, ways in groups.items() for provoked, same in ways.items()]
    return table(COLUMNS, rows)


def _row(fault: str, provoked: str, outcomes: Sequence[Outcome]) -> list[str]:
    times = [_seconds([outcome[name] for outcome in outcomes]) for name in ("detected_s", "recovered_s")]
    return [fault, provoked, str(len(outcomes)), *times, _lost(outcomes)]


def _seconds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.2f} s ({max(known):.2f})" if known else "–"


def _lost(outcomes: Sequence[Outcome]) -> str:
    lost = Counter(outcome["lost"] for outcome in outcomes if outcome["lost"])
    return "; ".join(f"{what} ({number}×)" if number > 1 else what for what, number in lost.items()) or "nothing"


def main() -> None:
    """Print the table, or put it into a page; exit code 2 where there is nothing to make it of."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--into", type=Path, metavar="PAGE.md", help="replace what is between the markers 'faults'")
    arguments = parser.parse_args()
    try:
        text = fault_table(read_log(arguments.log))
        put_between(arguments.into, "faults", text) if arguments.into else print(text)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
