"""A session that was cut off, by a crash or a power cut, becomes one that opens.

Of its bag every complete chunk is kept, and gets an index; a clip that was half written goes, and its flag says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zstandard
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from mmal_ros.files import replacing
from mmal_ros.session.bag import LOCK_FILE, claimed, register, started_writer, sync_folder
from mmal_ros.session.bag_metadata import BAG_FILE, BagTopic, Tally, is_complete, write_metadata
from mmal_ros.session.card import SessionError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import CLIP_LOST, Privacy
from mmal_ros.session.space import give_up_reserve
from mmal_ros.session.store import SessionStore
from mmal_ros.wording import why

RECORD_LIMIT_BYTES = 1 << 26
"""No record of ours is larger, nor what a chunk unpacks to: a length beyond it is what a cut left behind, or a bomb.

Mending makes an object of every message in a chunk: where they are empty, that is seven times as much memory.
"""
log = logging.getLogger(__name__)


def ensure_readable(folder: SessionFolder) -> bool:
    """Mend a session that was cut off; whoever opens a bag calls this first.

    Returns:
        Whether the bag can be read: False while it is being recorded, and where there is none.
    """
    settle(folder)
    if is_complete(folder.bag):
        return True
    if not (folder.bag / BAG_FILE).is_file():
        return False
    return salvage(folder)


def settle(folder: SessionFolder) -> None:
    """Clear up after a recorder that died, if one did; whoever asks for a session's flags calls this first.

    Raises:
        SessionError: it cannot be written, for example because the disk is full.
    """
    if not (folder.path / LOCK_FILE).is_file():
        return
    try:
        with claimed(folder.path) as free:
            if free:
                give_up_reserve(folder.path)
                _remove_scraps(folder.path)
                _remove_scraps(folder.clips)
                _settle_clips(folder)
    except OSError as error:
        raise SessionError(f"{folder.name} was cut off and cannot be mended: {why(error)}") from error


def salvage(folder: SessionFolder) -> bool:
    """Rewrite an unfinished bag from what is whole in it; as a whole, so that it may be cut off itself.

    Returns:
        Whether the bag is complete now; False: a process is recording it.

    Raises:
        SessionError: it cannot be written, for example because the disk is full, or is another recorder's.
    """
    try:
        with claimed(folder.bag) as free:
            if free and not is_complete(folder.bag):  # somebody else may have been faster
                _remove_scraps(folder.bag)
                _rewrite(folder.bag)
            return free
    except OSError as error:
        raise SessionError(f"the bag of {folder.name} was cut off and cannot be mended: {why(error)}") from error
    except ValueError as error:  # whole, and not what a recorder of ours writes
        problem = f"it is another recorder's ({error}); take it from a backup"
        raise SessionError(f"the bag of {folder.name} was cut off and cannot be mended: {problem}") from error


def check_chunk(compression: str, packed: bytes, size: int) -> None:
    """Raise ValueError where a chunk is packed as none of ours is, or would take more memory than `RECORD_LIMIT_BYTES`.

    ZSTD unpacks as much as its own header tells, whatever the size in the chunk's; where it tells nothing, that size.
    """
    if compression not in ("zstd", ""):
        raise ValueError("a chunk is packed in an unusual way")
    told = zstandard.frame_content_size(packed) if compression else len(packed)
    if max(size, told) > RECORD_LIMIT_BYTES:
        raise ValueError(f"a chunk unpacks to {max(size, told):,} bytes, more than {RECORD_LIMIT_BYTES:,}")


def _remove_scraps(folder: Path) -> None:
    """What was being written, such as a clip: pictures that nothing else would ever delete."""
    for scrap in folder.glob(".*.new"):
        scrap.unlink(missing_ok=True)


def _settle_clips(folder: SessionFolder) -> None:
    """A clip that was written is known, or deleted if its flag was withdrawn; one that was not is known to be lost."""
    if not folder.labels.is_file() or folder.card().privacy is Privacy.FEATURES_ONLY:
        return
    with SessionStore(folder.labels) as store:
        for flag in store.flags(withdrawn=True):
            path = folder.clip_of(flag.window_id)
            if flag.withdrawn:
                path.unlink(missing_ok=True)
            elif flag.clip is None:
                store.attach_clip(flag.window_id, f"{path.parent.name}/{path.name}" if path.is_file() else CLIP_LOST)


def _rewrite(bag: Path) -> None:
    path = bag / BAG_FILE
    with replacing(path) as scratch, path.open("rb") as cut, scratch.open("wb") as mended:
        topics, tally = _copy(cut, mended)
    sync_folder(bag)
    write_metadata(bag, topics, tally)
    sync_folder(bag)
    log.warning("a session was cut off: %d messages are saved", sum(tally.counts.values()))


def _copy(cut: IO[bytes], mended: IO[bytes]) -> tuple[list[BagTopic], Tally]:
    writer, tally = started_writer(mended), Tally()
    schemas: dict[int, Schema] = {}
    topics: dict[int, BagTopic] = {}
    numbers: dict[int, int] = {}
    for record in _whole_records(cut):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel) and record.id not in topics and record.schema_id in schemas:
            topics[record.id] = topic = _topic(record, schemas[record.schema_id])
            numbers[record.id] = register(writer, [topic])[topic.name]
        elif isinstance(record, Message) and record.channel_id in topics:  # of another nobody knows what it is
            tally.count(topics[record.channel_id].name, record.log_time)
            number = numbers[record.channel_id]
            writer.add_message(number, record.log_time, record.data, record.publish_time, record.sequence)
    writer.finish()
    return list(topics.values()), tally


def _topic(channel: Channel, schema: Schema) -> BagTopic:
    qos = json.loads(channel.metadata.get("offered_qos_profiles", "[]"))
    return BagTopic(channel.topic, schema.name, schema.data.decode(), qos)


def _whole_records(cut: IO[bytes]) -> Iterator[Any]:
    """Everything up to where the file stops to make sense."""
    reader = StreamReader(cut, emit_chunks=True, validate_crcs=True, record_size_limit=RECORD_LIMIT_BYTES)
    records = _unpacked(reader.records)
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except Exception as error:  # whatever the reader says of a torn record: it ends here
            log.info("the bag is whole up to here: %s", error)
            return
        yield record


def _unpacked(records: Iterator[Any]) -> Iterator[Any]:
    """The same with what is in the chunks in their place."""
    for record in records:
        if isinstance(record, Chunk):
            check_chunk(record.compression, record.data, record.uncompressed_size)
            yield from breakup_chunk(record, validate_crc=True)
        else:
            yield record
