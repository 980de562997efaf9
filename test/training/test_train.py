"""From recorded sessions to a model set, however often somebody pulls the plug."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.datatypes import Modality
from mmal_ros.models import load_model_set
from mmal_ros.selector import MMQL, P_RIGHT, Candidates, StateForm, vote
from mmal_ros.training.data import load_data_set
from mmal_ros.training.export.groups import read_group
from mmal_ros.training.export.measure import estimates_of, measured
from mmal_ros.training.group import store as group_store
from mmal_ros.training.group.grouped import GroupedClassifiers
from mmal_ros.training.group.models import GroupModel, fit_group, score
from mmal_ros.training.group.windows import standardised
from mmal_ros.training.people import DataError, DataSet, PersonWindows
from mmal_ros.training.policy.algorithm_groups import GroupTraining
from mmal_ros.training.policy.mmql import train
from mmal_ros.training.policy.policies import learned_control, policy_training, q_criterion, right_criterion
from mmal_ros.training.policy.settings import Run
from mmal_ros.training.train import CENTRED, GROUP, Plan, people_to_test, train_model_set
from rigs.recorded_people import CHOSEN_SETS, write_people

TRAINED, TESTED = ("C1", "C2", "C3"), "C4"
BUDGET, EPISODES, SEED = 5, 12, 3
NETWORKS = len(CHOSEN_SETS) * (1 + len(TRAINED))
QUIET = Console(quiet=True)
PULL_THE_PLUG = """
import os, signal, sys
from pathlib import Path
from mmal_ros.cli.main import main
left, replace = int(sys.argv.pop(1)), Path.replace
def killed_at_last(scratch, path):
    global left
    left -= path.suffix == ".pt"
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(scratch, path)
Path.replace = killed_at_last
sys.argv[0] = "mmal"
main()
"""


CUT_ELSEWHERE = """
name: cut
source: cut elsewhere
file: cut.npz
person: who
time: second
label: level
classes: [low, medium, high]
labels: {0: low, 1: medium, 2: high}
gap_s: 1
modalities: {physiology: [physiology], audio: [audio]}
feature_sets: {physiology: e4, audio: spectral}
"""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    return write_people(tmp_path_factory.mktemp("data") / "clinic", [*TRAINED, TESTED])


@pytest.fixture(scope="module")
def data(recordings: Path) -> DataSet:
    return load_data_set(str(recordings))


def plan(**changes: object) -> Plan:
    fixed = {"test": (TESTED,), "purpose": "For tests only.", "budget": BUDGET, "episodes": EPISODES, "seed": SEED}
    return Plan(**(fixed | changes))


@pytest.fixture(scope="module")
def models(data: DataSet, tmp_path_factory):
    return train_model_set(tmp_path_factory.mktemp("models") / "clinic" / "1", data, plan(command="mmal train"), QUIET)


@pytest.fixture(scope="module")
def group(data: DataSet) -> GroupModel:
    return fit_group(data.of(TRAINED), GROUP, SEED)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def by_torch(group: GroupModel, person: PersonWindows) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, 4, 3) and what is heard (N, 4), without any file."""
    networks = {name: GroupedClassifiers.from_network(network, 1) for name, network in group.networks.items()}
    probabilities, heard = score(networks, standardised(person, group.scale))
    return probabilities[0], heard


@pytest.mark.parametrize(
    ("preset", "plugs_pulled"), [("product", [3, 2 * NETWORKS - 3 + 1]), ("fidelity", [NETWORKS + 1])]
)
def test_killed_and_started_again_it_gives_the_same_files(recordings, tmp_path, monkeypatch, preset, plugs_pulled):
    """In the middle of the classifiers, then in the middle of the policy; each time somebody types the same again."""
    line = ["train", str(recordings), "--output", "models/clinic/7", "--preset", preset, "--seed", str(SEED)]
    line += ["--budget", str(BUDGET), "--episodes", str(EPISODES)]
    monkeypatch.setattr(sys, "argv", ["mmal", *line])
    for place in ("undisturbed", "killed"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "undisturbed")
    assert CliRunner().invoke(app, line).exit_code == 0

    monkeypatch.chdir(tmp_path / "killed")
    for writes in plugs_pulled:
        died = subprocess.run([sys.executable, "-c", PULL_THE_PLUG, str(writes), *line], capture_output=True, text=True)
        assert died.returncode == -9, died.stderr
        assert [path.name for path in Path("models/clinic").iterdir()] == [".7.work"]
    trained_again = []
    monkeypatch.setattr(group_store, "fit", lambda *windows: trained_again.append(windows))
    run = CliRunner().invoke(app, line)
    assert run.exit_code == 0, run.output
    assert trained_again == []
    assert sorted(path.name for path in Path("models/clinic").iterdir()) == ["7", "current"]
    assert files(tmp_path / "killed/models/clinic/7") == files(tmp_path / "undisturbed/models/clinic/7")


