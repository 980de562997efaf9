"""Whether a session opens, and gives the estimates of then once more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TIMEOUT_S = 900


def score_again(home: Path) -> dict[str, Any]:
    """What `mmal score` says of the only session in a home, for people; raises CalledProcessError."""
    (session,) = (home / "sessions").iterdir()
    command = [str(Path(sys.executable).parent / "mmal"), "score", session.name, "--json"]
    environment = os.environ | {"MMAL_HOME": str(home)}
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    found = json.loads(run.stdout)
    equal = f"{found['equal']} of {found['recorded']} estimates equal bit by bit"
    missed = ", ".join(f"{count} of {modality}" for modality, count in found["missed_frames"].items())
    return {"scored again": equal, "of the others had seen what is not in the bag": found["not_repeatable"]} | (
        {"frames not seen alike": missed} if missed else {}
    )
