"""Valid inputs, damaged as disks, networks, other tools, people with editors, and strangers damage them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

HUGE = (
    "1e308", "-1e308", "1e20", "9" * 30, "9" * 400, "9" * 5000, "18446744073709551615", "-1", "0", "-0.0", "1e-320",
    "nan", "NaN", "inf", "-Infinity", "1_0", "٣", "²", "0x10", "1,5", "true", "null", "",
)  # fmt: skip
"""Numbers that no sensor says."""
ODD_TEXT = (
    "\0", "\ud800", "\ufeff", "\u2028", "\x85", "é" * 3, "../" * 5, "/dev/zero", "~nobody-here/x", "C:\\x", "'", '"',
    "\\", "<!--", "{", "[" * 300, "a" * 5000, "%s%n", "\x1b[2J", "\r",
)  # fmt: skip
"""Words that are no words."""
ODD_BYTES = (
    b"\0", b"\xff", b"\n", b"\r", b",", b'"', b"\xff\xff\xff\xff", b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7,
    b"\xff\xff\xff\x7f", b"\xed\xa0\x80", b"\xff\xfe", b"nan", b"1e999", b"\x00\x00\x00\x80",
)  # fmt: skip
LARGE_NUMBERS: tuple[Any, ...] = (0, -1, 1 << 31, 1 << 63, 1 << 64, -(1 << 63), 10**400, 1e308, -1e308, 1e-320, 1.5)
DEEP = 5000
"""Levels of nesting: more than any parser that recurses has room for."""


@st.composite
def damaged_bytes(draw: DrawFn, valid: bytes | Sequence[bytes], most: int = 4) -> bytes:
    """Bits that flipped; stretches that were lost, doubled, swapped or filled; a file that was cut off."""
    content = valid if isinstance(valid, bytes) else draw(st.sampled_from(list(valid)))
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        content = draw(st.sampled_from(BYTE_DAMAGES))(draw, content, at)
    return content


def damaged_text(valid: str | Sequence[str], most: int = 4) -> SearchStrategy[bytes]:
    """Lines and cells that were lost, doubled or hold what no cell may hold; then, perhaps, the wrong encoding."""
    return st.one_of(_damaged_lines(valid, most), damaged_bytes(_encoded(valid), most))


@st.composite
def damaged_json(draw: DrawFn, valid: Any, most: int = 3) -> bytes:
    """Values of another kind, keys that are lost, doubled or unknown, numbers beyond all ranges, endless nesting."""
    content = json.loads(json.dumps(valid))
    for _ in range(draw(st.integers(1, most))):
        content = _damaged_value(draw, content)
    text = json.dumps(content)
    if draw(st.integers(0, 9)) == 0:
        text = draw(st.sampled_from([text[: len(text) // 2], "[" * DEEP, '{"a":' * DEEP, text + text, "\ufeff" + text]))
    return text.encode(draw(st.sampled_from(["utf-8"] * 8 + ["utf-16", "latin-1"])), "replace")


def damaged_value(valid: Any) -> SearchStrategy[Any]:
    """A JSON value with one or two things wrong, as a value."""
    return st.composite(lambda draw: _damaged_value(draw, json.loads(json.dumps(valid))))()


def odd_words() -> SearchStrategy[str]:
    """What may stand where a word or number is expected."""
    return st.sampled_from(HUGE) | st.sampled_from(ODD_TEXT) | st.text(max_size=20)


def _encoded(valid: str | Sequence[str]) -> list[bytes]:
    return [text.encode() for text in ([valid] if isinstance(valid, str) else valid)]


@st.composite
def _damaged_lines(draw: DrawFn, valid: str | Sequence[str], most: int) -> bytes:
    text = valid if isinstance(valid, str) else draw(st.sampled_from(list(valid)))
    lines = text.splitlines(keepends=True) or [""]
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, max(len(lines) - 1, 0)))
        lines = draw(st.sampled_from(LINE_DAMAGES))(draw, lines or [""], at)
    encoding = draw(st.sampled_from(["utf-8"] * 8 + ["utf-16", "latin-1", "utf-8-sig"]))
    return "".join(lines).encode(encoding, "replace")


def _damaged_value(draw: DrawFn, value: Any) -> Any:
    """Goes down to a random place, and changes what is there."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw(st.sampled_from(keys))
        if draw(st.integers(0, 9)) == 0:
            del value[key]
        else:
            value[key] = _damaged_value(draw, value[key])
        return value
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(odd_words()): 1}
    return deepcopy(draw(st.one_of(_ODD_VALUES, odd_words())))  # or the next damage would damage the choices


_ODD_VALUES: SearchStrategy[Any] = st.one_of(
    st.sampled_from([*LARGE_NUMBERS, None, True, [], {}, [[]], "", float("nan"), float("inf"), {"a": [1]}]),
    st.integers(),
    st.floats(),
)

# --- what happens to bytes ---------------------------------------------------------------------------------------

ByteDamage = Callable[[DrawFn, bytes, int], bytes]


def _flip(draw: DrawFn, content: bytes, at: int) -> bytes:
    changed = bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) if content else b"\1"
    return content[:at] + changed + content[at + 1 :]


def _cut_off(draw: DrawFn, content: bytes, at: int) -> bytes:
    return content[:at]


def _lose(draw: DrawFn, content: bytes, at: int) -> bytes:
    return content[:at] + content[at + draw(st.integers(1, 64)) :]


def _double(draw: DrawFn, content: bytes, at: int) -> bytes:
    end = at + draw(st.integers(1, 4096))
    return content[:end] + content[at:]


def _insert(draw: DrawFn, content: bytes, at: int) -> bytes:
    return content[:at] + draw(st.sampled_from(ODD_BYTES) | st.binary(max_size=16)) + content[at:]


def _overwrite(draw: DrawFn, content: bytes, at: int) -> bytes:
    new = draw(st.sampled_from(ODD_BYTES) | st.binary(max_size=16))
    return content[:at] + new + content[at + len(new) :]


BYTE_DAMAGES: list[ByteDamage] = [_flip, _cut_off, _lose, _double, _insert, _overwrite]

# --- what happens to lines ---------------------------------------------------------------------------------------

LineDamage = Callable[[DrawFn, list[str], int], list[str]]


def _lose_line(draw: DrawFn, lines: list[str], at: int) -> list[str]:
    return lines[:at] + lines[at + 1 :]


def _double_line(draw: DrawFn, lines: list[str], at: int) -> list[str]:
    return lines[: at + 1] + lines[at:]


def _swap_lines(draw: DrawFn, lines: list[str], at: int) -> list[str]:
    other = draw(st.integers(0, len(lines) - 1))
    lines = list(lines)
    lines[at], lines[other] = lines[other], lines[at]
    return lines


def _odd_cell(draw: DrawFn, lines: list[str], at: int) -> list[str]:
    """One cell becomes something that no cell may be; cells end at commas, tabs, spaces and colons."""
    marks = [place for place, character in enumerate(lines[at]) if character in ",\t :;=<>"]
    begin = draw(st.sampled_from([0, *(mark + 1 for mark in marks)]))
    end = next((mark for mark in marks if mark >= begin), len(lines[at].rstrip("\n")))
    return [*lines[:at], lines[at][:begin] + draw(odd_words()) + lines[at][end:], *lines[at + 1 :]]


LINE_DAMAGES: list[LineDamage] = [_lose_line, _double_line, _swap_lines, _odd_cell, _odd_cell, _odd_cell]
