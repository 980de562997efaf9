"""What logs and diagnostics say of a child: nothing by which it could be told from another one. Nor passwords.

Who asked for something gets the whole sentence as an answer; what is written down for later, or sent to whoever
listens, goes through `discreet`.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress

from mmal_ros.paths import personal_models_folder
from mmal_ros.wording import without_password

HIDDEN = "…"
_SESSION = re.compile(r"(\d{4}-\d\d-\d\d_)[A-Za-z0-9-]+(_\d\d)")
"""Name of a session's folder: DATE_CODE_NUMBER."""
_REFUSED = re.compile(r"'.+'(?= is no code of)", re.DOTALL)
"""Somebody's name, perhaps."""


def discreet(text: str) -> str:
    """The same without codes in names of sessions and personal models, what was refused as a code, and passwords."""
    text = _SESSION.sub(rf"\g<1>{HIDDEN}\g<2>", text)
    text = _REFUSED.sub(f"'{HIDDEN}'", text)
    with suppress(ValueError):  # nobody has personal models here
        text = re.sub(rf"({re.escape(str(personal_models_folder()))}/)[^/\s]+", rf"\g<1>{HIDDEN}", text)
    return without_password(text)


def log_discreetly() -> None:
    """For the whole process: Python's log goes to stderr without codes, tracebacks too."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Discreet("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


class _Discreet(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return discreet(super().format(record))
