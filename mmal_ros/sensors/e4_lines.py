"""The lines of the official E4 streaming server, as pure functions.

    E4_Acc 1345627891.12345 51 -2 -10        a measurement: stream, time of the wristband's clock, values
    R device_list 1 | 9ff167 Empatica_E4     a reply, or a message about the wristband

After Empatica's "Message Protocol" and "Data Streaming Packets" (January 2019).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND

LATEST_S = 4.1e9
"""The year 2099: what is later is no time."""
LONGEST_LINE = 4096
"""Bytes; the list of a few dozen wristbands. A longer line is not this protocol."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream of the server holds."""

    source: str
    rate_hz: float
    lowest: float
    highest: float
    columns: int = 1
    divisor: float = 1.0
    """Server's unit by `Sample`'s unit."""


ACC = Stream("acc", 32.0, -128, 127, columns=3, divisor=64.0)
BVP = Stream("bvp", 64.0, -1e5, 1e5)
EDA = Stream("eda", 4.0, 0, 100)
TEMPERATURE = Stream("temperature", 4.0, -40, 60)
IBI = Stream("ibi", 0.0, 0.2, 3.0)
BATTERY = Stream("battery", 0.0, 0, 1)
TAG = Stream("tag", 0.0, 1, 1)
HEART_RATE = Stream("", 0.0, 0, 300)
"""Comes with the intervals and says the same again: read and left out."""

STREAMS = {
    "E4_Acc": ACC,
    "E4_Bvp": BVP,
    "E4_Gsr": EDA,
    "E4_Temp": TEMPERATURE,  # so the server's manual,
    "E4_Temperature": TEMPERATURE,  # and so the server
    "E4_Ibi": IBI,
    "E4_Battery": BATTERY,
    "E4_Batt": BATTERY,
    "E4_Tag": TAG,
    "E4_Hr": HEART_RATE,
}
SUBSCRIPTIONS = ("acc", "bvp", "gsr", "tmp", "ibi", "bat", "tag")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of one stream."""

    stream: Stream
    device_ns: int
    """On the clock of the wristband: time of its first packet plus number of the value by rate."""
    values: tuple[float, ...]
    """In the units of `Sample`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the server."""

    command: str
    text: str
    """What follows the command."""

    @property
    def refusal(self) -> str:
        """Why the command was refused; empty when it was not."""
        _, is_error, reason = f" {self.text} ".partition(" ERR ")
        return (reason.strip() or "no reason given") if is_error else ""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """The server lost its wristband, or has it again."""

    device: str
    connected: bool
    text: str


class LineError(ValueError):
    """A line that the protocol does not know; the message says what was found and expected."""


def parse_line(line: str) -> Measurement | Reply | LinkChange | None:
    """What a line says; None for what is known and not used (heart rate, an empty line).

    Raises:
        LineError: for every other line.
    """
    words = line.split()
    if not words:
        return None
    if words[0] == "R":
        return _parse_reply(words)
    stream = STREAMS.get(words[0])
    if stream is None:
        raise LineError(
            f"{line[:60]!r} is no line of an E4 streaming server; expected R … or one of {', '.join(STREAMS)}"
        )
    measurement = _parse_measurement(stream, words, line)
    return None if stream is HEART_RATE else measurement


def parse_devices(text: str) -> list[str]:
    """The wristbands in the answer to `device_list`: `2 | 9ff167 Empatica_E4 | 740163 Empatica_E4`.

    Raises:
        LineError: when the answer is not so.
    """
    count, *entries = text.split("|")
    devices = [entry.split()[0] for entry in entries if entry.strip()]
    if count.strip() != str(len(devices)):
        raise LineError(f"the server lists {text!r}; expected as many wristbands as it says")
    return devices


def _parse_reply(words: list[str]) -> Reply | LinkChange:
    text = " ".join(words[1:])
    if lost := re.fullmatch(r"connection lost to device (\S+)", text):
        return LinkChange(lost[1], connected=False, text=text)
    if off := re.fullmatch(r"device (\S+) turned off via button", text):
        return LinkChange(off[1], connected=False, text=text)
    if found := re.fullmatch(r"connection re-established to device (\S+)", text):
        return LinkChange(found[1], connected=True, text=text)
    if len(words) < 2:
        raise LineError("a reply without its command; expected R COMMAND …")
    return Reply(words[1], " ".join(words[2:]))


def _parse_measurement(stream: Stream, words: list[str], line: str) -> Measurement:
    cells = words[1:]
    if stream is TAG and len(cells) == 1:
        cells = [*cells, "1"]  # the press of the button is its time; some versions add a number
    if len(cells) != 1 + stream.columns:
        raise LineError(f"{line[:60]!r} has {len(cells)} values; expected a time and {stream.columns}")
    time_s, *values = (_number(cell, line) for cell in cells)
    if not 0 <= time_s <= LATEST_S:
        raise LineError(f"{line[:60]!r}: {time_s:g} is no time in seconds since 1970")
    for value in values:
        if not stream.lowest <= value <= stream.highest:
            raise LineError(f"{line[:60]!r}: {value:g} is outside of {stream.lowest:g} to {stream.highest:g}")
    return Measurement(
        stream, round(time_s * NANOSECONDS_PER_SECOND), tuple(value / stream.divisor for value in values)
    )


def _number(cell: str, line: str) -> float:
    """Also with a comma: the server writes numbers as the language of its Windows does."""
    try:
        number = float(cell.replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LineError(f"{line[:60]!r}: {cell!r} is no number")
    return number