def test_the_files_compute_what_was_trained(models, group, data):
    (person,) = data.of([TESTED])
    expected, heard = by_torch(group, person)
    estimates = estimates_of(load_model_set(models.folder), person)
    for column, modality in enumerate(Modality):
        found = np.stack([estimate.by_modality[modality] for estimate in estimates])
        np.testing.assert_allclose(found, expected[:, column], atol=1e-5)

    training = policy_training(group, Run(SEED, BUDGET), plan().settings)
    train(training)
    candidates = Candidates(expected, heard, np.zeros((len(person), 1), np.float32), person.times_s)
    criteria = {
        MMQL: q_criterion(training.policy(0), plan().settings),
        P_RIGHT: right_criterion(learned_control(group), plan().settings),
    }
    for name, criterion in criteria.items():
        np.testing.assert_allclose(models.trained[name](candidates), criterion(candidates), atol=1e-4)


def test_what_a_person_is_personalised_from_learned_from_centred_windows(models, data):
    """What the evaluation is about: everybody standardised by her own windows."""
    expected, found = fit_group(data.of(TRAINED), CENTRED, SEED), read_group(models)
    assert found.centred
    assert found.persistence_s == expected.persistence_s
    assert set(found.networks) == set(expected.networks)
    for name, network in expected.networks.items():
        for part, values in network.state_dict().items():
            assert torch.equal(values, found.networks[name].state_dict()[part]), part
    assert models.card.training["centred_group"]["centred"] is True


def test_the_metrics_are_those_of_people_it_has_not_seen(models, group, data):
    (person,) = data.of([TESTED])
    right = vote(*by_torch(group, person)) == person.labels
    metrics = models.card.metrics
    assert metrics["vote"]["accuracy"] == pytest.approx(right.mean(), abs=1e-3)
    assert metrics["constant"]["accuracy"] == pytest.approx(np.bincount(person.labels).max() / len(person), abs=1e-3)
    assert (metrics["windows"], metrics["people"], list(metrics["by_person"])) == (len(person), 1, [TESTED])
    assert metrics["audio"]["heard"] == 1
    assert set(metrics) >= {"audio", "physiology", "selector", "vote_right"}
    assert 0 <= metrics["selector"]["auc_of_wrong_votes"] <= 1


def test_whoever_is_not_heard_gets_no_answer_and_that_is_wrong(models, data):
    (person,) = data.of([TESTED])
    every_other = np.arange(len(person))[:, None] % 2 == 0
    silent = {modality: mask * every_other for modality, mask in person.mask.items()}
    mute = PersonWindows(person.code, person.features, silent, person.labels, person.times_s, person.blocks)
    found = measured(models, [mute])
    kept = person.take(every_other[:, 0])
    assert found["audio"] == measured(models, [kept])["audio"] | {"heard": found["audio"]["heard"]}
    assert found["audio"]["heard"] == pytest.approx(0.5, abs=0.02)
    right = measured(models, [kept])["vote"]["accuracy"] * len(kept)
    assert found["vote"]["accuracy"] == pytest.approx(right / len(person), abs=2e-3)


