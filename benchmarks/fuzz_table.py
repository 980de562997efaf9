"""What damaged inputs did to each reader, as a table: examples, minutes, findings, memory.

    make fuzz                                                              # appends to .cache/fuzz.jsonl
    python benchmarks/fuzz_table.py .cache/fuzz.jsonl --into docs/reliability.md

Each line of the log is a `Target` of test/fuzz/conftest.py; runs of the same target add up, findings stay until the log
is begun anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docs_sections import Record, table, table_command

COLUMNS = (
    "what reads", "targets", "examples", "minutes, the least of a target", "minutes of a processor, all", "findings",
    "highest peak of memory",
)  # fmt: skip
FIELDS = {"name", "examples", "minutes", "processor_minutes", "peak_mib", "finding"}


def fuzz_table(runs: Iterable[Record]) -> str:
    """One row for each file of targets."""
    files: dict[str, dict[str, list[Record]]] = {}
    for run in runs:
        file, _, target = run["name"].partition("::")
        files.setdefault(file, {}).setdefault(target, []).append(run)
    return table(COLUMNS, [_row(file, files[file]) for file in sorted(files)])


def _row(file: str, targets: dict[str, list[Record]]) -> list[str]:
    runs = [run for of_target in targets.values() for run in of_target]
    return [
        file.removeprefix("test_").removesuffix(".py").replace("_", " "),
        str(len(targets)),
        f"{sum(run['examples'] for run in runs):,}",
        f"{min(sum(run['minutes'] for run in of_target) for of_target in targets.values()):.1f}",
        f"{sum(run['processor_minutes'] for run in runs):.1f}",
        _findings(runs),
        f"{max(run['peak_mib'] for run in runs)} MiB",
    ]


def _findings(runs: Sequence[Record]) -> str:
    found = sorted({run["finding"].splitlines()[0][:100] for run in runs if run["finding"]})
    return "; ".join(found) or "none"


if __name__ == "__main__":
    table_command(__doc__ or "", "fuzzing", FIELDS, fuzz_table)
