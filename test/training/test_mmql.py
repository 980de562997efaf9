"""Algorithm 1: the same decisions as one window at a time, and a training that is killed goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.per_window_mmql import PerWindowMMQL
from mmal_ros.datatypes import Modality
from mmal_ros.selector.policy import ASK, DO_NOT_ASK
from mmal_ros.selector.state import StateForm
from mmal_ros.training.checkpoints import CheckpointError
from mmal_ros.training.group.models import Scored
from mmal_ros.training.group.windows import FEATURE_FUSION
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.policy import mmql
from mmal_ros.training.policy.episode_states import EpisodeStates, FrozenStates, LearnedStates
from mmal_ros.training.policy.log import TensorBoardLog
from mmal_ros.training.policy.mmql import Training, train
from mmal_ros.training.policy.q_functions import QForm
from mmal_ros.training.policy.q_learning import QSettings, Walk
from mmal_ros.training.policy.settings import FIDELITY, PRESETS, PRODUCT, MMQLSettings, Pool, Run

SIZES = {Modality.FACE: 5, Modality.BODY: 4, Modality.PHYSIOLOGY: 3, Modality.AUDIO: 2}
WINDOWS, STEPS = 60, 4
RUNS = (Run(1, 3), Run(2, 5), Run(3, 5, frozenset({"b"})), Run(4, 8))


def person(code: str, seed: int) -> PersonWindows:
    """Somebody whose features tell a little; each modality is away now and then."""
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=WINDOWS)
    features, mask = {}, {}
    for modality, size in SIZES.items():
        means = np.random.default_rng(size).normal(size=(3, size))
        values = means[labels][:, None] + random.normal(size=(WINDOWS, STEPS, size))
        known = np.ones((WINDOWS, STEPS))
        known[random.random(WINDOWS) < 0.2] = 0
        features[modality] = (values * known[..., None]).astype(np.float32)
        mask[modality] = known.astype(np.float32)
    return PersonWindows(code, features, mask, labels, np.arange(WINDOWS) * 0.67, np.zeros(WINDOWS, np.int64))


@pytest.fixture(scope="module")
def people() -> list[PersonWindows]:
    return [person("a", 1), person("b", 2), person("c", 3)]


def scored(code: str, seed: int) -> Scored:
    """Somebody as frozen classifiers see her: right about as often as they are sure."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([0.7] * 3, (WINDOWS, 4)).astype(np.float32)
    heard = random.random((WINDOWS, 4)) < 0.8
    labels = np.array([random.choice(3, p=row / row.sum()) for row in probabilities.mean(axis=1).astype(float)])
    return Scored(code, probabilities, heard, random.normal(size=(WINDOWS, 6)).astype(np.float32), labels)


def record(training: Training) -> list[list[int]]:
    """The actions of each run, filled as the training goes on."""
    actions: list[list[int]] = [[] for _ in training.runs]
    original = training.learner.walk

    def walk(runs, stretch, left) -> Walk:
        found = original(runs, stretch, left)
        for column, run in enumerate(runs):
            actions[run].extend(int(action) for action in found.actions[:, column] if action >= 0)
        return found

    training.learner.walk = walk  # type: ignore[method-assign]
    return actions


@pytest.mark.parametrize(
    "settings",
    [FIDELITY, replace(FIDELITY, state=StateForm.PRODUCT, q=QSettings(form=QForm.MLP, capacity=40))],
    ids=["fidelity", "mlp"],
)
def test_all_runs_together_decide_as_each_alone_one_window_at_a_time(
    people: list[PersonWindows], settings: MMQLSettings
) -> None:
    """Budgets of 3 to 8, one run that does not see everybody, missing modalities, a memory that runs over."""
    settings = replace(settings, episodes=4)
    names = tuple(SIZES)
    training = Training(LearnedStates(people, names, RUNS, settings), RUNS, settings)
    actions = record(training)
    train(training)
    for index, run in enumerate(RUNS):
        alone = PerWindowMMQL(people, names, run, settings)
        for number in range(settings.episodes):
            alone.episode(number)
        assert actions[index] == [decision.action for decision in alone.decisions]
        assert training.learner.updates[index] == len(alone.decisions)
        state = torch.rand(20, training.states.size)
        with torch.no_grad():
            torch.testing.assert_close(training.policy(index)(state), alone.q(state), atol=1e-4, rtol=1e-4)


