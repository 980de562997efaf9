"""Criteria that were trained: the Q-function and its control, as ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmal_ros.datatypes import FloatArray
from mmal_ros.model_card import ModelError
from mmal_ros.onnx_session import open_session
from mmal_ros.selector.candidates import Candidates
from mmal_ros.selector.state import StateForm, policy_state

STATE = "state"
Q_VALUES, PROBABILITY_RIGHT = "q_values", "probability_right"
WIDTHS = {Q_VALUES: 2, PROBABILITY_RIGHT: 1}
"""What the outputs may be called: numbers per window."""
ASK, DO_NOT_ASK = 0, 1
"""Columns of `q_values` (MMQL 2019, sec. 3.2: ask, do not ask)."""
FORMS = {16: StateForm.FIDELITY, 20: StateForm.PRODUCT}
REWARD_OF_ASKING = -0.05
"""MMQL 2019, sec. 3.2. An answer that is right gives +1, a wrong one -1."""


class LearnedPolicy:
    """A policy in an ONNX file, as a criterion: what asking about a window is worth more than not asking.

    The graph takes `state` (N, 16) or (N, 20), float32, as `policy_state` makes it, and gives one of

    * `q_values` (N, 2), ask and do not ask: utility Q(ask) - Q(no);
    * `probability_right` (N, 1), p that the vote is right: utility -0.05 - (2p - 1), what Q(ask) - Q(no) is where Q is
      exact. It is above 0 where p < 0.475.
    """

    def __init__(self, path: Path) -> None:
        """Load and check the graph; raises ModelError."""
        self.path = path
        self._session = open_session(path)
        found = {node.name: node.shape[1:] for node in self._session.get_inputs()}
        if found not in [{STATE: [width]} for width in FORMS]:
            raise ModelError(
                f"{path}: its inputs are {found}, expected '{STATE}' of 16 or 20 numbers after the batch axis"
            )
        self.form = FORMS[found[STATE][0]]
        outputs = {node.name: node.shape[1:] for node in self._session.get_outputs()}
        if outputs not in [{name: [width]} for name, width in WIDTHS.items()]:
            raise ModelError(
                f"{path}: its outputs are {outputs}, expected '{Q_VALUES}' [2] or '{PROBABILITY_RIGHT}' [1]"
            )
        (self.output,) = outputs

    def __call__(self, candidates: Candidates) -> FloatArray:
        """Utility (N,): the policy asks where it is above 0."""
        state = policy_state(candidates.probabilities, candidates.heard, self.form)
        (answer,) = self._session.run([self.output], {STATE: state})
        return utility_of_q(answer) if self.output == Q_VALUES else utility_of_right(answer[:, 0])


def utility_of_q(q_values: FloatArray) -> FloatArray:
    """Q(ask) - Q(no) of Q-values (N, 2): (N,)."""
    return q_values[:, ASK] - q_values[:, DO_NOT_ASK]


def utility_of_right(probability_right: FloatArray) -> FloatArray:
    """-0.05 - (2p - 1) for p in 0-1, the probability that the vote is right: any shape, the same one."""
    utility: FloatArray = np.float32(REWARD_OF_ASKING) - (2 * probability_right - 1)
    return utility
