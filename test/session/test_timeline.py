"""A session at a glance, and the wristband's curves around one window."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND as SECOND
from mmal_ros.datatypes import Modality
from mmal_ros.session import timeline as timeline_module
from mmal_ros.session.card import write_session_card
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.reading import read_estimates
from mmal_ros.session.timeline import DERIVED, TRACE_FILE, Gap, read_curves, read_timeline, write_derived
from rigs.session_bag import write_bag
from rigs.sessions import START_NS, level_at, make_session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("sessions"), minutes=1, flags=1, clips=False)


def test_a_timeline_shows_how_engagement_went(session: SessionFolder) -> None:
    timeline = read_timeline(session, points=60)
    estimates = read_estimates(session)
    assert timeline.times_s == [n + 0.5 for n in range(60)]
    expected = (estimates.probabilities[:, 1] + 2 * estimates.probabilities[:, 2]) / 2
    assert timeline.engagement == pytest.approx(expected.reshape(60, 10).mean(axis=1).tolist(), abs=1e-4)
    voices = estimates.by_modality[:, 3, 1] / 2 + estimates.by_modality[:, 3, 2]
    assert timeline.by_modality["audio"] == pytest.approx(voices.reshape(60, 10).mean(axis=1).tolist(), abs=1e-4)
    right = [level == level_at(0, time_s) for level, time_s in zip(timeline.level, timeline.times_s, strict=True)]
    assert sum(right) > 50


def test_where_nobody_is_seen_there_is_a_gap(session: SessionFolder) -> None:
    timeline = read_timeline(session, points=60)
    assert timeline.gaps == [Gap("face", 30.1, 40.0)]
    face = timeline.by_modality["face"]
    assert [second for second, value in enumerate(face) if value is None] == list(range(30, 40))
    assert None not in timeline.by_modality["body"]
    assert None not in timeline.engagement


def test_more_points_than_estimates_are_not_invented(session: SessionFolder) -> None:
    timeline = read_timeline(session, points=5000)
    assert len(timeline.times_s) == 600
    assert {len(values) for values in (timeline.level, timeline.engagement, *timeline.by_modality.values())} == {600}
    assert None not in timeline.level


def test_a_timeline_can_become_json(session: SessionFolder) -> None:
    content = json.loads(json.dumps(asdict(read_timeline(session)), allow_nan=False))
    assert content["start_ns"] == START_NS
    assert set(content["by_modality"]) == {modality.value for modality in Modality}
    json.dumps({name: asdict(curve) for name, curve in _curves(session).items()}, allow_nan=False)


def test_a_second_look_needs_no_bag(session: SessionFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write_derived(session)
    monkeypatch.delattr(timeline_module, "read_estimates")
    assert len(read_timeline(session).times_s) == 600


def test_what_is_derived_is_private(session: SessionFolder) -> None:
    write_derived(session)
    path = session.path / DERIVED / TRACE_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_another_bag_makes_another_timeline(tmp_path: Path) -> None:
    session, other = (make_session(tmp_path, minutes=0.5, flags=1, seed=seed, clips=False) for seed in (1, 2))
    before = read_timeline(other)
    for path in other.bag.iterdir():
        path.unlink()
    for path in session.bag.iterdir():
        os.link(path, other.bag / path.name)
    assert read_timeline(other) != before


@pytest.mark.parametrize("content", [b"", b"damaged", b"PK\x03\x04 and no more"])
def test_a_damaged_file_is_made_anew(session: SessionFolder, content: bytes) -> None:
    before = read_timeline(session)
    (session.path / DERIVED / TRACE_FILE).write_bytes(content)
    assert read_timeline(session) == before


def test_a_disk_that_cannot_be_written_only_takes_longer(tmp_path: Path) -> None:
    session = make_session(tmp_path, minutes=0.2, flags=1, clips=False)
    (session.path / DERIVED).write_text("in the way")
    assert len(read_timeline(session).times_s) == 120


def test_a_session_without_estimates_has_an_empty_timeline(tmp_path: Path) -> None:
    session = make_session(tmp_path, minutes=0.2, flags=1, clips=False)
    for path in session.bag.iterdir():
        path.unlink()
    write_bag(session, [])
    timeline = read_timeline(session)
    assert timeline.engagement == [None]
    assert timeline.gaps == []
    assert _curves(session) == {}


def test_curves_lie_around_the_window(session: SessionFolder) -> None:
    curves = _curves(session)
    assert {name: curve.unit for name, curve in curves.items()} == {
        "eda": "uS",
        "pulse": "1",
        "heart_rate": "/min",
        "temperature": "Cel",
        "movement": "g",
    }
    for curve in curves.values():
        assert curve.times_s[0] == pytest.approx(-4, abs=0.26)
        assert curve.times_s[-1] == pytest.approx(3, abs=0.26)
        assert len(curve.values) == len(curve.times_s)


def test_a_curve_shows_what_was_measured_then(session: SessionFolder) -> None:
    pulse = _curves(session, end_s=20)["pulse"]
    times_s = 20 + np.array(pulse.times_s)
    np.testing.assert_allclose(pulse.values, 2 + np.sin(2 * np.pi * 1.3 * times_s), atol=0.25)
    rates = _curves(session, end_s=20)["heart_rate"]
    assert 90 <= min(rates.values) <= max(rates.values) <= 100


def test_movement_is_the_length_of_the_acceleration(session: SessionFolder) -> None:
    movement = _curves(session, end_s=20)["movement"]
    wave = 2 + np.sin(2 * np.pi * 0.05 * (20 + np.array(movement.times_s)))
    np.testing.assert_allclose(movement.values, np.sqrt(3) * wave, atol=0.25)


def _curves(session: SessionFolder, end_s: float = 20) -> dict[str, timeline_module.Curve]:
    end_ns = START_NS + round(end_s * SECOND)
    return read_curves(session, end_ns - SECOND, end_ns)


def test_a_session_that_ended_after_the_clock_leapt_by_months_has_a_timeline(tmp_path: Path) -> None:
    session = make_session(tmp_path, minutes=0.2, flags=1, clips=False)
    months_ns = 80 * 86_400 * SECOND
    write_session_card(session.path, session.card().model_copy(update={"end_ns": START_NS + months_ns}))
    timeline = read_timeline(session)
    assert timeline.end_ns - timeline.start_ns == 7 * 86_400 * SECOND
    assert timeline.level[0] is not None
