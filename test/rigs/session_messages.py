"""What made-up sensors and models say, as serialised messages: fast enough for sessions of hours."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
from rclpy.serialization import serialize_message

from mmal_msgs.msg import FeatureFrame, SignalChunk
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, FloatArray, Level, Modality
from mmal_ros.features.names import FEATURE_SETS, PHYSIOLOGY
from rigs.session_bag import Message

LONG_S = 1800
"""Sessions longer than this have a slow camera, so that four hours are written in seconds."""
CHOSEN_SETS = {
    Modality.FACE: "mediapipe-face",
    Modality.BODY: "mediapipe-pose",
    Modality.PHYSIOLOGY: "e4",
    Modality.AUDIO: "opensmile-egemaps",
}
SENSORS = dict(zip(Modality, ("camera", "camera", "wristband", "microphone"), strict=True))
DELAY_NS = 20_000_000
"""A frame comes in so long after its stamp; an estimate twice as long after the end of its window."""
GAP_S = range(30, 40)
"""Nobody's face can be seen in these seconds of a session."""
CHUNK_S = 0.5
SIGNALS = {"acc": (32, 3, "g"), "bvp": (64, 1, "1"), "eda": (4, 1, "uS"), "temperature": (4, 1, "Cel")}
"""Rate in Hertz, values per moment, unit: as an E4 has them."""
CYCLE = 600
"""So many different frames of noise, then again from the first: random numbers cost more than the rest."""
SIGNAL = 0.5
HEADER = struct.Struct("<4siI")
CDR = b"\0\1\0\0"

ENGAGEMENT_TYPE = np.dtype(
    [
        ("window_id", "<u8"),
        ("level", "u1"),
        ("pad", "V3"),
        ("probabilities", "<f4", 3),
        (
            "modalities",
            [
                ("modality", "u1"),
                ("status", "u1"),
                ("pad", "V2"),
                ("probabilities", "<f4", 3),
                ("confidence", "<f4"),
                ("age", "<f4"),
                ("frames_seen", "<u8"),
            ],
            4,
        ),
        ("newest_s", "<i4"),
        ("newest_ns", "<u4"),
        ("compute_time", "<f4"),
        ("latency", "<f4"),
    ],
)
"""An Engagement from window_id to latency."""


def rates_hz(seconds: int) -> dict[Modality, int]:
    """Frames per second of each modality in a session of so many seconds."""
    camera = (10, 5) if seconds > LONG_S else (30, 15)
    return dict(zip(Modality, (*camera, 10, 10), strict=True))


def feature_messages(
    modality: Modality, start_ns: int, seconds: int, seed: int, levels: Sequence[Level] | None
) -> Iterator[Message]:
    """The frames of one modality; with the level of every second they tell something of it."""
    feature_set, rate_hz = CHOSEN_SETS[modality], rates_hz(seconds)[modality]
    names = FEATURE_SETS[feature_set][1]
    random = np.random.default_rng([seed, len(names)])
    noise = random.normal(size=(CYCLE, len(names))).astype(np.float32)
    means = np.random.default_rng(len(names)).normal(size=(len(Level), len(names))).astype(np.float32)
    body = _after_stamp(
        FeatureFrame(modality=list(Modality).index(modality), feature_set=feature_set, valid=True, confidence=1.0),
        SENSORS[modality],
        len(names),
    )
    for number in range(1, seconds * rate_hz + 1):
        since_s, stamp_ns = (number - 1) // rate_hz, start_ns + number * NANOSECONDS_PER_SECOND // rate_hz
        if modality is Modality.FACE and since_s in GAP_S:
            continue
        values = noise[number % CYCLE]
        if levels is not None:
            values = values + SIGNAL * means[levels[since_s]]
        if modality is Modality.PHYSIOLOGY:
            values = _with_heart_rate(values, since_s)
        data = _header(stamp_ns) + body + values.tobytes()
        yield Message(stamp_ns + DELAY_NS, stamp_ns, f"/mmal/features/{modality}", data)


