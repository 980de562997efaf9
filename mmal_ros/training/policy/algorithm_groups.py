"""The group's classifiers as the paper makes them: they learn along with the policy, from the labels it asks for.

MMQL 2019, alg. 1. Beside the run with all training people go runs that each leave some of them out: what these say of
those whom they have not seen is how windows of a new person will look, and teaches the policy's control.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmal_ros.training.group.models import GroupModel, GroupSettings, Scored, folds_of, score
from mmal_ros.training.group.persistence import persistence_s
from mmal_ros.training.group.windows import heard_modalities, joined, scale_of, standardised, thinned
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.policy.episode_states import LearnedStates
from mmal_ros.training.policy.mmql import Training
from mmal_ros.training.policy.settings import MMQLSettings, Run
from mmal_ros.window_vectors import window_vectors

SETTINGS = GroupSettings(centred=False)
"""Inputs are standardised by all training people together (mmql.md), and every window may be asked about."""


class GroupTraining:
    """Algorithm 1 on these people, not begun yet; run 0 is the one with everybody."""

    def __init__(
        self, people: Sequence[PersonWindows], seed: int, budget: int, settings: MMQLSettings, device: str = "cpu"
    ) -> None:
        """Two people at least."""
        self.people, self.scale = people, scale_of(people)
        self.folds = folds_of(len(people), SETTINGS.folds)
        left_out = [frozenset(people[i].code for i in fold) for fold in self.folds]
        runs = [Run(seed, budget, codes) for codes in (frozenset[str](), *left_out)]
        self.known = [standardised(person, self.scale) for person in people]
        self.states = LearnedStates(self.known, heard_modalities(people), runs, settings, device)
        self.training = Training(self.states, runs, settings, device)

    def group(self) -> GroupModel:
        """The classifiers as they are now. They are not calibrated: the paper's are not."""
        networks = {name: grouped.network(0) for name, grouped in self.states.classifiers.items()}
        held_out = tuple(self._scored(i, run) for run, fold in enumerate(self.folds, 1) for i in fold)
        share = max(1, SETTINGS.replayed // len(self.people))
        replayed = joined([thinned(person, share) for person in self.known])
        return GroupModel(networks, self.scale, SETTINGS.centred, persistence_s(self.people), held_out, replayed)

    def _scored(self, index: int, run: int) -> Scored:
        person = self.people[index]
        networks = {name: grouped.take([run]) for name, grouped in self.states.classifiers.items()}
        probabilities, heard = score(networks, self.known[index])
        vectors = window_vectors(person.features, person.mask, self.scale)
        return Scored(person.code, probabilities[0], heard, vectors, person.labels)
