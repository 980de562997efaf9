"""What logs and diagnostics say of a child: nothing by which it could be told from another one.

Who asked for something gets the whole sentence as an answer; what is written down for later, or sent to whoever
listens, goes through `without_codes`.
"""

from __future__ import annotations

import logging
import re

from mmal_ros.paths import personal_models_folder

HIDDEN = "…"
_SESSION = re.compile(r"(\d{4}-\d\d-\d\d_)[A-Za-z0-9-]+(_\d\d)")
"""Name of a session's folder: DATE_CODE_NUMBER."""
_REFUSED = re.compile(r"'.+'(?= is no code of)", re.DOTALL)
"""Somebody's name, perhaps."""


def without_codes(text: str) -> str:
    """The same without the codes in names of sessions and of personal models, and without what was refused as one."""
    text = _SESSION.sub(rf"\g<1>{HIDDEN}\g<2>", text)
    text = _REFUSED.sub(f"'{HIDDEN}'", text)
    return re.sub(rf"({re.escape(str(personal_models_folder()))}/)[^/\s]+", rf"\g<1>{HIDDEN}", text)


def log_discreetly() -> None:
    """For the whole process: Python's log goes to stderr without codes, tracebacks too."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Discreet("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


class _Discreet(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_codes(super().format(record))
