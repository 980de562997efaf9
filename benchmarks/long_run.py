"""What a long run has shown: a table, a plot, its part of docs/reliability.md.

python benchmarks/long_run.py         # the table of all long runs into docs/reliability.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from docs_sections import put_between, table
from report import RESULTS, circumstances, publish
from trends import GROWING, Series, Trend, trend

DOCS = Path(__file__).resolve().parent.parent / "docs"
RELIABILITY, SUMMARIES = DOCS / "reliability.md", DOCS / "reliability"
PRINTED = ("begin", "end", "per_hour", "verdict")
COLUMNS = ("what", "after warm-up", "at the end", "slope an hour (95 %)", "flat means below", "it is")


@dataclass
class LongRun:
    """A run, its measures and what else is worth knowing of it."""

    name: str
    title: str
    warm_up_h: float
    series: Sequence[Series]
    facts: Mapping[str, Any]

    @cached_property
    def trends(self) -> list[Trend]:
        """Of every measure."""
        return [trend(series, self.warm_up_h) for series in self.series]

    def growing(self) -> list[str]:
        """What is not flat."""
        return [trend.name for trend in self.trends if trend.verdict == GROWING]

    def publish(self, into: Path | None) -> None:
        """Print it, keep all values in benchmarks/results, and put summary and plot into docs/reliability.

        Args:
            into: a folder for all of that instead.
        """
        trends, folder = self.trends, into or SUMMARIES
        folder.mkdir(exist_ok=True)
        rows = {one.name: {name: getattr(one, name) for name in PRINTED} for one in trends}
        series = {one.measure.name: {"hours": one.hours, "values": one.values} for one in self.series}
        results = into / "results" if into else RESULTS
        publish(self.name, rows, self.title, results, facts=dict(self.facts), series=series)
        summary = {"title": self.title, "facts": dict(self.facts), "trends": [asdict(one) for one in trends]}
        text = json.dumps(summary | circumstances(), indent=1)
        (folder / f"{self.name}.json").write_text(text + "\n")
        plot(self, folder / f"{self.name}.png")


def plot(run: LongRun, path: Path) -> None:
    """One panel under the other, over time; the line is the slope after warm-up."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys(series.measure.panel for series in run.series))
    figure, all_axes = plt.subplots(len(panels), 1, figsize=(8.4, 2.1 * len(panels)), sharex=True, squeeze=False)
    longest = max(max(series.hours, default=0.0) for series in run.series)
    per_hour, unit = (1.0, "hours") if longest > 2 else (60.0, "minutes")
    for title, axes in zip(panels, all_axes[:, 0], strict=True):
        for series in (one for one in run.series if one.measure.panel == title):
            axes.plot(np.array(series.hours) * per_hour, series.values, lw=1, label=series.measure.name)
        axes.axvspan(0, run.warm_up_h * per_hour, color="0.93", lw=0)
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncols=3, loc="best")
    all_axes[0, 0].set_title(run.title, fontsize=10)
    all_axes[-1, 0].set_xlabel(f"{unit} (grey: warm-up)")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def section(summaries: Path) -> str:
    """Every long run of a folder: its sentence, its table, its picture."""
    return "\n\n".join(_of_run(path) for path in sorted(summaries.glob("*.json")))


def _of_run(path: Path) -> str:
    run = json.loads(path.read_text())
    facts = "; ".join(f"{name}: {value}" for name, value in run["facts"].items())
    circumstance = f"{run['date']}, commit {run['commit']}, {run['machine']}, load {run['load_before']} before"
    text = f"**{run['title']}** (`{run['command']}`; {circumstance}). {facts}."
    rows = [_row(Trend(**one)) for one in run["trends"]]
    return "\n\n".join([text, table(COLUMNS, rows), f"![{run['title']}](reliability/{path.stem}.png)"])


def _row(one: Trend) -> list[str]:
    slope = f"{one.per_hour:+.3g} ({one.low:+.2g} to {one.high:+.2g})"
    unit = f", {one.unit}" if one.unit else ""
    return [f"{one.name}{unit}", f"{one.begin:.4g}", f"{one.end:.4g}", slope, f"{one.flat_per_hour:g}", one.verdict]


if __name__ == "__main__":
    put_between(RELIABILITY, "long runs", section(SUMMARIES))
