"""The report's drawings, as SVG. Levels have shapes and words: paper without colour tells them apart too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from markupsafe import Markup

from mmal_ros.session.timeline import Timeline

WIDTH, LEFT, RIGHT = 720, 74, 12  # units of the drawing: about 4 to the millimetre on A4
FLAGS, PANEL, STRIP, BETWEEN, AXIS = 22, 120, 16, 5, 18
TICKS_S = (10, 30, 60, 120, 300, 600, 900, 1800, 3600)
MOST_TICKS = 10
LEVELS = ("low", "medium", "high")
MODALITIES = {"face": "Face", "body": "Body", "physiology": "Wristband", "audio": "Voice"}
SHAPES = {
    "low": "M-5-4h10l-5 9z",
    "medium": "M0-5.5 5.5 0 0 5.5-5.5 0z",
    "high": "M-5 4h10l-5-9z",
    "cannot_tell": "M-4 0h8M0-4v8",
    "bad_capture": "M-4-4l8 8m0-8l-8 8",
    "": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
}
"""By what was labelled; the last one: nothing yet."""


def timeline_plot(timeline: Timeline, flags: Sequence[tuple[float, str]]) -> Markup:
    """Engagement over the session, each modality below it, gaps hatched, flags above.

    Args:
        timeline: of the session.
        flags: seconds since its start, and the label that counts or an empty string.
    """
    duration_s = (timeline.end_ns - timeline.start_ns) / 1e9
    across = _Across(duration_s)
    top = FLAGS + PANEL + 2 * BETWEEN
    parts = [_panel(timeline, across), *(_marker(across(time_s), label) for time_s, label in flags)]
    for row, (key, name) in enumerate(MODALITIES.items()):
        gaps = [(gap.start_s, gap.end_s) for gap in timeline.gaps if gap.modality == key]
        y = top + row * (STRIP + BETWEEN)
        parts.append(_strip(name, y, timeline.times_s, timeline.by_modality.get(key, ()), gaps, across))
    bottom = top + len(MODALITIES) * (STRIP + BETWEEN)
    parts += [_axis(across, bottom, duration_s), _text(0, FLAGS - 7, "Flags")]
    return _svg(bottom + AXIS, "Engagement over the session", HATCHING, *parts)


def shares_plot(shares: Mapping[str, float]) -> Markup:
    """One bar of the session's time by level; 0 to 1 each, together at most 1, the rest is not known."""
    parts, at, whole = [], 0.0, WIDTH - RIGHT
    for name, share in shares.items():
        width = share * whole
        parts.append(_tag("rect", x=at, y=0, width=width, height=26, **{"class": f"of-{name}"}))
        if share >= 0.08:  # else the words do not fit in
            parts.append(_text(at + 6, 17, f"{name} {share:.0%}", "on-bar"))
        at += width
    parts.append(_tag("rect", x=0, y=0, width=whole, height=26, **{"class": "frame"}))
    return _svg(28, "Share of time by level", *parts)


class _Across:
    """From seconds to the place across the drawing."""

    def __init__(self, duration_s: float) -> None:
        self._unit = (WIDTH - LEFT - RIGHT) / max(duration_s, 1.0)

    def __call__(self, seconds: float) -> float:
        return round(LEFT + seconds * self._unit, 1)


def _panel(timeline: Timeline, across: _Across) -> Markup:
    """The expected level as a line, over three bands."""
    right, parts = WIDTH - RIGHT, []
    for band, name in enumerate(reversed(LEVELS)):
        y = FLAGS + band * PANEL / 3
        parts.append(_tag("rect", x=LEFT, y=y, width=right - LEFT, height=PANEL / 3, **{"class": f"band-{name}"}))
        parts.append(_text(0, y + PANEL / 6 + 4, name.capitalize()))
    parts.append(_line(timeline.times_s, timeline.engagement, FLAGS, PANEL, across, "fused"))
    return Markup("").join(parts)


def _strip(
    name: str,
    y: float,
    times_s: Sequence[float],
    values: Sequence[float | None],
    gaps: Sequence[tuple[float, float]],
    across: _Across,
) -> Markup:
    ground = _tag("rect", x=LEFT, y=y, width=WIDTH - RIGHT - LEFT, height=STRIP, **{"class": "strip"})
    hatched = [
        _tag("rect", x=across(a), y=y, width=max(across(b) - across(a), 0.5), height=STRIP, fill="url(#hatching)")
        for a, b in gaps
    ]
    line = _line(times_s, values, y, STRIP, across, "single")
    return Markup("").join([_text(0, y + STRIP - 4, name), ground, *hatched, line])


def _line(
    times_s: Sequence[float], values: Sequence[float | None], y: float, height: float, across: _Across, kind: str
) -> Markup:
    """Values of 0 to 1 from the bottom to the top; where there is none, the line stops."""
    path, pen = [], "M"
    for time_s, value in zip(times_s, values, strict=False):
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{across(time_s)} {y + height - 1 - value * (height - 2):.1f}")
        pen = "L"
    return _tag("path", d="".join(path), **{"class": f"line {kind}"})


def _marker(x: float, label: str) -> Markup:
    kind = f"marker of-{label or 'open'}"
    return _tag("path", d=SHAPES[label], transform=f"translate({x} {FLAGS / 2})", **{"class": kind})


def _axis(across: _Across, y: float, duration_s: float) -> Markup:
    step = next((tick for tick in TICKS_S if duration_s / tick <= MOST_TICKS), 7200)
    return Markup("").join(
        _text(across(at), y + 12, clock(at), "tick") for at in range(0, max(round(duration_s), 1), step)
    )


def clock(seconds: float) -> str:
    """`4:05`, or `1:04:05` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


HATCHING = Markup(
    '<defs><pattern id="hatching" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<path d="M0 5 5 0" class="hatch"/></pattern></defs>'
)


def _svg(height: float, title: str, *parts: Markup) -> Markup:
    box = {"viewBox": f"0 0 {WIDTH} {height:g}", "role": "img", "aria-label": title}
    return _tag("svg", Markup("").join(parts), xmlns="http://www.w3.org/2000/svg", **box)


def _text(x: float, y: float, words: str, kind: str = "name") -> Markup:
    return _tag("text", escape(words), x=x, y=round(y, 1), **{"class": kind})


def _tag(name: str, content: str = "", **attributes: object) -> Markup:
    """An element; `content` is markup already."""
    written = "".join(f' {key}="{escape(_short(value))}"' for key, value in attributes.items())
    return Markup(f"<{name}{written}>{content}</{name}>")  # noqa: S704 (everything in it was escaped)


def _short(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
