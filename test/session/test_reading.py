"""What is read of a bag is what was written: against ROS's own serialisation and the rosbags library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from std_msgs.msg import Header

from mmal_msgs.msg import Engagement, FeatureFrame, ModalityEstimate, SignalChunk
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND as SECOND
from mmal_ros.datatypes import Modality
from mmal_ros.features.names import SIZES
from mmal_ros.nodes.recorded_topics import bag_topic, recorded_topics
from mmal_ros.session.bag import BagWriter
from mmal_ros.session.bag_reading import Bag
from mmal_ros.session.card import SessionError
from mmal_ros.session.cdr import CdrError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.message_columns import estimate_columns, frame_columns, signal_chunk
from mmal_ros.session.reading import read_estimates, read_features, read_features_and_estimates, read_signals
from mmal_ros.session.records import Privacy
from rigs.session_bag import Message, write_bag
from rigs.sessions import START_NS, make_session

TEXTS = st.text(max_size=9).filter(lambda text: "\0" not in text)
FLOATS = st.floats(width=32, allow_nan=False)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("sessions"), minutes=0.2, flags=1, clips=False)


@pytest.fixture
def empty(tmp_path: Path) -> SessionFolder:
    """A session with a card, and a bag still to be written."""
    folder = make_session(tmp_path, minutes=0.1, flags=1, clips=False)
    for path in folder.bag.iterdir():
        path.unlink()
    return folder


# --- against other readers ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(TEXTS, TEXTS, st.booleans(), FLOATS, st.lists(FLOATS, max_size=5)), max_size=6))
def test_feature_frames_of_any_shape_are_taken_apart_as_ros_put_them_together(rows: list[Any]) -> None:
    messages = [
        FeatureFrame(
            header=Header(stamp=Time(sec=number, nanosec=7), frame_id=frame_id),
            feature_set=feature_set,
            valid=valid,
            confidence=confidence,
            values=values,
        )
        for number, (frame_id, feature_set, valid, confidence, values) in enumerate(rows)
    ]
    found: dict[int, FeatureFrame] = {}
    for part in frame_columns([serialize_message(message) for message in messages]):
        for place, row in enumerate(part.rows.tolist()):
            assert part.feature_set == messages[row].feature_set
            assert part.stamp_ns[place] == row * SECOND + 7
            assert part.valid[place] == messages[row].valid
            assert part.confidence[place] == np.float32(messages[row].confidence)
            np.testing.assert_array_equal(part.values[place], np.array(messages[row].values, np.float32))
            found[row] = messages[row]
    assert len(found) == len(rows)


def test_what_lies_in_the_gaps_of_alignment_does_not_matter() -> None:
    """ROS leaves there whatever was in memory: thousands of messages must still become one table."""
    messages = [bytearray(_frame(1, "camera12", "e4", 3).data) for _ in range(20)]
    after_modality = slice(26, 28)
    for number, message in enumerate(messages):
        message[after_modality] = bytes([number, 255 - number])
    (part,) = frame_columns([bytes(message) for message in messages])
    assert part.rows.tolist() == list(range(20))


@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 3), st.integers(0, 2**40)), max_size=6))
def test_estimates_of_any_shape_are_taken_apart_in_their_order(rows: list[Any]) -> None:
    messages = [_engagement(number, *row) for number, row in enumerate(rows)]
    columns = estimate_columns([serialize_message(message) for message in messages])
    assert columns.window_id.tolist() == [message.window_id for message in messages]
    assert columns.stamp_ns.tolist() == [number * SECOND + 7 for number in range(len(rows))]
    assert columns.level.tolist() == [message.level - 1 for message in messages]
    assert columns.model.tolist() == [message.model_version for message in messages]
    for message, row in zip(messages, range(len(messages)), strict=True):
        np.testing.assert_array_equal(columns.probabilities[row], message.probabilities)
        for place, part in enumerate(message.modalities):
            np.testing.assert_array_equal(columns.by_modality[row, place], part.probabilities)
            assert columns.confidence[row, place] == np.float32(part.confidence)
            assert columns.status[row, place] == part.status
            assert columns.age_s[row, place] == np.float32(part.age)
            assert columns.frames_seen[row, place] == part.frames_seen


@given(TEXTS, TEXTS, st.integers(0, 4), st.lists(FLOATS, max_size=9))
def test_signals_of_any_shape_are_taken_apart(name: str, unit: str, channels: int, values: list[float]) -> None:
    whole = values[: len(values) // max(channels, 1) * max(channels, 1)]
    message = SignalChunk(header=Header(stamp=Time(sec=3, nanosec=7)), name=name, unit=unit, channels=channels)
    message.values, message.rate_hz = values, 32.0
    chunk = signal_chunk(serialize_message(message))
    assert (chunk.name, chunk.unit, chunk.rate_hz, chunk.stamp_ns) == (name, unit, 32.0, 3 * SECOND + 7)
    assert chunk.values.ravel().tolist() == pytest.approx(np.array(whole, np.float32).tolist())
    assert chunk.values.shape[1] == max(channels, 1)


def test_a_session_is_read_as_the_rosbags_library_reads_it(session: SessionFolder) -> None:
    frames, estimates = _by_rosbags(session)
    recording, columns = read_features_and_estimates(session)
    for modality in Modality:
        of_one = recording.arrays[modality]
        assert of_one["known_ns"].tolist() == [received_ns for received_ns, _ in frames[modality]]
        assert of_one["stamp_ns"].tolist() == [_stamp_ns(message) for _, message in frames[modality]]
        np.testing.assert_array_equal(of_one["values"], [message.values for _, message in frames[modality]])
        assert of_one["valid"].all()
    assert recording.start_ns == START_NS
    assert columns.window_id.tolist() == [message.window_id for message in estimates]
    ages = [[part.age for part in message.modalities] for message in estimates]
    np.testing.assert_array_equal(columns.age_s, np.array(ages, np.float32))


def test_features_and_estimates_can_be_read_apart(session: SessionFolder) -> None:
    recording, estimates = read_features_and_estimates(session)
    alone = read_features(session)
    for modality, columns in recording.arrays.items():
        assert (alone.arrays[modality]["values"] == columns["values"]).all()
    assert (read_estimates(session).window_id == estimates.window_id).all()


def test_signals_are_read_of_the_time_that_is_asked_for(session: SessionFolder) -> None:
    signals = read_signals(session, START_NS + 3 * SECOND, START_NS + 5 * SECOND)
    assert {name: signal.values.shape for name, signal in signals.items()} == {
        "acc": (65, 3),
        "bvp": (129, 1),
        "eda": (9, 1),
        "temperature": (9, 1),
        "heart_rate": (21, 1),
    }
    assert signals["bvp"].times_ns[0] == START_NS + 3 * SECOND
    assert np.diff(signals["bvp"].times_ns).tolist() == pytest.approx([SECOND / 64] * 128, abs=1)
    whole = read_signals(session, START_NS, START_NS + 12 * SECOND)["acc"]
    np.testing.assert_array_equal(signals["acc"].values, whole.values[3 * 32 : 5 * 32 + 1])


def test_messages_of_some_topics_come_in_the_order_of_time(session: SessionFolder) -> None:
    bag = Bag(session)
    topics = ["/mmal/e4/eda", "/mmal/engagement"]
    came = [(received_ns, topic) for received_ns, topic, _ in bag.messages(topics, START_NS + 2 * SECOND)]
    assert came == sorted(came, key=lambda message: message[0])
    assert {topic for _, topic in came} == set(topics)
    assert START_NS + 2 * SECOND <= came[0][0] < START_NS + 2.1 * SECOND


# --- what no model hears, and what is no bag of ours ----------------------------------------------------------------


def test_frames_that_no_model_hears_are_left_out(empty: SessionFolder) -> None:
    stream = [
        _frame(1.0, "camera", "mediapipe-face", SIZES[Modality.FACE]),
        _frame(1.1, "another camera", "mediapipe-face", SIZES[Modality.FACE]),
        _frame(1.2, "camera", "mediapipe-face", SIZES[Modality.FACE]),
        _frame(1.15, "camera", "mediapipe-face", SIZES[Modality.FACE], received_s=1.3),
        _frame(1.4, "camera", "mediapipe-face", 3),
        _frame(1.5, "camera", "openface", SIZES[Modality.FACE]),
        _frame(1.6, "camera", "e4", SIZES[Modality.PHYSIOLOGY]),
    ]
    write_bag(empty, [stream])
    columns = read_features(empty).arrays[Modality.FACE]
    assert ((columns["stamp_ns"] - START_NS) / SECOND).tolist() == [1.0, 1.1, 1.2]
    assert str(columns["feature_set"]) == "mediapipe-face"


def test_a_frame_from_the_future_costs_only_itself(empty: SessionFolder) -> None:
    """As live, where it is refused: those after it are not older than anything that counts."""
    stream = [_face(n / 10) for n in range(1, 31)]
    stream[9] = _face(3600.0, received_s=1.0)
    write_bag(empty, [stream])
    stamps_ns = read_features(empty).arrays[Modality.FACE]["stamp_ns"]
    assert ((stamps_ns - START_NS) / SECOND).tolist() == [n / 10 for n in range(1, 31) if n != 10]


def test_a_clock_that_was_set_back_costs_the_time_that_repeats_once(empty: SessionFolder) -> None:
    """What came first counts. The bag's index is in the order in which it was recorded, not in that of the clock."""
    topics = [bag_topic(topic, f"/mmal/{topic.name}") for topic in recorded_topics(Privacy.FEATURES_ONLY)]
    clock_s = [*range(1, 61), *range(41, 101)]  # after a minute it is set back by twenty seconds
    with BagWriter(empty.bag, topics) as bag:
        for second in clock_s:
            for message in (_face(second + n / 10) for n in range(10)):
                bag.write(message.topic, message.data, message.log_ns, message.stamp_ns)
            if second % 7 == 0:  # so that one chunk has the jump in it
                bag.flush()
    columns = read_features(empty).arrays[Modality.FACE]
    seconds = (columns["stamp_ns"] - START_NS) // SECOND
    assert seconds.tolist() == [second for second in range(1, 101) for _ in range(10)]
    assert (np.diff(columns["known_ns"]) > 0).all()


