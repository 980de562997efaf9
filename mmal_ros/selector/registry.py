"""Selectors by name, as a command line asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmal_ros.selector.candidates import Criterion, Selector
from mmal_ros.selector.coverage import SlicedCoverage
from mmal_ros.selector.criteria import disagreement, entropy_sum, margin
from mmal_ros.selector.strategies import Best, EvenlyInTime, FirstAsked, Random
from mmal_ros.wording import unknown

DEFAULT = "sliced-coverage"
MMQL, MMQL_CONTENT, P_RIGHT = "mmql", "mmql-content", "p-right"
"""Names of the trained criteria."""


class SelectorError(ValueError):
    """There is no such selector, or what it needs is not there; the message says what would help."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A selector that can be asked for by name."""

    description: str
    """One line."""
    make: Callable[[Mapping[str, Criterion]], Selector]
    """Gives the selector; takes the trained criteria by name."""
    needs: str | None = None
    """Name of the trained criterion without which it cannot be made."""


LIVE_SELECTORS: Mapping[str, Entry] = {
    "random": Entry("any windows (RND)", lambda _: Random()),
    "evenly-in-time": Entry("the middle of each slice of the session", lambda _: EvenlyInTime()),
    "mmql": Entry("the first, in random order, with Q(ask) > Q(no)", lambda trained: FirstAsked(trained[MMQL]), MMQL),
    "mmql-content": Entry(
        "the same, of a policy that sees the features themselves (cont = 1)",
        lambda trained: FirstAsked(trained[MMQL_CONTENT]),
        MMQL_CONTENT,
    ),
    "p-right": Entry(
        "the first, in random order, whose vote is right with p < 0.475",
        lambda trained: FirstAsked(trained[P_RIGHT]),
        P_RIGHT,
    ),
    "entropy": Entry("largest sum of the classifiers' entropies (UNC)", lambda _: Best(entropy_sum)),
    "margin": Entry("smallest lead of the likeliest level", lambda _: Best(margin)),
    "disagreement": Entry("largest entropy of the classifiers' votes", lambda _: Best(disagreement)),
    "sliced-coverage": Entry(
        "in each slice of the session the window that covers most of what is new", lambda _: SlicedCoverage()
    ),
    "sliced-coverage-mmql": Entry(
        "the same; of windows that cover about as much, the one with the highest Q(ask) - Q(no)",
        lambda trained: SlicedCoverage(trained[MMQL]),
        MMQL,
    ),
}
"""Those that run live too."""


def make_selector(name: str, trained: Mapping[str, Criterion], known: Mapping[str, Entry] = LIVE_SELECTORS) -> Selector:
    """The selector of that name.

    Args:
        name: a key of `known`.
        trained: trained criteria of this model set, by name: `mmql`, `p-right`; those that there are.
        known: the selectors to choose from.

    Raises:
        SelectorError: there is none of that name, or it needs a criterion that is not there.
    """
    if name not in known:
        raise SelectorError(unknown("selector", name, known))
    entry = known[name]
    if entry.needs and entry.needs not in trained:
        raise SelectorError(f"selector '{name}' needs the trained criterion '{entry.needs}'; train a policy first")
    return entry.make(trained)
