"""The terminal view of a run: level, four modalities, the last minute, rates and latency; a summary at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import nan

import numpy as np
from rich.align import Align
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mmal_ros.cli.run_statistics import RunStatistics
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Estimate, Level, Modality, Status

COLOURS = {None: "grey50", Level.LOW: "#D55E00", Level.MEDIUM: "#E69F00", Level.HIGH: "#009E73"}
"""Okabe and Ito's palette: told apart by colour-blind eyes; the names always stand beside."""
STATUS_COLOURS = {Status.VALID: "#009E73", Status.STALE: "#E69F00", Status.MISSING: "grey50"}
STATUS_SIGNS = {Status.VALID: "●", Status.STALE: "◐", Status.MISSING: "○"}
TITLES = {
    Modality.FACE: "FACE",
    Modality.BODY: "BODY",
    Modality.PHYSIOLOGY: "A-PHYS",
    Modality.AUDIO: "AUDIO",
}
HISTORY = 60
"""Columns of the history, one a second."""
BAR_WIDTH = 24
LEVEL_BARS = {None: "·", Level.LOW: "▂", Level.MEDIUM: "▅", Level.HIGH: "█"}


@dataclass
class LiveView:
    """Keeps what the last messages said and draws it; any thread may feed it, one draws."""

    model: str
    truth_at: Callable[[float], Level] | None = None
    statistics: RunStatistics = field(default_factory=RunStatistics)
    estimate: Estimate | None = None
    time_s: float = 0.0
    rates: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """What is wrong, by part; empty when all is well."""
    budget: int = 0
    """Labels that may be asked for."""
    budget_left: int = 0
    history: deque[tuple[Level | None, Level | None]] = field(default_factory=lambda: deque(maxlen=HISTORY))
    """Second by second, the estimate and, where it is known, the truth."""

    def feed(self, estimate: Estimate, start_ns: int, latency_s: float = nan, compute_time_s: float = nan) -> None:
        """An estimate came in."""
        second = int(self.time_s)
        self.estimate, self.time_s = estimate, (estimate.stamp_ns - start_ns) / NANOSECONDS_PER_SECOND
        if self.time_s <= 0:
            return
        self.statistics.note(estimate.level, latency_s, compute_time_s)
        truth = self._truth()
        if int(self.time_s) != second:
            self.history.append((estimate.level, truth))
        if truth is not None:
            heard = {m: p for m, p in estimate.by_modality.items() if estimate.status[m] is not Status.MISSING}
            self.statistics.judge(truth, estimate.level, heard)

    def __rich__(self) -> RenderableType:
        """The whole view."""
        if self.estimate is None:
            return Panel(Text("starting …", style="grey50"), title="mmal", border_style="grey50")
        parts = [self._level(self.estimate), Text(), self._chips(self.estimate), Text(), self._history(), Text()]
        parts += [self._numbers(), *self._warnings()]
        title = f"engagement · {self.model} · {self.time_s:5.1f} s"
        return Panel(Group(*parts), title=title, border_style=COLOURS[self.estimate.level], padding=(1, 2), width=92)

    def _level(self, estimate: Estimate) -> RenderableType:
        table = Table.grid(padding=(0, 3))
        name = "unknown" if estimate.level is None else estimate.level.name.lower()
        word = Text(f" {name.upper():^9} ", style=f"bold white on {COLOURS[estimate.level]}")
        bars = Table.grid(padding=(0, 1))
        for level in reversed(Level):
            share = float(estimate.probabilities[level])
            bars.add_row(
                Text(level.name.lower(), style=COLOURS[level]), _bar(share, COLOURS[level]), f"{share * 100:3.0f} %"
            )
        cells: list[RenderableType] = [Align(word, vertical="middle", height=3), bars]
        if (truth := self._truth()) is not None:
            right = Text(f"truth: {truth.name.lower()}", style=COLOURS[truth])
            cells.append(Align(right, vertical="middle", height=3))
        table.add_row(*cells)
        return table

    def _chips(self, estimate: Estimate) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=True)
        for _ in Modality:
            table.add_column(ratio=1)
        table.add_row(*(self._chip(estimate, modality) for modality in Modality))
        return table

    def _chip(self, estimate: Estimate, modality: Modality) -> RenderableType:
        status = estimate.status[modality]
        colour = STATUS_COLOURS[status]
        lines = [Text(f"{STATUS_SIGNS[status]} {status.value}", style=colour)]
        if status is Status.MISSING:
            lines += [Text("does not vote", style="grey50"), Text()]
        else:
            opinion = Level(int(np.argmax(estimate.by_modality[modality])))
            lines.append(Text(opinion.name.lower(), style=COLOURS[opinion]))
            lines.append(Text(f"sure {estimate.confidence[modality] * 100:.0f} %", style="grey70"))
        rate = self.rates.get(modality.value, "–")
        lines.append(Text(f"{rate} frames/s", style="grey50"))
        return Panel(Group(*lines), title=TITLES[modality], border_style=colour)

    def _history(self) -> RenderableType:
        lines = [_line("last minute  ", [level for level, _ in self.history])]
        if self.truth_at is not None:
            lines.append(_line("truth        ", [truth for _, truth in self.history]))
        return Group(*lines)

    def _truth(self) -> Level | None:
        """The true level in the middle of the window."""
        return None if self.truth_at is None else self.truth_at(max(self.time_s - 0.5, 0))

    def _numbers(self) -> RenderableType:
        median, high = self.statistics.latencies.percentiles_ms()
        compute, _ = self.statistics.compute_times.percentiles_ms()
        rate = self.rates.get("estimates", "–")
        text = (
            f"{rate} estimates/s · latency {median:.0f} ms (p99 {high:.0f}) · window, models and vote {compute:.2f} ms"
        )
        if self.budget:
            text += f" · {self.budget - self.budget_left} of {self.budget} windows flagged"
        return Text(text, style="grey70")

    def _warnings(self) -> list[RenderableType]:
        return [Text(f"! {part}: {note}", style="#D55E00") for part, note in sorted(self.notes.items())]