def test_the_card_tells_where_it_is_from(models, data):
    card = models.card
    assert card.identity == "clinic/1"
    assert card.feature_sets == CHOSEN_SETS
    assert card.training["people"] == {"train": list(TRAINED), "test": [TESTED]}
    assert card.training["fingerprint"] == data.fingerprint()
    assert (card.training["seed"], card.training["budget"], card.training["policy"]["episodes"]) == (3, 5, 12)
    assert card.training["group"]["centred"] is False
    assert card.training["command"] == "mmal train"
    assert "torch" in card.training["software"]
    assert card.selector is not None
    assert card.selector.form == StateForm.PRODUCT
    assert card.vote_right is not None


def test_in_fidelity_the_classifiers_learn_along_and_are_not_calibrated(data, tmp_path):
    people = data.of(TRAINED)
    found = train_model_set(tmp_path / "m/1", data, plan(preset="fidelity"), QUIET)
    along = GroupTraining(people, SEED, BUDGET, plan(preset="fidelity").settings)
    train(along.training)
    group = along.group()
    (person,) = data.of([TESTED])
    estimates = estimates_of(found, person)
    expected = by_torch(group, person)[0][:, 3]
    np.testing.assert_allclose(np.stack([e.by_modality[Modality.AUDIO] for e in estimates]), expected, atol=1e-5)
    assert {part.temperature for part in found.card.modalities.values()} == {1.0}
    assert found.card.selector is not None
    assert found.card.selector.form == StateForm.FIDELITY
    for scored in group.held_out:
        (run,) = (i for i, run in enumerate(along.training.runs) if scored.code in run.held_out)
        (who,) = data.of([scored.code])
        networks = {name: grouped.take([run]) for name, grouped in along.states.classifiers.items()}
        unseen, _ = score(networks, standardised(who, group.scale))
        np.testing.assert_array_equal(scored.probabilities, unseen[0])


def test_who_is_tested_by_default(data):
    assert people_to_test(data) == (TESTED,)
    named = DataSet(data.name, data.source, data.classes, data.features, data.people, 1.0, only_trained_on=("C2", "C4"))
    assert people_to_test(named) == ("C1", "C3")


def test_windows_cut_elsewhere_train_the_same_classifiers(data, tmp_path):
    """Somebody cut windows of live features with other software and says in the YAML which features they are."""
    people = data.people
    arrays = {
        m.value: np.concatenate([np.where(p.mask[m][..., None] > 0, p.features[m], np.nan) for p in people])
        for m in CHOSEN_SETS
    }
    codes = np.concatenate([[person.code] * len(person) for person in people])
    times_s, labels = (np.concatenate([getattr(person, name) for person in people]) for name in ("times_s", "labels"))
    np.savez(tmp_path / "cut.npz", who=codes, second=times_s, level=labels, **arrays)
    (tmp_path / "cut.yaml").write_text(CUT_ELSEWHERE)
    found = load_data_set(str(tmp_path / "cut.yaml"))
    assert found.feature_sets == CHOSEN_SETS
    folders = [tmp_path / name / "1" for name in ("recorded", "cut")]
    for folder, people in zip(folders, (data, found), strict=True):
        train_model_set(folder, people, plan(episodes=1), QUIET)
    assert folders[0].joinpath("audio.onnx").read_bytes() == folders[1].joinpath("audio.onnx").read_bytes()

    (tmp_path / "cut.yaml").write_text(CUT_ELSEWHERE.replace("spectral", "e4"))
    with pytest.raises(DataError, match="features of audio are not 'e4'"):
        load_data_set(str(tmp_path / "cut.yaml"))


def test_another_training_in_the_same_place_is_not_mixed_up(data, tmp_path):
    """Somebody stopped a training and goes on with another seed."""
    work = tmp_path / "clinic" / ".1.work"
    training = policy_training(fit_group(data.of(TRAINED), GROUP, 0), Run(0, BUDGET), plan().settings)
    training.save(work / "policy.pt")
    with pytest.raises(ValueError, match="other settings, runs or data"):
        train_model_set(tmp_path / "clinic" / "1", data, plan(), QUIET)


def test_curves_for_tensorboard(data, tmp_path):
    train_model_set(tmp_path / "clinic/1", data, plan(), QUIET, tmp_path / "log")
    assert len(list((tmp_path / "log").rglob("events.out.tfevents.*"))) == 1
