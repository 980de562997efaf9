"""The tables of a report, as Markdown. Intervals are 95 % over people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mmal_ros.training.evaluation.bootstrap import Band, band, of_whole
from mmal_ros.training.evaluation.curves import SHARE_OF_ALL, area_under_curve, labels_to_reach
from mmal_ros.training.evaluation.results import Numbers, Results, View
from mmal_ros.training.evaluation.settings import OWN_DATA_ONLY

ROW_NAMES = {
    "face": "FACE",
    "body": "BODY",
    "physiology": "A-PHYS",
    "audio": "AUDIO",
    "feature-fusion": "FEATURE-F",
    "model-fusion": "MODEL-F",
}
"""As the paper's table calls them (MMQL 2019, tab. 2)."""
NOTHING, MINUS = "–", "−"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column is text, the others are numbers."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def f1_table(results: Results, view: View) -> str:
    """Rows: selectors and what they must be held against; columns: budgets, area under the curve, labels needed."""
    budgets = [str(budget) for budget in results.budgets]
    rows = [_f1_row(results, view, selector, selector) for selector in results.selectors]
    own, before = view.own_data_only(), view.before()
    if view != own and results.has(own):
        rows += [_f1_row(results, own, name, f"*own data only, {name}*") for name in _shown_references(results)]
    if results.has(before):
        curves = results.curves(before, results.reference)
        rows.append(["*group model (before)*", *_budget_cells(results, curves), ""])
    constant = results.curves(view, results.reference, "constant_f1_present")
    rows.append(["*constant*", *_budget_cells(results, constant), ""])
    share = f"labels to {SHARE_OF_ALL:.0%} of all"
    table = markdown(["macro-F1, classes present", *budgets, "area", share], rows)
    (everything,) = _intervals(band(results.with_all_labels(view)))
    return table if everything == NOTHING else f"{table}\n\nWith all labels of the pool: {everything}."


def difference_table(results: Results, view: View, metric: str = "f1_present") -> str:
    """Each selector minus the reference, person by person; ** where the interval leaves out 0."""
    reference = results.curves(view, results.reference, metric)
    rows = [
        [
            f"{selector} − {results.reference}",
            *_budget_cells(results, results.curves(view, selector, metric) - reference, signed=True),
        ]
        for selector in results.selectors
        if selector != results.reference
    ]
    return markdown(["difference", *map(str, results.budgets), "area"], rows)


def pair_table(results: Results, view: View) -> str:
    """Area under the curve of the row's selector minus that of the column's, person by person."""
    budgets = np.array(results.budgets, float)
    areas = np.array([area_under_curve(budgets, results.curves(view, name)) for name in results.selectors]).T  # (P, S)
    cells = _intervals(band(areas[:, :, None] - areas[:, None, :]), signed=True).reshape(areas.shape[1], -1)
    np.fill_diagonal(cells, NOTHING)
    rows = [[name, *row] for name, row in zip(results.selectors, cells, strict=True)]
    return markdown(["area, row − column", *results.selectors], rows)


def paper_table(results: Results, view: View, metric: str) -> str:
    """The paper's table: before/after in %, mean over people and budgets; the constant and own data only below."""
    rows = [
        [
            ROW_NAMES[variant],
            *(_before_after(results, view._replace(variant=variant), name, metric) for name in results.selectors),
        ]
        for variant in results.variants(view)
    ]
    own = view.own_data_only()
    if view.personaliser != OWN_DATA_ONLY and results.has(own):
        rows.append(["*own data only*", *(_percent(results.curves(own, name, metric)) for name in results.selectors)])
    constant = f"constant_{metric}"
    rows.append(["*constant*", *(_percent(results.curves(view, name, constant)) for name in results.selectors)])
    return markdown([metric_name(metric), *results.selectors], rows)


def metric_name(metric: str) -> str:
    """What readers call a column."""
    return {"f1_present": "F1, classes present", "f1_all": "F1, all classes", "accuracy": "ACC"}[metric]


def _shown_references(results: Results) -> list[str]:
    return list(dict.fromkeys((results.selectors[0], results.reference)))


def _f1_row(results: Results, view: View, selector: str, name: str) -> list[str]:
    curves = results.curves(view, selector)
    return [name, *_budget_cells(results, curves), _labels_needed(results, view, curves)]


def _budget_cells(results: Results, curves: Numbers, *, signed: bool = False) -> list[str]:
    """Mean and interval for each budget, and for the area under the curve."""
    area = area_under_curve(np.array(results.budgets, float), curves)
    return list(_intervals(band(np.column_stack([curves, area])), signed=signed))


def _labels_needed(results: Results, view: View, curves: Numbers) -> str:
    everything, known = of_whole(results.with_all_labels(view)), of_whole(curves)
    if not len(everything) or not len(known):
        return NOTHING
    target = SHARE_OF_ALL * float(everything.mean())
    needed = labels_to_reach(np.array(results.budgets, float), known.mean(axis=0), target)
    if np.isinf(needed):
        return f"> {results.budgets[-1]}"
    return f"≤ {needed:.0f}" if needed <= results.budgets[0] else f"{needed:.0f}"


def _intervals(found: Band, *, signed: bool = False) -> NDArray[np.str_]:
    """Each mean with its interval, flat."""
    columns = zip(found.mean.ravel(), found.low.ravel(), found.high.ravel(), strict=True)
    return np.array([_interval(*numbers, signed=signed) for numbers in columns])


def _interval(mean: float, low: float, high: float, *, signed: bool = False) -> str:
    if np.isnan(mean):
        return NOTHING
    mean_text, low_text, high_text = (f"{number:{'+' if signed else ''}.2f}" for number in (mean, low, high))
    if np.isnan(low):
        return mean_text
    text = f"{mean_text} [{low_text}, {high_text}]".replace("-", MINUS)
    return f"**{text}**" if signed and (low > 0 or high < 0) else text


def _before_after(results: Results, view: View, selector: str, metric: str) -> str:
    before = _percent(results.curves(view.before(), selector, metric))
    return f"{before}/{_percent(results.curves(view, selector, metric))}"


def _percent(curves: Numbers) -> str:
    whole = of_whole(curves)
    return f"{100 * whole.mean():.1f}" if len(whole) else NOTHING
