"""Names for code, so that what it computed can be kept on disk and is computed anew when the code changes."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path


def of_code(paths: Iterable[Path]) -> str:
    """Names what Python files do, whatever their comments and layout: other code, other name."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(ast.dump(ast.parse(path.read_text())).encode())
    return digest.hexdigest()[:12]
