"""Live policies by name, as a parameter of the node asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmal_ros.selector.candidates import Criterion
from mmal_ros.selector.criteria import disagreement, entropy_sum, margin
from mmal_ros.selector.live_coverage import LiveCoverage
from mmal_ros.selector.live_policies import LiveBest, LiveEvenlyInTime, LiveFirstAsked, LiveRandom
from mmal_ros.selector.live_vocabulary import LivePolicy
from mmal_ros.selector.reasons import OFTEN_WRONG
from mmal_ros.selector.registry import MMQL, P_RIGHT, SelectorError
from mmal_ros.wording import unknown

Trained = Mapping[str, Criterion]


@dataclass(frozen=True, slots=True)
class LiveEntry:
    """A live policy that can be asked for by name."""

    description: str
    """One line."""
    make: Callable[[Trained, int], LivePolicy]
    """Gives a fresh one for the trained criteria by name and a seed."""
    needs: str | None = None
    """Name of the trained criterion without which it cannot be made."""


LIVE_POLICIES: Mapping[str, LiveEntry] = {
    "sliced-coverage": LiveEntry(
        "in each slice of the expected session the window that covers most of what is new; of windows that cover about "
        "as much the one with the highest Q(ask) - Q(no), where the model set has a Q-function",
        lambda trained, _: LiveCoverage(trained.get(MMQL)),
    ),
    "sliced-coverage-mmql": LiveEntry(
        "the same, and never without the Q-function",
        lambda trained, _: LiveCoverage(trained[MMQL], "sliced-coverage-mmql"),
        MMQL,
    ),
    "fidelity": LiveEntry(
        "the first windows with Q(ask) > Q(no), until the budget is spent",
        lambda trained, _: LiveFirstAsked(trained[MMQL], "fidelity"),
        MMQL,
    ),
    "mmql": LiveEntry(
        "the highest Q(ask) - Q(no)", lambda trained, seed: LiveBest(trained[MMQL], MMQL, seed, OFTEN_WRONG), MMQL
    ),
    "p-right": LiveEntry(
        "those whose vote is most probably wrong",
        lambda trained, seed: LiveBest(trained[P_RIGHT], P_RIGHT, seed, OFTEN_WRONG),
        P_RIGHT,
    ),
    "entropy": LiveEntry(
        "largest sum of the classifiers' entropies", lambda _, seed: LiveBest(entropy_sum, "entropy", seed)
    ),
    "margin": LiveEntry("smallest lead of the likeliest level", lambda _, seed: LiveBest(margin, "margin", seed)),
    "disagreement": LiveEntry(
        "largest entropy of the classifiers' votes", lambda _, seed: LiveBest(disagreement, "disagreement", seed)
    ),
    "random": LiveEntry("any windows", lambda _, seed: LiveRandom(seed)),
    "evenly-in-time": LiveEntry("the middle of each slice of the expected session", lambda *_: LiveEvenlyInTime()),
}


def make_live_policy(name: str, trained: Trained, seed: int = 0) -> LivePolicy:
    """A fresh policy for one session.

    Args:
        name: a key of `LIVE_POLICIES`.
        trained: trained criteria of the model set, by name: `mmql`, `p-right`; those that there are.
        seed: of what is random.

    Raises:
        SelectorError: there is none of that name, or it needs a criterion that is not there.
    """
    if name not in LIVE_POLICIES:
        raise SelectorError(unknown("live policy", name, LIVE_POLICIES))
    entry = LIVE_POLICIES[name]
    if entry.needs and entry.needs not in trained:
        raise SelectorError(
            f"policy '{name}' needs the trained criterion '{entry.needs}', which this model set lacks; "
            "train a set with a policy, or choose 'sliced-coverage'"
        )
    return entry.make(trained, seed)