def test_what_came_after_the_clock_leapt_by_months_is_left_out(empty: SessionFolder) -> None:
    """It was never right before; a window for every tenth of a second in between would be 70 million."""
    months_s = 80 * 86_400
    write_bag(empty, [[*(_face(n / 10) for n in range(1, 31)), *(_face(months_s + n / 10) for n in range(1, 31))]])
    assert len(read_features(empty).arrays[Modality.FACE]["stamp_ns"]) == 30


def _face(stamp_s: float, received_s: float | None = None) -> Message:
    return _frame(stamp_s, "camera", "mediapipe-face", SIZES[Modality.FACE], received_s=received_s)


def test_features_that_nobody_knows_are_as_good_as_none(empty: SessionFolder) -> None:
    write_bag(empty, [[_frame(1, "camera", "of another year", SIZES[Modality.FACE])]])
    assert read_features(empty).arrays == {}


def test_a_session_without_any_message_is_empty(empty: SessionFolder) -> None:
    write_bag(empty, [])
    recording, estimates = read_features_and_estimates(empty)
    assert recording.arrays == {}
    assert len(estimates) == 0
    assert read_signals(empty, START_NS, START_NS + SECOND) == {}


def test_a_bag_that_was_cut_off_is_mended_and_read(empty: SessionFolder) -> None:
    frames = [_frame(n / 10, "camera", "mediapipe-face", SIZES[Modality.FACE]) for n in range(1, 201)]
    write_bag(empty, [frames])
    (empty.bag / "metadata.yaml").unlink()
    path = empty.bag / "bag_0.mcap"
    path.write_bytes(path.read_bytes()[:-120_000])
    stamps_ns = read_features(empty).arrays[Modality.FACE]["stamp_ns"]
    assert 0 < len(stamps_ns) < 200
    assert stamps_ns.tolist() == [START_NS + n * SECOND // 10 for n in range(1, len(stamps_ns) + 1)]


def test_what_is_being_recorded_is_not_read_yet(empty: SessionFolder) -> None:
    with BagWriter(empty.bag, []), pytest.raises(SessionError, match="is it being recorded"):
        read_features(empty)


@pytest.mark.parametrize("where", [0.4, 0.999])
def test_a_damaged_bag_is_named(empty: SessionFolder, where: float) -> None:
    write_bag(empty, [[_frame(n / 10, "camera", "mediapipe-face", SIZES[Modality.FACE]) for n in range(1, 201)]])
    path = empty.bag / "bag_0.mcap"
    content = bytearray(path.read_bytes())
    place = int(len(content) * where)
    content[place : place + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(SessionError, match=r"bag_0\.mcap is damaged"):
        read_features(empty)


@pytest.mark.parametrize("content", [b"", b"no bag", b"\0" * 500])
def test_a_file_that_is_no_bag_is_named(session: SessionFolder, empty: SessionFolder, content: bytes) -> None:
    write_bag(empty, [])
    (empty.bag / "bag_0.mcap").write_bytes(content)
    with pytest.raises(SessionError, match=r"bag_0\.mcap"):
        read_features(empty)


def test_messages_of_another_type_are_named(empty: SessionFolder) -> None:
    write_bag(empty, [[Message(START_NS, START_NS, "/mmal/features/face", b"\0\1\0\0half")]])
    with pytest.raises(SessionError, match="holds something else than our messages"):
        read_features(empty)


def test_big_endian_messages_are_refused() -> None:
    with pytest.raises(CdrError, match="little endian"):
        frame_columns([b"\0\0\0\0" + bytes(40)])


def _by_rosbags(session: SessionFolder) -> tuple[dict[Modality, list[Any]], list[Any]]:
    frames: dict[Modality, list[Any]] = {modality: [] for modality in Modality}
    estimates = []
    with AnyReader([session.bag]) as reader:
        for connection, received_ns, data in reader.messages():
            name = connection.topic.rpartition("/")[2]
            if "/features/" in connection.topic:
                frames[Modality(name)].append((received_ns, reader.deserialize(data, connection.msgtype)))
            elif name == "engagement":
                estimates.append(reader.deserialize(data, connection.msgtype))
    return frames, estimates


def _stamp_ns(message: Any) -> int:
    return int(message.header.stamp.sec) * SECOND + int(message.header.stamp.nanosec)


def _engagement(number: int, frame_id: str, model: str, level: int, seen: int) -> Engagement:
    random = np.random.default_rng(number)
    parts = [
        ModalityEstimate(
            modality=place,
            status=(number + place) % 3,
            probabilities=random.random(3).astype(np.float32),
            confidence=float(random.random()),
            age=float(random.random()),
            frames_seen=seen + place,
        )
        for place in range(4)
    ]
    return Engagement(
        header=Header(stamp=Time(sec=number, nanosec=7), frame_id=frame_id),
        window_id=17 + number,
        level=level,
        probabilities=random.random(3).astype(np.float32),
        modalities=parts,
        model_version=model,
    )


def _frame(stamp_s: float, frame_id: str, feature_set: str, size: int, received_s: float | None = None) -> Message:
    stamp_ns = START_NS + round(stamp_s * SECOND)
    received_ns = stamp_ns if received_s is None else START_NS + round(received_s * SECOND)
    message = FeatureFrame(
        header=Header(stamp=Time(sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND), frame_id=frame_id),
        feature_set=feature_set,
        valid=True,
        values=np.random.default_rng(round(stamp_s * 10)).normal(size=size).astype(np.float32),
    )
    return Message(received_ns, stamp_ns, "/mmal/features/face", serialize_message(message))
