"""Parts of a Markdown page that a program writes, between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


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
