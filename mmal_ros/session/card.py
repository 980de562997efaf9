"""session.json: who, when, with which devices, models and software."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.files import replacing
from mmal_ros.session.records import Privacy
from mmal_ros.wording import why

CARD_NAME = "session.json"
FORMAT = 1
LATEST_NS = 4_100_000_000 * NANOSECONDS_PER_SECOND
"""The year 2099."""
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")


class SessionError(ValueError):
    """Something about a session that cannot be used; the message says what, and what would help."""


def checked_code(code: str, whose: str = "participant") -> str:
    """The code as it is; raises SessionError for what might be a name or an address, or cannot be a folder."""
    if not CODE.fullmatch(code):
        raise SessionError(
            f"'{code}' is no code of a {whose}; expected 1 to 32 letters, digits and '-', for example P017, "
            "and nobody's name or address"
        )
    return code


def new_code(code: str) -> str:
    """The code of whom is to be recorded; raises SessionError also where it has no digit and may be a first name.

    What was recorded under such a code can still be used, and deleted.
    """
    if not any(sign.isdigit() for sign in checked_code(code)):
        raise SessionError(
            f"'{code}' is no code of a participant whom one can record: it has no digit, and may be a name; expected "
            "for example P017"
        )
    return code


ParticipantCode = Annotated[str, AfterValidator(checked_code)]


class SessionCard(BaseModel):
    """What stands in session.json. Times are UTC, ISO 8601."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(FORMAT, description="version of this file's layout")
    name: str = Field(description="name of the session's folder")
    participant: ParticipantCode = Field(description="a code, never a name")
    start: datetime = Field(description="when recording began")
    start_ns: int = Field(ge=0, le=LATEST_NS, description="the same, in nanoseconds since the Unix epoch")
    end: datetime | None = Field(None, description="when recording ended; null: it is running, or was cut off")
    end_ns: int | None = Field(None, ge=0, le=LATEST_NS)
    privacy: Privacy
    devices: dict[str, str] = Field(default_factory=dict, description="sensor: SPEC it was started with")
    clock: str = Field("system", description="what stamps were taken from: system, or sim for simulated time")
    model: str = Field("", description="name/version of the model set at the start")
    model_folder: str = Field("", description="where it was loaded from, on the machine that recorded")
    model_sha256: str = Field("", description="hash of its card")
    rate_hz: float = Field(10.0, ge=0.1, le=100, description="estimates per second")
    max_delay_ms: float = Field(40.0, ge=0, le=10_000, description="how long an estimate waited for a slow modality")
    policy: str = Field("", description="selector that flagged")
    budget: int = Field(0, description="labels it might ask for")
    software: str = Field(description="version of mmal_ros")


def read_session_card(folder: Path) -> SessionCard:
    """The card in a session's folder; raises SessionError."""
    path = folder / CARD_NAME
    try:
        return SessionCard.model_validate_json(path.read_text())
    except OSError as error:
        raise SessionError(f"{folder} is no session: {CARD_NAME} cannot be read ({why(error)})") from error
    except (ValidationError, ValueError) as error:
        raise SessionError(f"{path}: {_first(error)}") from error


def write_session_card(folder: Path, card: SessionCard) -> None:
    """Replace the card of a session, as a whole."""
    with replacing(folder / CARD_NAME) as scratch:
        scratch.write_text(card.model_dump_json(indent=2) + "\n")


def schema() -> str:
    """The JSON schema of session.json, as docs/session.schema.json has it."""
    return json.dumps(SessionCard.model_json_schema(), indent=2) + "\n"


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        what = error.errors()[0]
        return f"{'.'.join(map(str, what['loc'])) or 'content'}: {what['msg']}"
    return str(error)
