"""How long a target is fuzzed: some examples in `make test`, always the same ones; minutes with `MMAL_FUZZ_MINUTES`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

MINUTES = float(os.environ.get("MMAL_FUZZ_MINUTES", "0"))
"""For each target; 0: `make test`."""
SLOWEST_MS = 30_000
"""One example that takes longer hangs, even on a busy machine."""
WAYS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
"""Files are written anew for every example; damage to large inputs is large."""


def fuzz(*args: SearchStrategy[Any], few: int = 60, **kwargs: SearchStrategy[Any]) -> Callable[[Any], Any]:
    """A test of so `few` examples, or of a thousand again and again; stands above its `@example`s."""
    chosen = (
        settings(max_examples=1000, deadline=SLOWEST_MS, suppress_health_check=WAYS)
        if MINUTES
        else settings(
            max_examples=few, derandomize=True, database=None, deadline=SLOWEST_MS, suppress_health_check=WAYS
        )
    )
    return lambda test: chosen(given(*args, **kwargs)(test))
