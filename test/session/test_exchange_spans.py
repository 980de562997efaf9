"""Stretches of a session: which word is a label, which window is when, which annotations fit on one tier."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmal_ros.session.card import SessionError
from mmal_ros.session.exchange.spans import Said, Span, lanes, value_of, window_span
from mmal_ros.session.records import LabelValue


def said(text: str, start_ms: int = 0, end_ms: int = 1000) -> Said:
    return Said(Span(start_ms, end_ms), text, "", "line 4")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("low", "low"),
        (" HIGH\n", "high"),
        ("Cannot tell", "cannot_tell"),
        ("bad-capture", "bad_capture"),
        *((str(key), value) for key, value in enumerate(LabelValue, start=1)),
    ],
)
def test_words_and_keys_are_labels(text, value):
    assert value_of(said(text)) == value


@pytest.mark.parametrize("text", ["lo", "6", "0", "gaze left", "very high", "низкий"])
def test_any_other_word_is_named_with_its_place(text):
    with pytest.raises(SessionError, match=f"^line 4: '{text}' is no label; expected low, medium, high, cannot_tell"):
        value_of(said(text))


def test_a_window_ends_at_its_stamp():
    assert window_span(stamp_ns=12_300_000_000, session_start_ns=2_000_000_000) == Span(9300, 10300)


def test_a_window_that_began_before_the_session_is_cut_off():
    assert window_span(stamp_ns=2_400_000_000, session_start_ns=2_000_000_000) == Span(0, 400)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=25))
def test_on_a_lane_nothing_overlaps_and_nothing_is_lost(stretches):
    words = [said(str(number), start, start + length) for number, (start, length) in enumerate(stretches)]
    found = lanes(words)
    assert sorted(word.text for lane in found for word in lane) == sorted(word.text for word in words)
    for lane in found:
        assert all(a.span.end_ms <= b.span.start_ms for a, b in pairwise(lane))
    most = max((sum(w.span.start_ms <= t < w.span.end_ms for w in words) for t in range(70)), default=0)
    assert len(found) == most  # no more lanes than overlap at the worst moment
