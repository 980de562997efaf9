"""Figures of a report: one meaning, one colour, and other dashes, so that colour-blind eyes tell them apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from numpy.typing import NDArray

from mmal_ros.training.evaluation.bootstrap import band, of_whole
from mmal_ros.training.evaluation.results import Numbers, Results, View
from mmal_ros.training.evaluation.settings import OWN_DATA_ONLY, Protocol

BLUE, ORANGE, GREEN, BLACK, GREY = "#0072B2", "#D55E00", "#009E73", "#000000", "#8C8C8C"
PURPLE, SKY, YELLOW = "#CC79A7", "#56B4E9", "#E69F00"
CYCLE = (
    (BLUE, "-", "o"),
    (ORANGE, "--", "s"),
    (GREEN, "-.", "^"),
    (PURPLE, ":", "D"),
    (SKY, "-", "v"),
    (YELLOW, "--", "P"),
)
"""Okabe and Ito 2008, without the yellow lost on white; dashes and marks go with the colours."""
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.titlesize": 10,
    "legend.frameon": False,
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
}
F1_LABEL, BUDGET_LABEL = "macro-F1, classes present", "labels of the person"
LEAST_WIDTH = 6.0
"""Inches: what titles and legends need."""
FEW_LABELS = (5, 10)
"""Budgets of the figure before/after (MMQL 2019, fig. 4)."""


def f1_over_budget(results: Results, view: View, path: Path) -> None:
    """One panel per selector: mean and 95 % band over people, the others in grey, and what it is held against."""
    title = _title(view, f"mean and 95 % band over {len(results.people)} people")
    with _small_multiples(path, title, F1_LABEL, results.selectors) as panels:
        for selector, axes in panels.items():
            _selector_panel(axes, results, view, selector)


def difference_over_budget(results: Results, view: View, path: Path) -> bool:
    """One panel per selector: what it adds to the reference, paired by person; False, and no file, for one selector."""
    others = [name for name in results.selectors if name != results.reference]
    if not others:
        return False
    title = _title(view, f"selector − {results.reference}, paired, 95 % band over {len(results.people)} people")
    budgets, reference = np.array(results.budgets, float), results.curves(view, results.reference)
    with _small_multiples(path, title, f"difference of {F1_LABEL}", others) as panels:
        for selector, axes in panels.items():
            axes.axhline(0, color=BLACK, lw=1, label=results.reference)
            _banded(axes, budgets, results.curves(view, selector) - reference, *CYCLE[0], "this selector")
            _budget_axis(axes, results.budgets)
    return True


def _selector_panel(axes: Axes, results: Results, view: View, selector: str) -> None:
    budgets = np.array(results.budgets, float)
    for number, other in enumerate(name for name in results.selectors if name != selector):
        label = "other selectors" if number == 0 else None
        axes.plot(budgets, _mean(results.curves(view, other)), color=GREY, lw=0.8, alpha=0.7, label=label)
    own = results.curves(view, selector)
    _banded(axes, budgets, own, BLUE, "-", "o", "this selector")
    held_against = (
        (results.with_all_labels(view)[:, None] + 0 * budgets, BLUE, (0, (1, 3)), "all labels"),
        (results.curves(view.own_data_only(), selector), ORANGE, "-.", "own data only"),
        (results.curves(view.before(), selector), GREEN, ":", "group model (before)"),
        (results.curves(view, selector, "constant_f1_present"), BLACK, "--", "constant"),
    )
    for values, colour, dashes, label in held_against:
        if not np.isnan(values).all() and not (label == "own data only" and view.personaliser == OWN_DATA_ONLY):
            mark = "_" if len(budgets) == 1 else ""  # a line of one point cannot be seen
            axes.plot(budgets, _mean(values), color=colour, ls=dashes, lw=1.4, marker=mark, ms=14, label=label)
    axes.set_ylim(0, 1)
    _budget_axis(axes, results.budgets)


def before_after(results: Results, view: View, path: Path) -> None:
    """Each person, sorted by before: group model, personalised, own data, constant; first selector and chance."""
    selectors = list(dict.fromkeys((results.selectors[0], results.reference)))
    budgets = few_budgets(results)
    order = np.argsort(_person_before(results, view, selectors[0], budgets[0]))
    height = 1.6 + 0.24 * len(results.people)
    with _figure(path, 1.5 + 2.4 * len(selectors) * len(budgets), height) as figure:
        panels = figure.subplots(1, len(selectors) * len(budgets), sharex=True, sharey=True, squeeze=False).ravel()
        cases = [(selector, budget) for budget in budgets for selector in selectors]
        for axes, (selector, budget) in zip(panels, cases, strict=True):
            _people_panel(axes, results, view, selector, budget, order)
        panels[0].set_yticks(range(len(order)), [results.people[i] for i in order])
        figure.suptitle(_title(view, "each person, before and after"))
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)


def few_budgets(results: Results) -> list[int]:
    """Five and ten labels, as far as they were evaluated; else the smallest budget."""
    return [budget for budget in FEW_LABELS if budget in results.budgets] or [results.budgets[0]]


def _person_before(results: Results, view: View, selector: str, budget: int) -> Numbers:
    values: Numbers = results.curves(view.before(), selector)[:, results.budgets.index(budget)]
    return values


def _people_panel(
    axes: Axes, results: Results, view: View, selector: str, budget: int, order: NDArray[np.int64]
) -> None:
    column = results.budgets.index(budget)
    before, after, own, constant = (
        values[order, column]
        for values in (
            results.curves(view.before(), selector),
            results.curves(view, selector),
            results.curves(view.own_data_only(), selector),
            results.curves(view, selector, "constant_f1_present"),
        )
    )
    height = np.arange(len(order))
    axes.hlines(height, before, after, color=np.where(after >= before, BLUE, GREY), lw=2, alpha=0.45, zorder=1)
    axes.scatter(constant, height, marker="|", s=60, color=BLACK, label="constant", zorder=2)
    if view.personaliser != OWN_DATA_ONLY:
        axes.scatter(own, height, marker="x", s=24, lw=1.2, color=ORANGE, label="own data only", zorder=6)
    axes.scatter(before, height, s=26, facecolor="white", edgecolor=GREEN, lw=1.4, label="group model", zorder=4)
    axes.scatter(after, height, s=26, color=BLUE, label="personalised", zorder=5)
    axes.set_title(f"{selector}, {budget} labels")
    axes.grid(axis="x", lw=0.4, alpha=0.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_xlabel(F1_LABEL)


def searched_share(results: Results, protocol: Protocol, path: Path) -> bool:
    """Share of the pool looked at until the budget was spent; False, and no file, where no selector goes in order."""
    view = View(protocol, results.personalisers[0])  # who learns from the labels does not matter here
    found = {name: results.curves(view, name, "searched") for name in results.selectors}
    found = {name: values for name, values in found.items() if not np.isnan(values).all()}
    if not found:
        return False
    with _figure(path, 5.2, 3.6) as figure:
        axes = figure.subplots()
        for (name, values), style in zip(found.items(), cycle(CYCLE), strict=False):
            _banded(axes, np.array(results.budgets, float), values, *style, name)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.set_ylabel("searched share of the pool")
        axes.set_xlabel(BUDGET_LABEL)
        axes.set_title(f"searched until the budget was spent, {protocol}")
        _budget_axis(axes, results.budgets)
        axes.legend()
    return True


def confusion_matrices(results: Results, view: View, classes: Sequence[str], budget: int, path: Path) -> None:
    """Of the first selector: group model, personalised and own data only; shares of each true class, and counts."""
    selector = results.selectors[0]
    views = {"group model": view.before(), view.personaliser: view, "own data only": view.own_data_only()}
    views = {name: part for name, part in views.items() if results.has(part)}
    if view.personaliser == OWN_DATA_ONLY:
        views.pop("own data only")
    with _figure(path, 0.8 + 2.6 * len(views), 3.1) as figure:
        panels = figure.subplots(1, len(views), sharey=True, squeeze=False).ravel()
        for axes, (name, part) in zip(panels, views.items(), strict=True):
            counts = results.confusion(part, selector, budget)[: len(classes), : len(classes)]
            _matrix_panel(axes, counts, classes)
            axes.set_title(name)
            axes.set_xlabel("answer")
        panels[0].set_ylabel("truth")
        figure.suptitle(f"{selector}, {budget} labels, {view.protocol}: share of each true class")


def _matrix_panel(axes: Axes, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row, column in np.ndindex(counts.shape):
        colour = BLACK if shares[row, column] > 0.5 else "white"
        text = f"{100 * shares[row, column]:.0f} %\n{counts[row, column]}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)


def _banded(axes: Axes, x: Numbers, values: Numbers, colour: str, dashes: str, mark: str, label: str) -> None:
    over_people = band(values)
    axes.fill_between(x, over_people.low, over_people.high, color=colour, alpha=0.18, lw=0)
    axes.plot(x, over_people.mean, color=colour, ls=dashes, marker=mark, ms=3.5, lw=1.8, label=label, zorder=5)


def _mean(values: Numbers) -> Numbers:
    mean: Numbers = of_whole(values).mean(axis=0)
    return mean


def _budget_axis(axes: Axes, budgets: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(budgets, [str(budget) for budget in budgets])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", lw=0.4, alpha=0.5)


def _title(view: View, rest: str) -> str:
    return f"{view.personaliser}, {view.protocol}: {rest}"


@contextmanager
def _small_multiples(path: Path, title: str, label: str, names: Sequence[str]) -> Iterator[dict[str, Axes]]:
    """A panel over the budgets for each name, with one legend for all."""
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    with _figure(path, 0.6 + 2.5 * columns, 1.2 + 2.2 * rows) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        yield dict(zip(names, panels, strict=False))
        for number, axes in enumerate(panels):
            axes.set_visible(number < len(names))
            axes.set_title(names[number] if number < len(names) else "")
            if number + columns >= len(names):  # the lowest of its column
                axes.xaxis.set_tick_params(labelbottom=True)
                axes.set_xlabel(BUDGET_LABEL)
        figure.suptitle(title)
        figure.supylabel(label, fontsize="medium")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3))


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches, written when it is drawn."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(width, LEAST_WIDTH), height))
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(path)
