"""What became of provoked faults, as a table: how soon they were seen, how soon all was well again, what was lost.

    MMAL_FAULT_LOG=faults.jsonl pytest test/faults -m "soak or not soak"
    python benchmarks/fault_table.py faults.jsonl --into docs/reliability.md

Ends with exit code 1 where a fault was seen after more than 2 s, or a killed node was back after more than 3 s.

Each line of the log is an `Outcome` of test/rigs/fault_log.py. Repeated provocations are one row, in the order in which
each was first there.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from docs_sections import Record, table, table_command

COLUMNS = ("fault", "how it was provoked", "n", "seen after, median (max)", "well again after, median (max)", "lost")
SEEN_WITHIN_S, BACK_WITHIN_S = 2.0, 3.0
"""What is promised of every fault, and of a node that is killed."""
KILLED = "_node is killed"
FIELDS = {"fault", "provoked", "detected_s", "recovered_s", "lost"}


def fault_table(outcomes: Iterable[Record]) -> str:
    """One row for each fault and way to provoke it; those of a fault stand together."""
    groups: dict[str, dict[str, list[Record]]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome["fault"], {}).setdefault(outcome["provoked"], []).append(outcome)
    rows = [_row(fault, provoked, same) for fault, ways in groups.items() for provoked, same in ways.items()]
    return table(COLUMNS, rows)


def too_late(outcomes: Sequence[Record]) -> list[str]:
    """What was seen, or was back, later than is promised; for people."""
    late = [one for one in outcomes if (one["detected_s"] or 0) > SEEN_WITHIN_S]
    back = [one for one in outcomes if one["fault"].endswith(KILLED) and (one["recovered_s"] or 0) > BACK_WITHIN_S]
    return [f"seen too late, after {one['detected_s']:.2f} s: {one['fault']}, {one['provoked']}" for one in late] + [
        f"back too late, after {one['recovered_s']:.2f} s: {one['fault']}" for one in back
    ]


def _row(fault: str, provoked: str, outcomes: Sequence[Record]) -> list[str]:
    times = [_seconds([outcome[name] for outcome in outcomes]) for name in ("detected_s", "recovered_s")]
    return [fault, provoked, str(len(outcomes)), *times, _lost(outcomes)]


def _seconds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.2f} s ({max(known):.2f})" if known else "–"


def _lost(outcomes: Sequence[Record]) -> str:
    lost = Counter(outcome["lost"] for outcome in outcomes if outcome["lost"])
    return "; ".join(f"{what} ({number}×)" if number > 1 else what for what, number in lost.items()) or "nothing"


if __name__ == "__main__":
    sys.exit("\n".join(too_late(table_command(__doc__ or "", "faults", FIELDS, fault_table))) or None)