def summary(view: LiveView) -> RenderableType:
    """What the run amounted to."""
    statistics = view.statistics
    median, high = statistics.latencies.percentiles_ms()
    compute, compute_high = statistics.compute_times.percentiles_ms()
    facts = Table.grid(padding=(0, 2))
    facts.add_row("estimates", f"{statistics.estimates} in {view.time_s:.1f} s, {statistics.unknown} of them unknown")
    facts.add_row("newest measurement → published", f"median {median:.0f} ms, p99 {high:.0f} ms")
    facts.add_row("window, models and vote", f"median {compute:.2f} ms, p99 {compute_high:.2f} ms")
    if not statistics.confusion:
        return facts
    scores = Table(title="against the simulated person's truth", title_justify="left")
    for name in ("", "right", "macro-F1", "constant", "estimates"):
        scores.add_column(name, justify="left" if not name else "right")
    for name, score in sorted(statistics.scores().items()):
        scores.add_row(
            name,
            f"{score.accuracy * 100:.0f} %",
            f"{score.macro_f1:.2f}",
            f"{score.constant * 100:.0f} %",
            str(score.count),
        )
    note = Text("constant: always answering the commonest level. The person is made up; so is how she shows it.")
    return Group(facts, Text(), scores, Text(note.plain, style="grey50"))


def _line(title: str, levels: Iterable[Level | None]) -> Text:
    line = Text(title, style="grey50")
    for level in levels:
        line.append(LEVEL_BARS[level], style=COLOURS[level])
    return line


def _bar(share: float, colour: str) -> Text:
    full = round(share * BAR_WIDTH)
    return Text("━" * full, style=colour) + Text("━" * (BAR_WIDTH - full), style="grey23")
