"""Between the data classes of the core and the messages of ROS."""

from __future__ import annotations

import array
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from mmal_msgs.msg import Engagement, ModalityEstimate, ModelInfo, Query, SignalChunk
from mmal_msgs.msg import FeatureFrame as FeatureFrameMessage
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Estimate, FeatureFrame, Level, Modality, Sample, Status

if TYPE_CHECKING:  # a sensor's node has no models and selects nothing: both take a third of a second to import
    from mmal_ros.models import ModelSet
    from mmal_ros.selector.live_vocabulary import Decision

MODALITY_CODES = {modality: code for code, modality in enumerate(Modality)}
MODALITIES = tuple(Modality)
STATUS_CODES = {
    Status.MISSING: ModalityEstimate.MISSING,
    Status.STALE: ModalityEstimate.STALE,
    Status.VALID: ModalityEstimate.VALID,
}
STATUS_NAMES = {code: status for status, code in STATUS_CODES.items()}
UNITS = {
    "acc": "g",
    "bvp": "1",
    "eda": "uS",
    "temperature": "Cel",
    "ibi": "s",
    "battery": "1",
    "tag": "1",
    "microphone": "1",
}
"""UCUM codes of the raw signals."""


class MessageError(ValueError):
    """A message that says what cannot be, whoever sent it."""


def to_time(stamp_ns: int) -> Time:
    """Nanoseconds since the epoch as a ROS time."""
    seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS_PER_SECOND)
    return Time(sec=seconds, nanosec=nanoseconds)


def to_ns(time: Time) -> int:
    """A ROS time as nanoseconds since the epoch."""
    return int(time.sec) * NANOSECONDS_PER_SECOND + int(time.nanosec)


def frame_to_message(frame: FeatureFrame, frame_id: str) -> FeatureFrameMessage:
    """A feature frame of the sensor `frame_id`."""
    return FeatureFrameMessage(
        header=Header(stamp=to_time(frame.stamp_ns), frame_id=frame_id),
        modality=MODALITY_CODES[frame.modality],
        feature_set=frame.feature_set,
        valid=frame.valid,
        confidence=float(frame.confidence),
        values=_float_array(frame.values),
    )


def frame_from_message(message: FeatureFrameMessage, modality: Modality) -> FeatureFrame:
    """The frame in a message that came on the topic of `modality`; its content is not checked here."""
    return FeatureFrame(
        modality=modality,
        stamp_ns=to_ns(message.header.stamp),
        values=np.frombuffer(message.values, np.float32),
        valid=message.valid,
        confidence=message.confidence,
        feature_set=message.feature_set,
    )


def sample_to_message(sample: Sample, frame_id: str) -> SignalChunk:
    """Raw values of the wristband `frame_id`."""
    values = np.ascontiguousarray(sample.values, np.float32)
    return SignalChunk(
        header=Header(stamp=to_time(sample.stamp_ns), frame_id=frame_id),
        name=sample.source,
        unit=UNITS[sample.source],
        rate_hz=float(sample.rate_hz),
        channels=values.shape[1] if values.ndim == 2 else 1,
        values=_float_array(values.ravel()),
    )


def estimate_to_message(estimate: Estimate, compute_ns: int, now_ns: int) -> Engagement:
    """An estimate that took `compute_ns` and is about to be published."""
    ages = [age for age in estimate.age_ns.values() if age is not None]
    newest_ns = estimate.stamp_ns - min(ages) if ages else 0
    return Engagement(
        header=Header(stamp=to_time(estimate.stamp_ns), frame_id="person"),
        window_id=estimate.window_id,
        level=Engagement.UNKNOWN if estimate.level is None else estimate.level + Engagement.LOW,
        probabilities=estimate.probabilities,
        modalities=[_modality_message(estimate, modality) for modality in MODALITIES],
        newest_feature_stamp=to_time(newest_ns),
        compute_time=compute_ns / NANOSECONDS_PER_SECOND,
        latency=(now_ns - newest_ns) / NANOSECONDS_PER_SECOND if ages else math.nan,
        model_version=estimate.model_version,
    )


def model_to_message(models: ModelSet, provider: str, now_ns: int) -> ModelInfo:
    """The model set in use."""
    card = models.card
    return ModelInfo(
        header=Header(stamp=to_time(now_ns)),
        name=card.name,
        version=card.version,
        purpose=card.purpose,
        feature_sets=[f"{modality}={name}" for modality, name in card.feature_sets.items()],
        provider=provider,
    )


def estimate_from_message(message: Engagement) -> Estimate:
    """The estimate in a message; raises MessageError."""
    _check_estimate(message)
    parts = {MODALITIES[part.modality]: part for part in message.modalities}
    return Estimate(
        window_id=message.window_id,
        stamp_ns=to_ns(message.header.stamp),
        level=None if message.level == Engagement.UNKNOWN else Level(message.level - Engagement.LOW),
        probabilities=message.probabilities,
        by_modality={modality: part.probabilities for modality, part in parts.items()},
        confidence={modality: part.confidence for modality, part in parts.items()},
        status={modality: STATUS_NAMES[part.status] for modality, part in parts.items()},
        age_ns={m: round(p.age * NANOSECONDS_PER_SECOND) if math.isfinite(p.age) else None for m, p in parts.items()},
        frames_seen={modality: part.frames_seen for modality, part in parts.items()},
        model_version=message.model_version,
    )


def _check_estimate(message: Engagement) -> None:
    parts = message.modalities
    if {part.modality for part in parts} != set(MODALITY_CODES.values()):
        raise MessageError("an estimate does not speak of each modality once; does another software publish it?")
    if message.level > Engagement.HIGH or any(part.status not in STATUS_NAMES for part in parts):
        raise MessageError("an estimate has a level or status that there is none of; does another software publish it?")
    if not np.isfinite([message.probabilities, *(part.probabilities for part in parts)]).all():
        raise MessageError("the probabilities of an estimate are no numbers")


def query_to_message(decision: Decision) -> Query:
    """What the selector decided about a window."""
    flag = decision.flag
    return Query(
        header=Header(stamp=to_time(flag.stamp_ns), frame_id="person"),
        window_id=flag.window_id,
        action=Query.WITHDRAWN if decision.withdrawn else Query.FLAGGED,
        utility=flag.utility,
        policy=flag.policy,
        reason=flag.reason,
        budget=decision.budget,
        budget_left=decision.budget_left,
    )


def _modality_message(estimate: Estimate, modality: Modality) -> ModalityEstimate:
    age_ns = estimate.age_ns[modality]
    return ModalityEstimate(
        modality=MODALITY_CODES[modality],
        status=STATUS_CODES[estimate.status[modality]],
        probabilities=estimate.by_modality[modality],
        confidence=float(estimate.confidence[modality]),
        age=math.nan if age_ns is None else age_ns / NANOSECONDS_PER_SECOND,
        frames_seen=estimate.frames_seen[modality],
    )


def _float_array(values: np.ndarray[Any, Any]) -> array.array[float]:
    """The one form of a sequence that rclpy takes over without looking at every element."""
    return array.array("f", np.ascontiguousarray(values, np.float32).tobytes())