def states_of(kind: str, people: list[PersonWindows], settings: MMQLSettings) -> EpisodeStates:
    if kind == "frozen":
        everybody = [scored(code, seed) for seed, code in enumerate("abc")]
        return FrozenStates([[p for p in everybody if p.code not in run.held_out] for run in RUNS], settings.state)
    return LearnedStates(people, tuple(SIZES), RUNS, settings)


@pytest.mark.parametrize(("kind", "preset"), [("frozen", "product"), ("learned", "fidelity"), ("learned", "product")])
def test_killed_and_started_again_it_gives_the_same_policy_bit_by_bit(
    kind: str, preset: str, people: list[PersonWindows], tmp_path: Path
) -> None:
    settings = replace(PRESETS[preset], episodes=5, epochs=2)
    whole = Training(states_of(kind, people, settings), RUNS, settings)
    train(whole)

    def power_cut(episode: mmql.Episode) -> None:
        if episode.number == 3:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        train(Training(states_of(kind, people, settings), RUNS, settings), checkpoint, every=2, on_episode=power_cut)
    resumed = Training(states_of(kind, people, settings), RUNS, settings)
    told: list[int] = []
    train(resumed, checkpoint, every=2, on_episode=lambda episode: told.append(episode.number))
    assert told == [2, 3, 4]
    assert torch.equal(whole.learner.weights, resumed.learner.weights)
    if isinstance(whole.states, LearnedStates) and isinstance(resumed.states, LearnedStates):
        for name, networks in whole.states.classifiers.items():
            found = resumed.states.classifiers[name].weights
            assert all(torch.equal(values, found[part]) for part, values in networks.weights.items())
    np.testing.assert_array_equal([e.reward for e in whole.history], [e.reward for e in resumed.history])


