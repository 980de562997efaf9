"""Sound leaves microphone_node when privacy allows, in chunks that are worth a message."""

from __future__ import annotations

import numpy as np
import pytest

from mmal_ros.datatypes import Modality, Sample
from mmal_ros.nodes.conversions import to_ns
from mmal_ros.nodes.sound_chunks import SoundChunks
from mmal_ros.nodes.topics import FEATURES, SOUND
from rigs.ros import node_process, participant, wait_until

START_NS = 1_790_000_000_000_000_000


def blocks(first: int, last: int) -> list[Sample]:
    """Blocks of 10 ms whose values count on."""
    values = np.arange(160 * last, dtype=np.float32)
    numbers = range(first, last)
    return [Sample("microphone", START_NS + n * 10_000_000, values[n * 160 : (n + 1) * 160], 16_000.0) for n in numbers]


def joined(given: list[Sample]) -> list[Sample]:
    found: list[Sample] = []
    chunks = SoundChunks(found.append)
    for block in given:
        chunks.add(block)
    return found


def test_short_blocks_become_chunks_and_nothing_is_lost_between_them():
    chunks = joined(blocks(0, 20))
    assert [(chunk.stamp_ns - START_NS) // 1_000_000 for chunk in chunks] == [0, 50, 100, 150]
    assert np.array_equal(np.concatenate([chunk.values for chunk in chunks]), np.arange(3200))


def test_a_gap_ends_a_chunk():
    chunks = joined([*blocks(0, 3), *blocks(10, 20)])
    assert [(chunk.stamp_ns - START_NS) // 1_000_000 for chunk in chunks] == [0, 100, 150]
    assert [len(chunk.values) for chunk in chunks] == [480, 800, 800]


@pytest.mark.slow
def test_sound_leaves_the_node_only_when_privacy_allows():
    with participant() as ros:
        sound, features = ros.listen(SOUND), ros.listen(FEATURES[Modality.AUDIO])
        with node_process("microphone_node", source="synthetic", privacy="clips"):
            ros.activate("microphone_node")
            wait_until(lambda: len(sound) > 30 and features, 60)
        for chunk in sound:
            assert (chunk.name, chunk.unit, chunk.rate_hz, chunk.channels) == ("microphone", "1", 16_000.0, 1)
            assert len(chunk.values) >= 800
        assert np.ptp(np.concatenate([chunk.values for chunk in sound])) > 0
        lengths = {round(len(chunk.values) / 16) * 1_000_000 for chunk in sound}
        assert lengths >= set(np.diff([to_ns(chunk.header.stamp) for chunk in sound[:2]]).tolist())
        sound.clear()
        features.clear()
        with node_process("microphone_node", source="synthetic"):
            ros.activate("microphone_node")
            wait_until(lambda: len(features) > 10, 60)
        assert sound == []
