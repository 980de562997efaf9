"""The folder of a report: results.parquet with every row, figures as PNG, and report.md that says what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mmal_ros.files import private_folder, write_atomically
from mmal_ros.training.evaluation import figures, tables
from mmal_ros.training.evaluation.bootstrap import of_whole
from mmal_ros.training.evaluation.results import Results, View
from mmal_ros.training.evaluation.settings import RANDOM_REMAINDER, TIME_BLOCKED, Protocol, Settings
from mmal_ros.training.evaluation.table import write_table
from mmal_ros.training.people import DataSet

RESULTS_NAME = "results.parquet"
REPORT_NAME = "report.md"
METRICS = ("f1_present", "f1_all", "accuracy")
PROTOCOLS = {
    TIME_BLOCKED: "fixed hold-out: of each block of recording the first {share:.0%} may be asked about, {gap:g} s are "
    "left out, the rest is tested, the same for every selector. Between the end of a block and the beginning of the "
    "next nothing is left out.",
    RANDOM_REMAINDER: "the paper's: everything may be asked about, and what was not is tested. The test windows differ "
    "per selector and neighbour the labelled ones in time, which flatters.",
}
READING = """\
- **The constant** always answers the commonest class of the person's test windows. Where one class is common it has a
  high accuracy without knowing anything: read macro-F1 first, over the classes that occur in the test windows.
- **Own data only** has learned from the person's labels alone. What the group model is worth is the distance to it.
- Every selector starts from the same group model and the same pool.
- Numbers are means over people, the seeds averaged before; in brackets the 95 % bootstrap interval over people
  (expanded percentile). **Bold** differences have an interval without 0. They are not corrected for their number: of
  twenty true nothings one is bold. Fewer than six people have no interval.
- Area: mean height of the curve over the logarithm of the budget. Labels to 95 % of all: where the mean curve, straight
  between budgets, first reaches 95 % of what all labels of the pool give.
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """What has to be known to get the results again."""

    command: str
    commits: Sequence[str]
    """Of the code that computed the cells; more than one where a run was continued after a change."""
    software: Mapping[str, str]


def write_report(folder: Path, table: pa.Table, settings: Settings, data: DataSet, origin: Origin) -> Path:
    """Write results.parquet, the figures and report.md; returns the path of the last."""
    private_folder(folder)
    results = Results(write_table(table, folder / RESULTS_NAME), settings)
    parts = [f"# Evaluation on {data.name}", _facts(results, data, origin), "## How to read it", READING]
    for protocol in settings.protocols:
        about = PROTOCOLS[protocol].format(share=settings.pool_share, gap=data.gap_s)
        parts += [f"## Protocol {protocol}", about[0].upper() + about[1:]]
        for personaliser in results.personalisers:
            parts += _section(results, View(protocol, personaliser), data, folder)
        parts += _searched(results, protocol, folder)
    path = folder / REPORT_NAME
    write_atomically(path, "\n\n".join(part.strip() for part in parts) + "\n")
    return path


def _facts(results: Results, data: DataSet, origin: Origin) -> str:
    settings = results.settings
    rows = [
        ["command", f"`{origin.command}`"],
        ["commit", ", ".join(origin.commits)],
        ["data", f"{data.name}, hash `{data.fingerprint()}`"],
        ["source of the data", data.source],
        ["repairs", " ".join(data.repairs) or "none"],
        ["classes", ", ".join(data.classes)],
        ["people tested", f"{len(results.people)}: {', '.join(results.people)}"],
        ["seeds", f"{settings.seeds}: 0 to {settings.seeds - 1}"],
        ["personalisers", ", ".join(settings.personalisers)],
        ["device", settings.device],
        ["software", ", ".join(f"{name} {version}" for name, version in origin.software.items())],
    ]
    return tables.markdown(["", ""], rows).replace("--:", ":--")


def _section(results: Results, view: View, data: DataSet, folder: Path) -> list[str]:
    """Tables and figures of one personaliser under one protocol."""
    name = f"{view.personaliser}-{view.protocol}"
    curves, people, confusion = f"f1-{name}.png", f"before-after-{name}.png", f"confusion-{name}.png"
    main = view == View(results.settings.protocols[0], results.personalisers[0])
    figures.f1_over_budget(results, view, folder / curves)
    figures.before_after(results, view, folder / people)
    budget = figures.few_budgets(results)[-1]
    figures.confusion_matrices(results, view, data.classes, budget, folder / confusion)
    return [
        f"### {view.personaliser}, {view.protocol}",
        *_who_counts(results, view),
        tables.f1_table(results, view),
        f"![F1 over budget]({curves})",
        *_differences(results, view, folder / f"difference-{name}.png", pairs=main),
        "Before/after in %, mean over people and budgets:",
        *(tables.paper_table(results, view, metric) for metric in METRICS),
        f"![Before and after, person by person]({people})",
        f"![Confusion matrices]({confusion})",
    ]


def _who_counts(results: Results, view: View) -> list[str]:
    """Where somebody has nothing left to test at a budget, which takes her out of all means."""
    least = min(len(of_whole(results.curves(view, selector))) for selector in results.selectors)
    if least == len(results.people):
        return []
    why = f"of the others nothing is left to test at {results.budgets[-1]} labels, or less; see `--budgets`"
    return [f"**Means over budgets are those of {least} of {len(results.people)} people**: {why}."]


def _differences(results: Results, view: View, path: Path, *, pairs: bool) -> list[str]:
    """What the selectors add to the reference, and with `pairs` to each other."""
    if not figures.difference_over_budget(results, view, path):
        return []
    parts = [f"Differences to {results.reference}, paired by person:", tables.difference_table(results, view)]
    parts.append(f"![Differences between selectors]({path.name})")
    return [*parts, "All pairs of selectors:", tables.pair_table(results, view)] if pairs else parts


def _searched(results: Results, protocol: Protocol, folder: Path) -> list[str]:
    name = f"searched-{protocol}.png"
    if not figures.searched_share(results, protocol, folder / name):
        return []
    return [f"### Share of the pool searched, {protocol}", f"![Share of the pool searched]({name})"]