def signal_messages(name: str, start_ns: int, seconds: int, seed: int) -> Iterator[Message]:
    """One raw signal of the wristband, in chunks of half a second: slow waves with a little noise."""
    rate_hz, channels, unit = SIGNALS[name]
    count = round(CHUNK_S * rate_hz)
    noise = 0.05 * np.random.default_rng([seed, rate_hz]).normal(size=count * channels)
    chunk = SignalChunk(name=name, unit=unit, rate_hz=float(rate_hz), channels=channels)
    body = _after_stamp(chunk, "wristband", count * channels)
    for number in range(round(seconds / CHUNK_S)):
        times_s = number * CHUNK_S + np.arange(count) / rate_hz
        wave = 2 + np.sin(2 * np.pi * times_s * (1.3 if name == "bvp" else 0.05))
        values = (np.repeat(wave, channels) + noise).astype(np.float32)
        stamp_ns = start_ns + round(number * CHUNK_S * NANOSECONDS_PER_SECOND)
        log_ns = stamp_ns + round(CHUNK_S * NANOSECONDS_PER_SECOND)
        yield Message(
            log_ns,
            stamp_ns,
            f"/mmal/e4/{name}",
            _header(stamp_ns) + body + values.tobytes(),
        )


def estimate_messages(start_ns: int, levels: Sequence[Level], seed: int, model: str) -> Iterator[Message]:
    """Ten estimates a second that are mostly right, from no model at all; without a face while it cannot be seen."""
    count = 10 * len(levels)
    random = np.random.default_rng([seed, 11])
    rows = np.zeros(count, ENGAGEMENT_TYPE)
    ends_ns = start_ns + np.arange(1, count + 1) * STEP_NS
    truth = np.eye(3)[np.repeat([int(level) for level in levels], 10)]
    heard = np.ones((count, 4), bool)
    heard[np.isin(np.arange(count) // 10, GAP_S), 0] = False
    logits = 1.5 * truth[:, None] + random.normal(size=(count, 4, 3))
    by_modality = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    by_modality[~heard] = 1 / 3
    mean = (by_modality * heard[..., None]).sum(axis=1) / heard.sum(axis=1)[:, None]
    rows["window_id"], rows["probabilities"], rows["level"] = ends_ns // STEP_NS, mean, 1 + mean.argmax(axis=1)
    parts = rows["modalities"]
    parts["modality"], parts["probabilities"] = np.arange(4), by_modality
    parts["status"] = np.where(heard, 2, 0)
    entropy = -(by_modality * np.log(by_modality)).sum(axis=-1)
    parts["confidence"] = np.where(heard, 1 - entropy / np.log(3), 0)
    for place, rate_hz in enumerate(rates_hz(len(levels)).values()):
        parts["frames_seen"][:, place] = np.cumsum(heard[:, place]) * rate_hz // 10
        newest_ns = start_ns + np.arange(1, count + 1) * rate_hz // 10 * NANOSECONDS_PER_SECOND // rate_hz
        parts["age"][:, place] = np.where(heard[:, place], (ends_ns - newest_ns) / NANOSECONDS_PER_SECOND, np.nan)
    rows["newest_s"], rows["newest_ns"] = np.divmod(ends_ns, NANOSECONDS_PER_SECOND)
    name = model.encode() + b"\0"
    frame_id = struct.pack("<I8s4x", 7, b"person\0")
    for end_ns, row in zip(ends_ns.tolist(), rows, strict=True):
        data = _header(end_ns) + frame_id + row.tobytes() + struct.pack("<I", len(name)) + name
        yield Message(end_ns + 2 * DELAY_NS, end_ns, "/mmal/engagement", data)


def _after_stamp(message: FeatureFrame | SignalChunk, frame_id: str, values: int) -> bytes:
    """A message without its stamp and values, which change from one to the next."""
    message.header.frame_id = frame_id
    message.values = [0.0] * values
    return bytes(serialize_message(message))[HEADER.size : -4 * values]


def _header(stamp_ns: int) -> bytes:
    return HEADER.pack(CDR, *divmod(stamp_ns, NANOSECONDS_PER_SECOND))


def _with_heart_rate(values: FloatArray, since_s: int) -> FloatArray:
    values = values.copy()
    values[PHYSIOLOGY.index("heart_rate_value")] = 90 + 10 * np.sin(since_s / 20)
    return values
