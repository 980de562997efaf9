"""The bag of a session: others can open it, also when it was cut off anywhere."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import stat
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, Message
from mcap.writer import Writer
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader

from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.nodes.conversions import frame_to_message
from mmal_ros.nodes.recorded_topics import ALWAYS, SEEN_AND_HEARD, bag_topic
from mmal_ros.session import bag as bag_module
from mmal_ros.session import bag_index, bag_queue, salvage
from mmal_ros.session.bag import LOCK_FILE, BagWriter, register, started_writer
from mmal_ros.session.bag_metadata import BAG_FILE, METADATA_FILE, is_complete
from mmal_ros.session.bag_queue import BagQueue
from mmal_ros.session.card import SessionError
from mmal_ros.session.folder import SessionFolder, new_session
from mmal_ros.session.salvage import ensure_readable
from rigs.ros import wait_until

START_NS = 1_790_000_000_000_000_000
TOPICS = [bag_topic(topic, f"/mmal/{topic.name}") for topic in (*ALWAYS, *SEEN_AND_HEARD)]
FACE, BODY = "/mmal/features/face", "/mmal/features/body"


@pytest.fixture
def folder(tmp_path) -> SessionFolder:
    return new_session(tmp_path, "P017", START_NS)


@cache  # the bytes between aligned fields are whatever was there: serialised twice is not always the same
def frame(number: int, modality: Modality = Modality.FACE) -> bytes:
    """A serialised feature frame that says which one it is; noise, so that it fills the disk."""
    values = np.random.default_rng(number).normal(size=257).astype(np.float32)
    values[0] = number
    message = frame_to_message(FeatureFrame(modality, START_NS + number, values, True, 1.0, "a-set"), "camera")
    data: bytes = serialize_message(message)
    return data


def chunks_in(folder: SessionFolder) -> list[int]:
    """Where the index says that the chunks begin."""
    with (folder.bag / BAG_FILE).open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    return [index.chunk_start_offset for index in summary.chunk_indexes]


def write_some(bag: BagWriter, first: int, last: int) -> None:
    for number in range(first, last):
        bag.write(FACE, frame(number), START_NS + number * 1000 + 7, START_NS + number * 1000)


def numbers_in(folder: SessionFolder) -> list[int]:
    """Which frames somebody with the rosbags library finds in a bag."""
    with AnyReader([folder.bag]) as reader:
        return [int(reader.deserialize(raw, at.msgtype).values[0]) for at, _, raw in reader.messages()]


def test_others_can_open_a_bag(folder):
    """With messages, times, definitions and quality of service, and nothing of ours installed."""
    with BagWriter(folder.bag, TOPICS) as bag:
        write_some(bag, 0, 100)
        bag.write(BODY, frame(100, Modality.BODY), START_NS + 10**9, START_NS + 5)

    with AnyReader([folder.bag]) as reader:
        assert reader.message_count == 101
        assert (reader.start_time, reader.end_time) == (START_NS + 7, START_NS + 10**9 + 1)  # the end is exclusive
        assert set(reader.topics) == {topic.name for topic in TOPICS}
        assert {topic.msgtype for topic in reader.topics.values()} == {topic.type for topic in TOPICS}
        (at, received_ns, raw), *_ = reader.messages(connections=[reader.topics[FACE].connections[0]])
        assert (at.topic, received_ns, bytes(raw)) == (FACE, START_NS + 7, frame(0))
        message = reader.deserialize(raw, at.msgtype)
        assert (message.header.frame_id, message.modality, message.feature_set) == ("camera", 0, "a-set")
        assert "finite numbers" in at.msgdef.data
        (offered,) = at.ext.offered_qos_profiles
        assert (offered.depth, offered.reliability.name) == (20, "BEST_EFFORT")


def test_a_bag_is_private_and_complete(folder):
    with BagWriter(folder.bag, TOPICS) as bag:
        assert not is_complete(folder.bag)
        write_some(bag, 0, 10)
    assert sorted(path.name for path in folder.bag.iterdir()) == [BAG_FILE, METADATA_FILE]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.bag.iterdir()} == {0o600}
    assert bag.bytes_written == (folder.bag / BAG_FILE).stat().st_size


def cut_bag(folder: SessionFolder) -> tuple[bytes, list[int]]:
    """Content of a bag whose process died, and its size whenever ten more messages were on disk."""
    bag = BagWriter(folder.bag, TOPICS)
    sizes = []
    for first in range(0, 100, 10):
        write_some(bag, first, first + 10)
        bag.flush()
        sizes.append(bag.bytes_written)
    write_some(bag, 100, 103)  # never flushed
    bag.abandon()
    return (folder.bag / BAG_FILE).read_bytes(), sizes


def restored(folder: SessionFolder, content: bytes) -> list[int]:
    """What is found in a bag that was left behind with this content."""
    (folder.bag / METADATA_FILE).unlink(missing_ok=True)
    (folder.bag / BAG_FILE).write_bytes(content)
    assert ensure_readable(folder)
    return numbers_in(folder)


def test_a_bag_that_is_cut_off_anywhere_keeps_every_flushed_message(folder):
    content, sizes = cut_bag(folder)
    places = [0, 7, 20, *random.Random(4).sample(range(sizes[-1]), 8), sizes[3] - 1, sizes[3]]
    for place in places:
        flushed = 10 * sum(size <= place for size in sizes)
        found = restored(folder, content[:place])
        assert found == list(range(len(found)))
        assert len(found) >= flushed, f"cut at {place}"


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\x06" + b"\xff" * 5000, bytes(range(256)) * 20])
def test_what_a_power_cut_leaves_behind_a_bag_does_no_harm(folder, tail):
    content, sizes = cut_bag(folder)
    assert restored(folder, content[: sizes[4]] + tail) == list(range(50))


def test_a_chunk_that_does_not_read_as_it_was_written_is_not_believed(folder):
    content, sizes = cut_bag(folder)
    middle = (sizes[5] + sizes[6]) // 2
    wrong = bytes([content[middle] ^ 0xFF])
    assert restored(folder, content[:middle] + wrong + content[middle + 1 :]) == list(range(60))


PACKED = {"": bytes, "zstd": zstandard.compress, "lz4": lz4.frame.compress}
BOMB_BYTES = 24 << 20


def foreign_chunk(compression: str, padding: int = 0, told: int | None = None) -> bytes:
    """Frames 50 to 59 in a chunk of another writer, and so many zeros; told: how large it says that it is."""
    content, chunk = RecordBuilder(), RecordBuilder()
    channel = [topic.name for topic in TOPICS].index(FACE) + 1
    for number in range(50, 60):
        Message(channel, START_NS + number * 1000 + 7, frame(number), START_NS + number * 1000, number).write(content)
    content.write(struct.pack("<BQ", 0x80, padding) + bytes(padding))  # a record that everybody skips
    data = content.end()
    size = len(data) if told is None else told
    Chunk(compression, PACKED[compression](data), START_NS, START_NS, zlib.crc32(data), size).write(chunk)
    return chunk.end()


@pytest.mark.parametrize("compression", ["", "zstd"])
def test_a_chunk_of_another_writer_is_saved(folder, compression):
    content, sizes = cut_bag(folder)
    assert restored(folder, content[: sizes[4]] + foreign_chunk(compression)) == list(range(60))


def test_what_nobody_can_know_in_a_bag_that_was_cut_off_is_left_out(folder):
    """A channel whose schema is damaged away, and a message of a channel that is not there; the rest is saved."""
    content, _ = cut_bag(folder)
    stranger, records = 77, RecordBuilder()
    Channel(id=stranger, topic="/strange", message_encoding="cdr", metadata={}, schema_id=99).write(records)
    for channel in (stranger, stranger + 1):
        Message(channel, START_NS, b"what?", START_NS, 0).write(records)
    assert restored(folder, content + records.end()) == list(range(100))


@pytest.mark.parametrize("told", [None, 10, 1 << 40], ids=["as it is", "less", "more"])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_bag_that_was_cut_off_ends_before_a_chunk_that_is_a_bomb(folder, monkeypatch, compression, told):
    monkeypatch.setattr(salvage, "RECORD_LIMIT_BYTES", BOMB_BYTES // 8)
    content, sizes = cut_bag(folder)
    content = content[: sizes[4]] + foreign_chunk(compression, BOMB_BYTES, told)
    tracemalloc.start()
    try:
        assert restored(folder, content) == list(range(50))
        assert tracemalloc.get_traced_memory()[1] < BOMB_BYTES // 2
    finally:
        tracemalloc.stop()


def test_a_mended_bag_is_whole_and_private(folder):
    content, _ = cut_bag(folder)
    restored(folder, content)
    assert sorted(path.name for path in folder.bag.iterdir()) == [BAG_FILE, METADATA_FILE]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.bag.iterdir()} == {0o600}
    with AnyReader([folder.bag]) as reader:
        assert set(reader.topics) == {topic.name for topic in TOPICS}
        assert reader.topics[FACE].connections[0].ext.offered_qos_profiles[0].depth == 20


def test_nobody_mends_a_bag_that_is_being_written(folder):
    with BagWriter(folder.bag, TOPICS) as bag:
        write_some(bag, 0, 10)
        bag.flush()
        before = (folder.bag / BAG_FILE).read_bytes()
        assert not ensure_readable(folder)
        assert (folder.bag / BAG_FILE).read_bytes() == before
        write_some(bag, 10, 20)
    assert ensure_readable(folder)
    assert numbers_in(folder) == list(range(20))


def test_a_session_without_a_bag_cannot_be_read_and_is_not_given_one(folder):
    assert not ensure_readable(folder)
    assert list(folder.bag.iterdir()) == []


def test_two_recorders_do_not_write_one_bag(folder):
    with BagWriter(folder.bag, TOPICS) as bag:
        with pytest.raises(SessionError, match="no bag can be written"):
            BagWriter(folder.bag, TOPICS)
        write_some(bag, 0, 10)
    assert numbers_in(folder) == list(range(10))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to let a file grow further, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def queue_some(queue: BagQueue, first: int, last: int) -> None:
    for number in range(first, last):
        queue.add(FACE, frame(number), START_NS + number, START_NS + number)
    queue.write()


def test_a_disk_that_cannot_be_written_keeps_the_bag_whole_and_is_written_again_later(folder):
    queue = BagQueue(folder.bag, TOPICS)
    queue_some(queue, 0, 100)
    assert queue.problem == ""
    with largest_file(queue.bytes_written + 1000):
        queue_some(queue, 100, 300)
        assert queue.problem == "features cannot be recorded: File too large"
        queue_some(queue, 300, 400)
        assert queue.dropped == 100, "nothing is kept in memory without bound"
        bag = (folder.bag / BAG_FILE).read_bytes()
    queue.write()
    assert queue.problem == ""
    assert (folder.bag / BAG_FILE).read_bytes().startswith(bag)
    queue_some(queue, 400, 500)
    queue.close()
    assert numbers_in(folder) == [*range(300), *range(400, 500)]


def test_a_bag_that_cannot_be_completed_is_mended_when_it_is_opened(folder):
    queue = BagQueue(folder.bag, TOPICS)
    queue_some(queue, 0, 100)
    with largest_file(queue.bytes_written + 1000):
        queue_some(queue, 100, 300)
        queue.close()
        assert "mended when the session is opened" in queue.problem
    assert ensure_readable(folder)
    assert numbers_in(folder) == list(range(100))


def test_a_bag_that_fails_at_its_very_end_closes_nothing_twice_and_is_locked_no_longer(folder):
    """Somebody removed the session meanwhile; what got the number of a closed file in the next moment is not ours."""
    queue = BagQueue(folder.bag, TOPICS)
    real = bag_module.write_metadata
    opened = []

    def gone(*arguments: object) -> None:
        opened.append(os.open(os.devnull, os.O_RDONLY))  # gets the number of the bag's file, which was closed just now
        raise OSError(2, "No such file or directory")

    bag_module.write_metadata = gone
    try:
        queue.close()
    finally:
        bag_module.write_metadata = real
    assert "the bag is not complete" in queue.problem
    os.close(opened[0])  # raises where somebody closed it
    assert ensure_readable(folder)


def test_a_slow_disk_costs_messages_and_not_memory(folder, monkeypatch):
    monkeypatch.setattr(bag_queue, "BACKLOG", 50)
    queue = BagQueue(folder.bag, TOPICS)
    queue_some(queue, 0, 80)
    queue.close()
    assert queue.dropped == 30
    assert numbers_in(folder) == list(range(50))


def test_that_a_slow_disk_cost_messages_is_told_for_a_while(folder, monkeypatch):
    monkeypatch.setattr(bag_queue, "BACKLOG", 50)
    monkeypatch.setattr(bag_queue, "TOLD_S", 3600.0)
    queue = BagQueue(folder.bag, TOPICS)
    assert queue.problem == ""
    queue_some(queue, 0, 80)
    assert queue.problem == bag_queue.SLOW
    queue_some(queue, 80, 100)
    assert queue.dropped == 30, "what is told keeps nothing out"
    monkeypatch.setattr(bag_queue, "TOLD_S", 0.1)
    queue_some(queue, 100, 151)
    wait_until(lambda: queue.problem == "", 20)
    queue.close()
    assert numbers_in(folder) == [*range(50), *range(80, 150)]


@pytest.mark.parametrize("what", ["fsync", "flock"])
def test_a_bag_that_cannot_begin_leaves_nothing_open(folder, monkeypatch, what):
    """It is tried again every second, for as long as the disk is as it is."""

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fcntl if what == "flock" else os, what, fails)
    before = os.listdir("/proc/self/fd")
    for _ in range(20):
        with pytest.raises(SessionError, match="no bag can be written"):
            BagWriter(folder.bag, TOPICS)
        (folder.bag / BAG_FILE).unlink(missing_ok=True)
    assert os.listdir("/proc/self/fd") == before


def test_the_index_of_a_bag_names_every_chunk(folder, monkeypatch):
    """Some of them packed, some not yet."""
    monkeypatch.setattr(bag_index, "BLOCK_BYTES", 200)
    with BagWriter(folder.bag, TOPICS) as bag:
        for number in range(21):
            write_some(bag, number, number + 1)
            bag.flush()
    assert len(set(chunks_in(folder))) == 21
    assert numbers_in(folder) == list(range(21))


def test_a_session_of_hours_takes_hardly_any_memory_for_its_index():
    """A chunk a second, in which all topics are: 3,600 an hour. As objects each of them was 1.5 kB."""
    with open(os.devnull, "wb") as nowhere:
        writer = started_writer(nowhere)
        numbers = register(writer, TOPICS)
        before, chunks = 0, 400
        tracemalloc.start()
        for number in range(-50, chunks):
            for channel in numbers.values():
                writer.add_message(channel, START_NS + number, b"\0\1\0\0", START_NS + number)
            writer.flush()
            before = before or tracemalloc.get_traced_memory()[0]
        kept = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        writer.finish()
    assert kept / chunks < 200, f"{kept / chunks:.0f} bytes a chunk"


def test_a_topic_that_is_not_to_be_recorded_is_not(folder):
    queue = BagQueue(folder.bag, [topic for topic in TOPICS if topic.name == FACE])
    queue.add("/mmal/image/compressed", b"a picture", START_NS, START_NS)
    queue_some(queue, 0, 3)
    queue.close()
    assert numbers_in(folder) == [0, 1, 2]
    assert b"a picture" not in Path(folder.bag / BAG_FILE).read_bytes()


def test_a_clip_that_was_being_written_is_not_left_behind(folder):
    """Pictures of a child under a name that nothing would ever delete."""
    content, _ = cut_bag(folder)
    (folder.clips / ".17.mp4.4711.new").write_bytes(b"pictures")
    (folder.clips / "16.mp4").write_bytes(b"a whole clip")
    (folder.path / LOCK_FILE).touch()  # the recorder's, which died
    restored(folder, content)
    assert [clip.name for clip in folder.clips.iterdir()] == ["16.mp4"]


def test_a_cut_off_bag_of_another_recorder_is_one_sentence(folder: SessionFolder) -> None:
    """ROS's own writes the quality of service in YAML."""
    with (folder.bag / BAG_FILE).open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        channel = writer.register_channel("/chatter", "cdr", schema, {"offered_qos_profiles": "- history: 3"})
        writer.add_message(channel, 1, b"", 1)
        writer.finish()
    with pytest.raises(SessionError, match=f"the bag of {folder.name} was cut off and cannot be mended: .* backup$"):
        ensure_readable(folder)
