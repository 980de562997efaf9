"""What every command does with errors: one sentence and an exit code, never a traceback for what users can cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console

from mmal_ros.cli.main import INTERRUPTED
from mmal_ros.features.recording import RecordingError
from mmal_ros.model_card import ModelError
from mmal_ros.sensors.source import SourceError
from mmal_ros.stopping import told_to_stop
from mmal_ros.wording import why

USAGE_ERROR = 2

err = Console(stderr=True)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what users can cause into one sentence and exit code 2, and Ctrl-C into exit code 130."""
    try:
        yield
    except ModuleNotFoundError as error:
        fail(f"the package '{error.name}' is missing; `mmal doctor` says how to install it")
    except (SourceError, ImportError, ModelError, RecordingError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(_sentence(error))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def fail(message: str) -> NoReturn:
    """One clear sentence on stderr, exit code 2; 130 after somebody said stop: it may only be what came of that."""
    if told_to_stop():
        err.print(f"mmal: stopped; meanwhile: {message}", style="grey50", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    err.print(f"mmal: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(USAGE_ERROR)


def _sentence(error: OSError) -> str:
    what = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
    return f"{what}: {why(error)}"
