"""What may differ between trainings of a policy: the paper's, and the product's, as configurations of one code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mmal_ros.selector.state import StateForm
from mmal_ros.training.group.fit import EPOCHS, LEARNING_RATE
from mmal_ros.training.policy.q_functions import QForm
from mmal_ros.training.policy.q_learning import QSettings

MINIBATCH = 32
"""Windows per step of a classifier. The paper has none; this is the default of Keras."""
FULL_BATCH_EPOCHS = 50
"""Full-batch steps: ten of them would hardly move a network."""


class Pool(StrEnum):
    """Whose windows an episode goes through."""

    CHILD = "child"
    """One training child's, drawn for each episode."""
    ALL = "all"
    """All training children's."""


@dataclass(frozen=True, slots=True)
class MMQLSettings:
    """How a policy is trained, the same for all runs of a group."""

    state: StateForm = StateForm.PRODUCT
    content: bool = False
    """The policy sees the features themselves: cont = 1 (MMQL 2019, sec. 3.3)."""
    pool: Pool = Pool.CHILD
    q: QSettings = field(default_factory=lambda: QSettings(form=QForm.MLP))
    episodes: int = 100
    """MMQL 2019, sec. 4.1."""
    first_exploration: float = 0.5
    last_exploration: float = 0.005
    """Epsilon of the first and of the last episode (MMQL 2019, sec. 4.1); in between it falls linearly."""
    epochs: int = FULL_BATCH_EPOCHS
    """Of the classifiers, at the end of each episode."""
    learning_rate: float = LEARNING_RATE
    """Of the classifiers."""
    batch: int | None = None
    """Windows per step of the classifiers; None: all labels."""
    balanced: bool = True
    """Each class counts as much, however many labels it has."""

    def exploration(self, episode: int) -> float:
        """Epsilon in episode 0, 1, ..."""
        share = episode / max(1, self.episodes - 1)
        return self.first_exploration + share * (self.last_exploration - self.first_exploration)


PRODUCT = MMQLSettings()
"""What a user should have. Its states usually come from frozen classifiers that have not seen the person
(`episode_states.FrozenStates`); trained along, they are trained class-balanced with all labels in each step."""
FIDELITY = MMQLSettings(
    state=StateForm.FIDELITY, q=QSettings(form=QForm.LSTM), epochs=EPOCHS, batch=MINIBATCH, balanced=False
)
"""The paper's, with its gaps closed; `pool=Pool.ALL` is the other reading of it."""
PRESETS: Mapping[str, MMQLSettings] = {"fidelity": FIDELITY, "product": PRODUCT}


@dataclass(frozen=True, slots=True)
class Run:
    """One of the runs that are trained together."""

    seed: int
    budget: int
    """Labels per episode, 1 or more; the paper's are 5, 10, 20, 50, 100."""
    held_out: frozenset[str] = frozenset()
    """Codes of people that the run does not see."""
