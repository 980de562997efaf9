"""Parts of a Markdown page that a program writes, between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def put_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of a page; raises ValueError where they are not, in this order, once."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end or begin in rest or end in after:
        raise ValueError(f"{page} has not once {begin} and after it {end}; put them where the text shall stand")
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def read_records(path: Path, fields: Collection[str]) -> list[Record]:
    """The objects of a file of JSON lines, each with these fields; raises ValueError for what is none."""
    records = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"{path}, line {number} is no JSON: {error.msg}; was a test killed while it wrote?"
            raise ValueError(problem) from error
        if not isinstance(record, dict) or set(record) != set(fields):
            raise ValueError(f"{path}, line {number} is not what is meant; expected {', '.join(sorted(fields))}")
        records.append(record)
    return records


def table_command(
    description: str, name: str, fields: Collection[str], table_of: Callable[[Sequence[Record]], str]
) -> list[Record]:
    """A program that makes a table of a log, and prints it or puts it into a page; exit code 2 where it cannot.

    Returns what is in the log, objects with these fields.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--into", type=Path, metavar="PAGE.md", help=f"replace what is between the markers '{name}'")
    arguments = parser.parse_args()
    try:
        records = read_records(arguments.log, fields)
        text = table_of(records)
        put_between(arguments.into, name, text) if arguments.into else print(text)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    return records
