"""Which few windows are worth an expert's label.

A *criterion* gives every candidate a number. A *selector* spends a budget of labels on candidates: the criterion's
best, the policy's first, one per slice of time. It has all of them before it; a *live policy* sees them come, and
`LiveSelector` keeps its budget.

The law: what stands here runs live, so it knows NumPy and ONNX Runtime and reads no clock. Selectors that need torch or
scikit-activeml live in `training.pool_selection`.
"""

from mmal_ros.selector.candidates import Candidates, Criterion, HeardFirst, Indices, Selector
from mmal_ros.selector.coverage import SlicedCoverage
from mmal_ros.selector.criteria import disagreement, entropy_sum, margin
from mmal_ros.selector.live import LiveSelector
from mmal_ros.selector.live_registry import LIVE_POLICIES, make_live_policy
from mmal_ros.selector.live_vocabulary import Decision, LivePolicy, LiveWindow, Standing
from mmal_ros.selector.policy import LearnedPolicy, utility_of_q, utility_of_right
from mmal_ros.selector.registry import (
    DEFAULT,
    LIVE_SELECTORS,
    MMQL,
    MMQL_CONTENT,
    P_RIGHT,
    Entry,
    SelectorError,
    make_selector,
)
from mmal_ros.selector.state import StateForm, policy_state, vote, votes_by_level
from mmal_ros.selector.strategies import Best, EvenlyInTime, FirstAsked, Random

__all__ = [
    "DEFAULT",
    "LIVE_POLICIES",
    "LIVE_SELECTORS",
    "MMQL",
    "MMQL_CONTENT",
    "P_RIGHT",
    "Best",
    "Candidates",
    "Criterion",
    "Decision",
    "Entry",
    "EvenlyInTime",
    "FirstAsked",
    "HeardFirst",
    "Indices",
    "LearnedPolicy",
    "LivePolicy",
    "LiveSelector",
    "LiveWindow",
    "Random",
    "Selector",
    "SelectorError",
    "SlicedCoverage",
    "Standing",
    "StateForm",
    "disagreement",
    "entropy_sum",
    "make_live_policy",
    "make_selector",
    "margin",
    "policy_state",
    "utility_of_q",
    "utility_of_right",
    "vote",
    "votes_by_level",
]
