"""session.json: what is written is read again, validates against its schema, and damage is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import jsonschema
import pytest

from mmal_ros.session.card import CARD_NAME, SessionCard, SessionError, read_session_card, schema, write_session_card
from mmal_ros.session.records import Privacy

CARD = SessionCard(
    name="2026-11-20_P017_01",
    participant="P017",
    start=datetime(2026, 11, 20, 10, tzinfo=UTC),
    start_ns=1_795_168_800_000_000_007,
    privacy=Privacy.CLIPS,
    devices={"camera": "device:0"},
    software="0.1.0",
)


@pytest.fixture
def content(tmp_path):
    write_session_card(tmp_path, CARD)
    return json.loads((tmp_path / CARD_NAME).read_text())


def test_what_was_written_is_read_to_the_nanosecond(tmp_path):
    write_session_card(tmp_path, CARD)
    assert read_session_card(tmp_path) == CARD


def test_it_validates_against_the_schema(content):
    jsonschema.validate(content, json.loads(schema()))
    del content["participant"]
    with pytest.raises(jsonschema.ValidationError, match="participant"):
        jsonschema.validate(content, json.loads(schema()))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"participant": "Anna Smith"}, "participant: .*is no code of a participant"),
        ({"privacy": "everything"}, "privacy: "),
        ({"start_ns": "soon"}, "start_ns: "),
        ({"name_of_child": "x"}, "name_of_child: "),
    ],
)
def test_a_wrong_field_is_named(tmp_path, content, change, complaint):
    (tmp_path / CARD_NAME).write_text(json.dumps({**content, **change}))
    with pytest.raises(SessionError, match=f"{CARD_NAME}: {complaint}"):
        read_session_card(tmp_path)


@pytest.mark.parametrize("damage", [b"", b'{"format": 1, "na', b"\xff\xfe\x00", b"[]"])
def test_a_damaged_card_is_one_sentence(tmp_path, damage):
    (tmp_path / CARD_NAME).write_bytes(damage)
    with pytest.raises(SessionError, match=CARD_NAME):
        read_session_card(tmp_path)


def test_a_folder_without_a_card_is_no_session(tmp_path):
    with pytest.raises(SessionError, match=r"is no session: session.json cannot be read \(No such file"):
        read_session_card(tmp_path)


def test_a_card_is_replaced_as_a_whole(tmp_path):
    write_session_card(tmp_path, CARD)
    write_session_card(tmp_path, CARD.model_copy(update={"end": CARD.start}))
    assert [path.name for path in tmp_path.iterdir()] == [CARD_NAME]
    assert read_session_card(tmp_path).end == CARD.start


def test_nobody_else_may_read_the_card(tmp_path):
    write_session_card(tmp_path, CARD)
    assert (tmp_path / CARD_NAME).stat().st_mode & 0o077 == 0