def test_a_checkpoint_of_something_else_is_refused(people: list[PersonWindows], tmp_path: Path) -> None:
    settings = replace(PRODUCT, episodes=1)
    checkpoint = tmp_path / "training.pt"
    train(Training(states_of("frozen", people, settings), RUNS, settings), checkpoint)
    other = replace(settings, episodes=2)
    with pytest.raises(CheckpointError, match="other settings, runs or data"):
        train(Training(states_of("frozen", people, other), RUNS, other), checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        train(Training(states_of("frozen", people, settings), RUNS, settings), checkpoint)


def test_a_run_does_not_depend_on_its_company(people: list[PersonWindows]) -> None:
    settings = replace(PRODUCT, episodes=3)
    everybody = [scored(code, seed) for seed, code in enumerate("abc")]
    together = Training(FrozenStates([everybody] * 4, settings.state), RUNS, settings)
    alone = Training(FrozenStates([everybody], settings.state), RUNS[1:2], settings)
    actions = record(together), record(alone)
    train(together)
    train(alone)
    assert actions[0][1] == actions[1][0]


def test_the_record_of_an_episode_is_what_was_done() -> None:
    """A run that must explore always; the vote is always right."""
    settings = replace(PRODUCT, episodes=1, first_exploration=1.0)
    sure = np.tile(np.array([0.1, 0.2, 0.7], np.float32), (40, 4, 1))
    known = Scored("a", sure, np.ones((40, 4), bool), np.zeros((40, 1), np.float32), np.full(40, 2))
    training = Training(FrozenStates([[known]], settings.state), [Run(0, 4)], settings)
    (actions,) = record(training)
    train(training)
    (episode,) = training.history
    assert actions.count(ASK) == 4
    assert actions[-1] == ASK  # the episode ends when the budget is spent
    assert episode.asked[0] == pytest.approx(4 / len(actions))
    assert episode.searched[0] == pytest.approx(len(actions) / 40)
    assert episode.reward[0] == pytest.approx((4 * -0.05 + actions.count(DO_NOT_ASK)) / len(actions))


def test_a_budget_larger_than_the_pool_is_not_spent() -> None:
    settings = replace(PRODUCT, episodes=2)
    training = Training(FrozenStates([[scored("a", 0)]], settings.state), [Run(0, 100)], settings)
    train(training)
    assert [episode.searched[0] for episode in training.history] == [1.0, 1.0]
    assert training.learner.updates.tolist() == [2 * WINDOWS]


def test_what_comes_after_the_last_window_is_the_first() -> None:
    """Running out of windows is a truncation, too."""
    settings = replace(PRODUCT, episodes=1)
    training = Training(FrozenStates([[scored("a", 0)]], settings.state), [Run(0, 100)], settings)
    train(training)
    assert torch.equal(training.learner.states[10_000 + WINDOWS - 1], training.learner.states[0])


def test_exploration_falls_from_a_half_to_almost_nothing() -> None:
    assert PRODUCT.exploration(0) == 0.5
    assert PRODUCT.exploration(99) == pytest.approx(0.005)
    assert PRODUCT.exploration(33) == pytest.approx(0.335)


def test_an_episode_goes_through_one_child_or_all(people: list[PersonWindows]) -> None:
    for pool, expected in ((Pool.CHILD, WINDOWS), (Pool.ALL, 3 * WINDOWS)):
        settings = replace(PRODUCT, episodes=1, pool=pool, first_exploration=0.0)
        training = Training(
            FrozenStates([[scored(code, 1) for code in "abc"]], settings.state), [Run(0, 999)], settings
        )
        train(training)
        assert training.learner.updates.tolist() == [expected]


@pytest.mark.parametrize(
    ("names", "content", "size"),
    [
        (tuple(SIZES), False, 20),
        ((Modality.BODY,), False, 20),
        ((FEATURE_FUSION,), False, 20),
        (tuple(SIZES), True, 14 + 4),
    ],
    ids=["model fusion", "body alone", "feature fusion", "cont=1"],
)
def test_every_variant_of_the_paper_trains(
    names: tuple[str, ...], content: bool, size: int, people: list[PersonWindows]
) -> None:
    settings = replace(PRODUCT, episodes=2, epochs=1, content=content)
    training = Training(LearnedStates(people, names, RUNS, settings), RUNS, settings)
    train(training)
    assert training.states.size == size
    assert np.isfinite([episode.loss for episode in training.history]).all()


def test_a_modality_that_is_missing_has_no_say(people: list[PersonWindows]) -> None:
    """Nothing is known, no vote, no confidence, not available; and where nobody votes the vote is not right."""
    states = LearnedStates(people, tuple(SIZES), RUNS[:1], PRODUCT)
    heard = np.array([people[0].heard(modality) for modality in SIZES]).T
    rows = np.argsort(heard.sum(axis=1), kind="stable")[:5]
    found, _ = states.view(np.zeros(1, np.int64), rows[None])
    confidence, probabilities, available = found[0].numpy()[:, :4], found[0].numpy()[:, 4:16], found[0].numpy()[:, 16:]
    away = ~heard[rows]
    assert away.any()
    np.testing.assert_array_equal(available, heard[rows])
    np.testing.assert_array_equal(confidence[away], 0)
    np.testing.assert_allclose(probabilities.reshape(-1, 4, 3)[away], 1 / 3)
    nothing = np.zeros((3, 4), bool)
    silent = Scored("s", np.full((3, 4, 3), 1 / 3, np.float32), nothing, np.zeros((3, 1), np.float32), np.arange(3))
    assert not FrozenStates([[silent]], StateForm.PRODUCT).view(np.zeros(1, np.int64), np.arange(3)[None])[1].any()


def test_a_policy_of_frozen_classifiers_may_see_the_content_instead() -> None:
    """cont=1: other states, the same votes."""
    known = scored("a", 0)
    rows = np.arange(WINDOWS)[None]
    says, holds = (FrozenStates([[known]], StateForm.PRODUCT, content=content) for content in (False, True))
    (_, right), (content, also_right) = (states.view(np.zeros(1, np.int64), rows) for states in (says, holds))
    np.testing.assert_array_equal(content[0], known.vectors)
    assert torch.equal(right, also_right)


def test_tensorboard_shows_every_episode_of_every_run(tmp_path: Path) -> None:
    settings = replace(PRODUCT, episodes=3)
    runs = RUNS[:2]
    training = Training(FrozenStates([[scored("a", 0)]] * 2, settings.state), runs, settings)
    with TensorBoardLog(tmp_path, runs) as log:
        train(training, on_episode=log)
    folder = tmp_path / "1_seed2_budget5"
    events = EventAccumulator(str(folder)).Reload().Scalars("mean reward")
    assert [event.step for event in events] == [0, 1, 2]
    np.testing.assert_allclose([event.value for event in events], [episode.reward[1] for episode in training.history])
