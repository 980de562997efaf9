"""One sample that an extractor cannot take is told, and is not the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mmal_ros.datatypes import FeatureFrame, Modality, Sample
from mmal_ros.extraction import ThreadExtraction
from mmal_ros.sensors.pushed import PushedSource
from mmal_ros.sensors.source import SourceState

PATIENCE_S = 20


class Picky:
    """Gives a frame of every sample, and stumbles over negative ones."""

    feature_sets = {Modality.PHYSIOLOGY: "some"}  # noqa: RUF012 (of the protocol)

    def process(self, sample: Sample) -> Iterator[FeatureFrame]:
        values = np.sqrt(np.asarray(sample.values, np.float32))
        if np.isnan(values).any():
            raise ArithmeticError("a root of less than nothing")
        yield FeatureFrame(Modality.PHYSIOLOGY, sample.stamp_ns, values, True, 1.0, "some")

    def expect_somebody_else(self) -> None:
        """Nothing is anybody's own."""

    def close(self) -> None:
        """Nothing to release."""


def eventually(condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return condition()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_sample_that_cannot_be_taken_is_told_and_the_next_one_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    source, frames = PushedSource("wristband", "this test", backlog=10), list[FeatureFrame]()
    extraction = ThreadExtraction(source, Picky(), frames.append)
    extraction.start(0)
    try:
        for number, value in enumerate((4.0, -1.0, -1.0)):
            source.push(Sample("eda", number, np.array([value], np.float32), 4.0))
        assert eventually(lambda: extraction.failed)
        assert extraction.status.state is SourceState.LOST
        assert "ArithmeticError: a root of less than nothing" in extraction.status.message
        source.push(Sample("eda", 3, np.array([9.0], np.float32), 4.0))
        assert eventually(lambda: len(frames) == 2)
        assert eventually(lambda: extraction.status.state is SourceState.STREAMING)
        assert [frame.stamp_ns for frame in frames] == [0, 3]
        assert len(caplog.records) == 1, "said once"
    finally:
        extraction.stop()
