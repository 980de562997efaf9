"""What the two links of `mmal review` may do: the first one everything, the second one label.

What a coder needs is listed, and everything else is refused, so that a new page or button is the lead's until somebody
decides otherwise. Not in the list, besides what acts: the report and the live view, which tell a coder what the model
thinks and what others have said before she has answered.
"""

from __future__ import annotations

import re
from enum import StrEnum

_READ = re.compile(r"/|/static/.+|/session/[^/]+|/api/access|/api/sessions(/.+)?")
_WRITE = re.compile(r"/api/sessions/[^/]+/(labels|undo)")
OF_CODERS = {"GET": _READ, "HEAD": _READ, "POST": _WRITE}
"""Which paths, by method."""
ONLY_LABELS = (
    "This link is for labelling only. For the rest, open the first link that `mmal review` printed when it was started."
)


class Role(StrEnum):
    """Whose link somebody has opened."""

    LEAD = "lead"
    """Sees and does everything: labels, live view, recording, personalising, report."""
    CODER = "coder"
    """Looks at sessions, and labels."""


def may(role: Role, method: str, path: str) -> bool:
    """Whether somebody with this link may ask for that; `path` as the routes see it, without percent signs."""
    paths = OF_CODERS.get(method)
    return role is Role.LEAD or (paths is not None and paths.fullmatch(path) is not None)
