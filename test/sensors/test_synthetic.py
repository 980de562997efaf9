"""A simulated person is seen, heard and felt as a real one would be, and her engagement is known."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice, pairwise

import numpy as np
import pytest

from mmal_ros.datatypes import Level, Sample
from mmal_ros.sensors.source import Paced, Source, SourceState
from mmal_ros.sensors.synthetic import (
    EngagementScript,
    Person,
    Segment,
    SyntheticCamera,
    SyntheticMicrophone,
    SyntheticWristband,
)

START_NS = 1_700_000_000_123_456_789
SOURCES = (SyntheticCamera, SyntheticMicrophone, SyntheticWristband)


def constant(level: Level, duration_s: float) -> EngagementScript:
    return EngagementScript((Segment(0, duration_s, level),))


def samples(kind: type[Source], seed: int, script: EngagementScript, start_ns: int = START_NS) -> list[Sample]:
    with kind(Person.random(seed), script, start_ns) as source:
        return list(source)


def stream(band: list[Sample], name: str) -> np.ndarray:
    return np.concatenate([sample.values for sample in band if sample.source == name])


@pytest.mark.parametrize("kind", SOURCES)
def test_the_same_session_can_be_repeated_bit_by_bit(kind):
    script = EngagementScript.random(5, 3)
    first, second = samples(kind, 1, script), samples(kind, 1, script)
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert (a.source, a.stamp_ns, a.rate_hz) == (b.source, b.stamp_ns, b.rate_hz)
        assert np.array_equal(a.values, b.values)


@pytest.mark.parametrize("kind", SOURCES)
def test_another_person_is_another_person(kind):
    script = constant(Level.HIGH, 3)
    first, second = samples(kind, 1, script), samples(kind, 2, script)
    assert any(not np.array_equal(a.values, b.values) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", SOURCES)
def test_samples_come_in_the_order_of_their_ends_and_begin_at_the_start(kind):
    band = samples(kind, 3, constant(Level.MEDIUM, 4))
    ends = [sample.end_ns for sample in band]
    assert ends == sorted(ends)
    assert band[0].stamp_ns == START_NS
    assert START_NS + 3.7e9 < ends[-1] < START_NS + 4e9


def test_stamps_are_exact_at_every_rate():
    script = constant(Level.HIGH, 5)
    pictures = [sample.stamp_ns - START_NS for sample in samples(SyntheticCamera, 1, script)]
    assert pictures == [round(i * 1e9 / 30) for i in range(150)]
    blocks = [sample.stamp_ns - START_NS for sample in samples(SyntheticMicrophone, 1, script)]
    assert blocks == [i * 20_000_000 for i in range(250)]
    band = samples(SyntheticWristband, 1, script)
    for name, rate_hz in (("acc", 32), ("bvp", 64), ("eda", 4), ("temperature", 4)):
        chunks = [sample for sample in band if sample.source == name]
        assert {sample.rate_hz for sample in chunks} == {rate_hz}
        assert [c.stamp_ns - START_NS for c in chunks] == [i * 250_000_000 for i in range(20)]
        assert len(stream(band, name)) == 5 * rate_hz


def test_samples_have_the_types_that_the_vocabulary_promises():
    script = constant(Level.LOW, 3)
    picture = samples(SyntheticCamera, 4, script)[0].values
    assert (picture.shape, picture.dtype) == ((480, 640, 3), np.uint8)
    block = samples(SyntheticMicrophone, 4, script)[0].values
    assert (block.shape, block.dtype) == ((320,), np.float32)
    shapes = {s.source: s.values.shape[1:] for s in samples(SyntheticWristband, 4, script)}
    assert shapes.pop("battery") == ()
    assert shapes == {"acc": (3,), "bvp": (), "eda": (), "temperature": ()}


@pytest.mark.parametrize("seed", range(4))
def test_a_wristband_measures_what_a_living_person_has(seed):
    band = samples(SyntheticWristband, seed, EngagementScript.random(seed, 300))
    assert 0.3 < stream(band, "eda").min() < stream(band, "eda").max() < 20
    assert 28 < stream(band, "temperature").min() < stream(band, "temperature").max() < 37
    acc = stream(band, "acc")
    assert np.abs(acc).max() <= 2
    assert np.median(np.linalg.norm(acc, axis=1)) == pytest.approx(1, abs=0.05)
    bvp = stream(band, "bvp")
    spectrum = np.abs(np.fft.rfft(bvp - bvp.mean()))
    heart_rate = 60 * np.fft.rfftfreq(len(bvp), 1 / 64)[spectrum.argmax()]
    assert heart_rate == pytest.approx(Person.random(seed).heart_rate, abs=20)
    assert 5 <= sum(sample.source == "battery" for sample in band) <= 6
    assert stream(band, "battery").min() > 0.9


def test_the_button_is_pressed_now_and_then():
    band = samples(SyntheticWristband, 7, EngagementScript.random(7, 3600))
    assert 3 < sum(sample.source == "tag" for sample in band) < 30


def test_the_attentive_answer_and_the_absent_hardly_do_and_the_room_is_never_quite_silent():
    speaking = {}
    for level in (Level.LOW, Level.HIGH):
        heard = [
            np.concatenate([s.values for s in samples(SyntheticMicrophone, i, constant(level, 60))]) for i in (1, 2)
        ]
        blocks = np.concatenate(heard).reshape(-1, 320)
        loudness = np.sqrt((blocks**2).mean(axis=1))
        assert np.abs(blocks).max() <= 1
        assert loudness.min() > 1e-4
        speaking[level] = (loudness > 0.01).mean()
    assert speaking[Level.LOW] < 0.2 < speaking[Level.HIGH] < 0.7


def test_the_voice_has_the_pitch_of_the_person():
    person = Person.random(3)
    sound = np.concatenate([s.values for s in samples(SyntheticMicrophone, 3, constant(Level.HIGH, 20))])
    blocks = sound[: len(sound) // 1600 * 1600].reshape(-1, 1600)
    loudest = blocks[np.sqrt((blocks**2).mean(axis=1)).argsort()[-20:]]
    pitches = []
    for block in loudest:
        echo = np.correlate(block, block, "full")[1600:]  # lag 1 on
        lags = np.arange(1, 1600)
        possible = (lags > 16000 / 500) & (lags < 16000 / 80)
        pitches.append(16000 / lags[possible][echo[possible].argmax()])
    assert person.voice_pitch_hz / 1.5 < np.median(pitches) < person.voice_pitch_hz * 1.5


def test_the_mouth_opens_when_the_voice_sounds():
    from mmal_ros.sensors.synthetic.posture import Poser

    person, script = Person.random(6), EngagementScript.random(6, 60)
    loudness = np.array([np.sqrt((s.values**2).mean()) for s in SyntheticMicrophone(person, script, START_NS)])
    poser = Poser(person, script)
    jaw = np.array([poser.posture_at((i + 0.5) / 50).jaw for i in range(len(loudness))])
    assert (jaw > 0.3).sum() > 20
    assert (loudness[jaw > 0.3] > 0.005).mean() > 0.95
    assert jaw[loudness < 0.002].max() < 0.3


def test_a_random_script_changes_slowly_and_knows_all_levels():
    script = EngagementScript.random(1, 7200)
    lengths = np.array([segment.end_s - segment.start_s for segment in script.segments])
    assert script.duration_s == 7200
    assert lengths.min() >= 6
    assert lengths.max() <= 26  # the last one may take the rest
    assert all(a.level != b.level for a, b in pairwise(script.segments))
    levels = np.array([script.level_at(t) for t in range(7200)])
    for level in Level:
        assert 0.2 < (levels == level).mean() < 0.5


def test_the_intensity_follows_the_level_without_a_step():
    script = EngagementScript.random(2, 600)
    times = np.arange(0, 600, 0.05)
    intensity = np.array([script.intensity_at(t) for t in times])
    assert intensity.min() >= 0
    assert intensity.max() <= 1
    assert np.abs(np.diff(intensity)).max() < 0.04
    levels = np.array([script.level_at(t) for t in times])
    means = [intensity[levels == level].mean() for level in Level]
    assert means == sorted(means)
    assert script.level_at(-1) == script.segments[0].level
    assert script.level_at(1e6) == script.segments[-1].level


@pytest.mark.parametrize(
    ("segments", "complaint"),
    [
        ((), "at least one"),
        ((Segment(1, 9, Level.LOW),), "expected 0.0 s"),
        ((Segment(0, 9, Level.LOW), Segment(10, 20, Level.HIGH)), "expected 9 s"),
        ((Segment(0, 1, Level.LOW),), "shorter than"),
    ],
)
def test_a_script_with_holes_is_refused(segments, complaint):
    with pytest.raises(ValueError, match=complaint):
        EngagementScript(segments)


def test_a_source_that_is_closed_ends_and_says_so():
    source = SyntheticMicrophone(Person.random(1), EngagementScript.random(1, 8 * 3600), START_NS)
    with source:
        assert len(list(islice(source, 3))) == 3
    assert source.status.state is SourceState.STREAMING
    assert source.status.received == 3
    assert list(source) == []
    assert source.status.state is SourceState.ENDED


def test_in_real_time_it_plays_like_a_device():
    now_ns = iter(range(START_NS, START_NS + 10**12, 50_000_000))
    recorded = SyntheticWristband(Person.random(1), constant(Level.HIGH, 2), start_ns=0)
    with Paced(recorded, lambda: next(now_ns)) as source:
        source.begin_at(START_NS)
        played = list(source)
    expected = samples(SyntheticWristband, 1, constant(Level.HIGH, 2))
    assert [sample.stamp_ns for sample in played] == [sample.stamp_ns for sample in expected]


def test_no_picture_repeats_another_even_where_nothing_moves():
    """A picture that is the same as the last one counts as a frozen camera: the sensor's noise must differ."""
    wall = [picture.values[:20, :20] for picture in samples(SyntheticCamera, 1, constant(Level.HIGH, 2))]
    assert all((first != second).mean() > 0.5 for first, second in pairwise(wall))


