"""A bag whose bytes are not what was written, and messages in it that are none: read, mended, or one `SessionError`."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import zstandard
from hypothesis import example
from hypothesis import strategies as st

from mmal_ros.datatypes import Modality
from mmal_ros.session.bag_metadata import BAG_FILE, METADATA_FILE
from mmal_ros.session.bag_reading import CHUNK_HEADER, CHUNK_INDEX, FOOTER, RECORD, Bag, _records
from mmal_ros.session.card import SessionError
from mmal_ros.session.cdr import CdrError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.message_columns import estimate_columns, frame_columns, signal_chunk
from mmal_ros.session.reading import read_features_and_estimates, read_signals
from mmal_ros.session.salvage import salvage
from mmal_ros.session.timeline import read_timeline
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_bytes
from rigs.session_messages import estimate_messages, feature_messages, signal_messages
from rigs.sessions import START_NS, make_session

MESSAGES = {
    "features": [m.data for m in list(feature_messages(Modality.PHYSIOLOGY, START_NS, 2, 0, None))[:4]],
    "estimates": [m.data for m in list(estimate_messages(START_NS, [0, 1], 0, "demo/2"))[:4]],
    "signals": [m.data for m in list(signal_messages("acc", START_NS, 2, 0))[:3]],
}
READERS = {
    "features": frame_columns,
    "estimates": estimate_columns,
    "signals": lambda messages: [signal_chunk(message) for message in messages],
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("recorded"), minutes=0.1, flags=1, clips=False)


@pytest.fixture
def session(recorded: SessionFolder, tmp_path: Path) -> SessionFolder:
    return SessionFolder(Path(shutil.copytree(recorded.path, tmp_path / recorded.name)))


@fuzz(
    st.sampled_from(list(MESSAGES)).flatmap(
        lambda kind: st.tuples(
            st.just(kind),
            st.lists(st.sampled_from(MESSAGES[kind]) | damaged_bytes(MESSAGES[kind]), min_size=1, max_size=6),
        )
    )
)
@example(("signals", [b"\0\1\0\0" + bytes(8) + b"\xff" * 4]))  # a text of four gigabytes
def test_damaged_messages(damaged):
    kind, messages = damaged
    try:
        READERS[kind](messages)
    except CdrError as error:
        assert str(error)


def _look(session: SessionFolder) -> None:
    """All that a page and a scoring ask of a bag."""
    for look in (
        lambda: read_features_and_estimates(session),
        lambda: read_signals(session, START_NS, START_NS + 5 * 10**9),
        lambda: read_timeline(session, 50),
        lambda: list(Bag(session).messages(["/mmal/engagement"])),
    ):
        try:
            look()
        except SessionError as error:
            assert str(error)


@fuzz(st.data(), few=20)
def test_a_damaged_bag(session, recorded, data):
    content = (recorded.bag / BAG_FILE).read_bytes()
    (session.bag / BAG_FILE).write_bytes(data.draw(damaged_bytes(content)))
    _look(session)


@fuzz(st.data(), few=30)
def test_a_bag_whose_index_is_damaged_and_whose_checksum_is_right(session, recorded, data):
    """As if by another writer: nothing stands between the numbers and who uses them."""
    content = (recorded.bag / BAG_FILE).read_bytes()
    start = FOOTER.unpack(content[-FOOTER.size :])[2]
    summary = data.draw(damaged_bytes(content[start : -FOOTER.size]))
    (session.bag / BAG_FILE).write_bytes(_with_summary(content[:start], summary))
    _look(session)


@fuzz(st.data(), few=30)
def test_a_bag_whose_chunk_is_damaged_and_whose_checksum_is_right(session, recorded, data):
    content = (recorded.bag / BAG_FILE).read_bytes()
    records = data.draw(damaged_bytes(_first_chunk(content)))
    packed = zstandard.ZstdCompressor(1).compress(records)
    (session.bag / BAG_FILE).write_bytes(_with_first_chunk(content, packed, len(records), crc32(records)))
    _look(session)


@fuzz(st.data(), few=20)
def test_a_damaged_bag_that_was_cut_off(session, recorded, data):
    content = (recorded.bag / BAG_FILE).read_bytes()
    (session.bag / BAG_FILE).write_bytes(data.draw(damaged_bytes(content)))
    (session.bag / METADATA_FILE).unlink(missing_ok=True)
    try:
        salvage(session)
    except SessionError as error:
        assert str(error)
    else:
        _look(session)


@pytest.mark.parametrize("place", [(0, 1, 1 << 63, 10), (0, 1, 0, 1 << 62), (0, 1, 0, (1 << 64) - 1)])
def test_an_index_that_points_beyond_all_files(session, place):
    content = (session.bag / BAG_FILE).read_bytes()
    start = FOOTER.unpack(content[-FOOTER.size :])[2]
    summary = bytearray(content[start : -FOOTER.size])
    at = next(begin for opcode, begin, _ in _records(memoryview(summary)) if opcode == CHUNK_INDEX)
    summary[at : at + 32] = struct.pack("<QQQQ", *place)
    (session.bag / BAG_FILE).write_bytes(_with_summary(content[:start], bytes(summary)))
    with pytest.raises(SessionError, match="damaged"):
        Bag(session).read(["/mmal/engagement"])


def test_a_chunk_that_unpacks_to_more_than_memory_holds(session):
    content = (session.bag / BAG_FILE).read_bytes()
    bomb = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 45) + b"\1\0\0"  # a frame that says: 32 TiB
    (session.bag / BAG_FILE).write_bytes(_with_first_chunk(content, bomb, 1 << 45, 0))
    with pytest.raises(SessionError, match="damaged"):
        Bag(session).read(["/mmal/engagement", "/mmal/features/face"])


def _with_summary(before: bytes, summary: bytes) -> bytes:
    footer = struct.pack("<BQQQ", 2, 20, len(before), 0)
    checked = summary + footer
    return before + checked + struct.pack("<I", crc32(checked)) + b"\x89MCAP0\r\n"


def _place_of_first(content: bytes) -> tuple[int, int]:
    start = FOOTER.unpack(content[-FOOTER.size :])[2]
    summary = memoryview(content)[start : -FOOTER.size]
    at = next(begin for opcode, begin, _ in _records(summary) if opcode == CHUNK_INDEX)
    offset, size = struct.unpack_from("<QQ", summary, at + 16)
    return offset, size


def _first_chunk(content: bytes) -> bytes:
    offset, size = _place_of_first(content)
    record = content[offset : offset + size]
    names = CHUNK_HEADER.unpack_from(record, RECORD.size)[4]
    packed = record[RECORD.size + CHUNK_HEADER.size + names + 8 :]
    return zstandard.ZstdDecompressor().decompress(packed)


def _with_first_chunk(content: bytes, packed: bytes, unpacked: int, checksum: int) -> bytes:
    """The first chunk anew, at the end of the data, and the index that points there."""
    offset, _ = _place_of_first(content)
    begin, end = struct.unpack_from("<QQ", content, offset + RECORD.size)
    start = FOOTER.unpack(content[-FOOTER.size :])[2]
    body = CHUNK_HEADER.pack(begin, end, unpacked, checksum, 4) + b"zstd" + struct.pack("<Q", len(packed)) + packed
    chunk = RECORD.pack(6, len(body)) + body
    summary = bytearray(content[start : -FOOTER.size])
    at = next(b for opcode, b, _ in _records(memoryview(summary)) if opcode == CHUNK_INDEX)
    summary[at + 16 : at + 32] = struct.pack("<QQ", start, len(chunk))
    return _with_summary(content[:start] + chunk, bytes(summary))


def test_the_rig_itself_makes_bags_that_are_read(session):
    content = (session.bag / BAG_FILE).read_bytes()
    records = _first_chunk(content)
    packed = zstandard.ZstdCompressor(1).compress(records)
    before = estimate_stamps(session)
    (session.bag / BAG_FILE).write_bytes(_with_first_chunk(content, packed, len(records), crc32(records)))
    np.testing.assert_array_equal(estimate_stamps(session), before)


def estimate_stamps(session: SessionFolder) -> np.ndarray:
    return read_features_and_estimates(session)[1].stamp_ns
