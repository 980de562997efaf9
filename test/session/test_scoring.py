"""A recorded session scored again gives the estimates of then, bit by bit, or says which not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.session import scoring
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.reading import read_features_and_estimates
from mmal_ros.session.scoring import rescore
from rigs.live_sessions import record_live
from rigs.model_sets import add_second_opinion, write_model_set
from rigs.sessions import START_NS, make_session


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelSet:
    return _models(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, models: ModelSet) -> SessionFolder:
    return record_live(tmp_path_factory.mktemp("sessions"), models)


def test_the_same_models_give_the_estimates_of_then(session: SessionFolder, models: ModelSet) -> None:
    result = rescore(session, models)
    assert len(result.recorded) > 190
    assert result.equal.all()
    assert not result.incomplete.any()
    assert result.missed == {}
    assert result.same_level == 1
    assert result.same_model
    assert set(result.scored.level.tolist()) == {-1, 0, 1, 2}, "all alike would tell nothing"
    assert set(result.scored.status[:, 0].tolist()) >= {0, 2}, "no gap would tell nothing of gaps"


def test_estimates_had_not_seen_all_that_was_measured(session: SessionFolder, models: ModelSet) -> None:
    """Or the others would be too easy."""
    result = rescore(session, models)
    assert (np.nanmax(result.recorded.age_s, axis=0) > 0.1).all()


@pytest.mark.parametrize("rate_hz", [5, 20])
def test_at_another_rate_too(tmp_path: Path, models: ModelSet, rate_hz: float) -> None:
    result = rescore(record_live(tmp_path, models, 10, rate_hz=rate_hz), models)
    assert len(result.recorded) >= 9 * rate_hz
    assert result.equal.all()


def test_frames_that_nobody_could_use_change_nothing(tmp_path: Path, models: ModelSet) -> None:
    """A sensor that says some things twice and others not as numbers: the estimates had refused that."""

    def flawed(frame: FeatureFrame) -> list[FeatureFrame]:
        again = replace(frame, values=frame.values + 1)
        broken = replace(frame, stamp_ns=frame.stamp_ns + 1_000_000, values=np.full_like(frame.values, np.nan))
        return [[broken], [again] * frame.valid, [*[again] * frame.valid, broken], []][frame.stamp_ns // 7 % 4]

    session = record_live(tmp_path, models, flawed=flawed)
    result = rescore(session, models)
    assert result.equal.all()
    assert result.missed == {}
    in_bag = read_features_and_estimates(session)[0].arrays[Modality.FACE]["values"]
    assert np.isnan(in_bag).any(axis=1).sum() > 100


def test_a_second_opinion_is_asked_again_too(tmp_path: Path) -> None:
    _models(tmp_path / "own")
    add_second_opinion(tmp_path / "own" / "1")
    models = load_model_set(tmp_path / "own", ("cpu",))
    result = rescore(record_live(tmp_path, models, 8), models)
    assert result.equal.all()


def test_a_recording_that_begins_later_than_the_estimates(tmp_path: Path, models: ModelSet) -> None:
    result = rescore(record_live(tmp_path, models, 15, before_s=5), models)
    assert result.recorded.frames_seen[0].min() > 30
    assert result.equal[14:].all(), "the first second reaches back to where nothing was recorded"
    assert not result.equal[:5].any()
    assert result.missed == {}


def test_frames_that_the_recorder_missed_are_counted(tmp_path: Path, models: ModelSet) -> None:
    def missed(frame: FeatureFrame) -> bool:
        since_s = (frame.stamp_ns - START_NS) / 1e9
        return frame.modality is Modality.AUDIO and 10 <= since_s < 10.5

    result = rescore(record_live(tmp_path, models, missed=missed), models)
    assert result.missed == {Modality.AUDIO: 5}
    assert 5 <= result.incomplete.sum() <= 8
    times_s = (result.recorded.stamp_ns[~result.equal] - START_NS) / 1e9
    assert 10 < times_s.min() < 10.3
    assert 11.2 < times_s.max() < 11.8
    assert result.incomplete[~result.equal].any()
    assert not result.incomplete[result.equal].any()


def test_a_modality_that_was_not_recorded_at_all(tmp_path: Path, models: ModelSet) -> None:
    result = rescore(record_live(tmp_path, models, 8, missed=lambda frame: frame.modality is Modality.BODY), models)
    assert result.missed[Modality.BODY] > 80
    assert result.incomplete[20:].all()
    assert (result.scored.status[:, 1] == 0).all()


def test_other_models_are_compared_by_level(session: SessionFolder, tmp_path: Path) -> None:
    result = rescore(session, _models(tmp_path / "other", seed=7))
    assert not result.equal[10:].any(), "before that nothing is heard"
    assert not result.same_model
    assert result.same_level is not None
    assert 0 < result.same_level < 1
    assert not result.incomplete.any()


def test_what_other_models_do_not_hear_is_named(session: SessionFolder, tmp_path: Path) -> None:
    sets = {Modality.FACE: "mediapipe-face", Modality.AUDIO: "opensmile-egemaps"}
    result = rescore(session, load_model_set(write_model_set(tmp_path / "deaf", feature_sets=sets).parent, ("cpu",)))
    assert result.unheard == {
        Modality.BODY: "mediapipe-pose",
        Modality.PHYSIOLOGY: "e4",
        Modality.AUDIO: "spectral",
    }
    assert (result.scored.status[:, 3] == 0).all()


def test_without_recorded_estimates_they_are_made_by_the_rules_of_time(tmp_path: Path, models: ModelSet) -> None:
    result = rescore(record_live(tmp_path, models, 8, estimates=False), models)
    assert len(result.scored) >= 78
    assert result.same_level is None
    assert np.diff(result.scored.window_id).tolist() == [1] * (len(result.scored) - 1)


def test_the_last_bit_of_one_probability_counts(
    session: SessionFolder, models: ModelSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording, recorded = read_features_and_estimates(session)
    recorded.by_modality[100, 3, 1] = np.nextafter(recorded.by_modality[100, 3, 1], np.float32(1))
    monkeypatch.setattr(scoring, "read_features_and_estimates", lambda folder: (recording, recorded))
    assert np.flatnonzero(~rescore(session, models).equal).tolist() == [100]


def test_progress_ends_with_all(session: SessionFolder, models: ModelSet) -> None:
    told: list[tuple[int, int]] = []
    result = rescore(session, models, lambda done, total: told.append((done, total)))
    assert told[-1] == (len(result.scored), len(result.scored))


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_says_how_many_are_equal(session: SessionFolder, models: ModelSet, tmp_path: Path) -> None:
    folder, table = str(_folder(models)), tmp_path / "estimates.csv"
    ran = CliRunner().invoke(app, ["score", str(session.path), "--model", folder, "--json", "--output", str(table)])
    assert ran.exit_code == 0, ran.output
    record = json.loads(ran.stdout)
    rows = table.read_text().splitlines()
    assert record["equal"] == record["estimates"] == record["recorded"] == len(rows) - 1
    assert (record["different"], record["not_repeatable"], record["missed_frames"]) == (0, 0, {})
    assert record["same_level"] == 1
    assert rows[0] == "window_id,time_s,level,low,medium,high,recorded_level,equal"
    window, time_s, level, *shares, then, equal = rows[100].split(",")
    assert int(window) * 1e8 == pytest.approx(START_NS + float(time_s) * 1e9)
    assert level == then in {"low", "medium", "high"}
    assert sum(map(float, shares)) == pytest.approx(1, abs=1e-5)
    assert equal == "1"


def test_the_command_prints_a_table_with_what_must_be_known(tmp_path: Path, models: ModelSet) -> None:
    session = make_session(tmp_path, minutes=0.2, flags=1, clips=False)
    ran = CliRunner().invoke(app, ["score", str(session.path), "--model", str(_folder(models))])
    assert ran.exit_code == 0, ran.output
    assert "recorded were estimates of demo/2" in ran.stdout
    assert "audio: recorded as 'opensmile-egemaps', which this model does not hear" in ran.stdout
    assert "× real time" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing", "--sessions", "."], "mmal: 'nothing' is no session"),
        (["{session}", "--model", "nowhere"], "mmal: nowhere"),
        (["{session}", "--model", "{model}", "--output", "no/folder/x.csv"], "the folder no/folder is not there"),
    ],
)
def test_what_cannot_be_scored_is_said(
    session: SessionFolder, models: ModelSet, arguments: list[str], sentence: str
) -> None:
    filled = [text.format(session=session.path, model=_folder(models)) for text in arguments]
    ran = CliRunner().invoke(app, ["score", *filled])
    assert ran.exit_code == 2
    assert sentence in ran.stderr


def _models(folder: Path, seed: int = 0) -> ModelSet:
    write_model_set(folder, seed=seed)
    return load_model_set(folder, ("cpu",))


def _folder(models: ModelSet) -> Path:
    return next(iter(models.classifiers.values())).path.parent