def test_a_small_camera_shows_the_same_scene():
    script = constant(Level.HIGH, 2)
    with SyntheticCamera(Person.random(1), script, START_NS, rate_hz=10, size=(320, 240)) as small:
        pictures = list(small)
    assert len(pictures) == 20
    large = samples(SyntheticCamera, 1, script)[0].values
    difference = large[::2, ::2].astype(float) - pictures[0].values
    assert np.abs(difference).mean() < 6


def test_mediapipe_finds_an_attentive_person_who_turns_and_talks():
    """One picture in three of 20 s: the face in all but a few, the body in all; head and mouth move."""
    face_mesh = pytest.importorskip("mediapipe").solutions.face_mesh.FaceMesh(refine_landmarks=True)
    turns, mouths, seen = [], [], 0
    pictures = samples(SyntheticCamera, 11, constant(Level.HIGH, 20))[::3]
    with face_mesh:
        for picture in pictures:
            found = face_mesh.process(np.ascontiguousarray(picture.values[..., ::-1]))
            if not found.multi_face_landmarks:
                continue
            seen += 1
            points = np.array([(p.x * 640, p.y * 480) for p in found.multi_face_landmarks[0].landmark])
            width = points[454, 0] - points[234, 0]
            turns.append((points[1, 0] - points[234, 0]) / width)
            mouths.append((points[17, 1] - points[0, 1]) / width)
    assert seen / len(pictures) > 0.95
    assert np.ptp(turns) > 0.1
    assert np.ptp(mouths) > 0.05


def test_mediapipe_finds_the_upper_body():
    pose = pytest.importorskip("mediapipe").solutions.pose.Pose(model_complexity=1)
    with pose:
        for picture in samples(SyntheticCamera, 12, constant(Level.HIGH, 4))[::20]:
            found = pose.process(np.ascontiguousarray(picture.values[..., ::-1]))
            assert found.pose_landmarks is not None
            shoulders = [found.pose_landmarks.landmark[i].visibility for i in (11, 12)]
            assert min(shoulders) > 0.5


def test_person_and_script_load_without_a_heavy_library():
    code = (
        "import sys; import mmal_ros.sensors.synthetic.person, mmal_ros.sensors.synthetic;"
        "print(sorted({'cv2', 'skimage', 'neurokit2', 'scipy', 'mediapipe'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_long_session_begins_at_once():
    """Eight hours cost no more than the first moment of them: everything is made when it is asked for."""
    script = EngagementScript.random(1, 8 * 3600)
    for kind in SOURCES:
        with kind(Person.random(1), script, START_NS) as source:
            assert len(list(islice(source, 5))) == 5
