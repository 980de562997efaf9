"""Recorded sources as fast as they go: the same extractors, windows and models as live, without ROS and pacing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from mmal_ros.datatypes import FeatureFrame
from mmal_ros.features.audio import audio_extractor
from mmal_ros.features.extractor import Extractor
from mmal_ros.pipeline import frames_of_samples
from mmal_ros.sensors.source import Source
from mmal_ros.sensors.specs import Sensor, Spec, recorded_source


def recorded_frames(
    specs: Mapping[Sensor, Spec], start_ns: int, audio_features: str, *, until_last: bool = False
) -> Iterator[tuple[int, FeatureFrame | None]]:
    """(time, frame) of recorded sources that begin at `start_ns`, until the first of them (or the last) ends.

    Raises:
        SourceError: a SPEC is not recorded, or its source cannot be opened.
    """
    with ExitStack() as stack:
        sources: list[tuple[Source, Extractor]] = []
        for spec in specs.values():
            if spec.scheme == "none":
                continue
            source = recorded_source(spec, start_ns)
            extractor = make_extractor(spec.sensor, audio_features)
            stack.callback(extractor.close)
            sources.append((stack.enter_context(source), extractor))
        yield from frames_of_samples(sources, until_last=until_last)


def make_extractor(sensor: Sensor, audio_features: str) -> Extractor:
    """The extractor for a sensor's samples; heavy libraries are imported when they are needed."""
    if sensor is Sensor.CAMERA:
        from mmal_ros.features.vision import VisionExtractor

        return VisionExtractor()
    if sensor is Sensor.MICROPHONE:
        return audio_extractor(audio_features)
    from mmal_ros.features.physiology import PhysiologyExtractor

    return PhysiologyExtractor()
