"""Adapters: every data set in the form of `training.people`.

The law: an adapter repairs by a documented rule and says so in `DataSet.repairs`, or it refuses and names file, line
and column; it never guesses. It uses nothing of the labels to make features, standardises nothing, and splits nobody:
what is learned from people is learned by those who know which people are for testing. No data set comes with the
package and none is downloaded: the user gives the folder.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mmal_ros.paths import path_of
from mmal_ros.session.card import CARD_NAME
from mmal_ros.training.data.errors import meant
from mmal_ros.training.people import DataError, DataSet

COHORT = "cohort"


def _adapter(module: str, function: str = "load") -> Callable[[Path], DataSet]:
    """A function of an adapter, which is imported when it is called: pandas and SciPy take a second."""

    def load(path: Path) -> DataSet:
        found: DataSet = getattr(import_module(f"{__name__}.{module}"), function)(path)
        return found

    return load


ADAPTERS: dict[str, Callable[[Path], DataSet]] = {
    "swell-kw": _adapter("swell_kw"),
    "migrave-engagement": _adapter("migrave"),
    "migrave-engagement-binary": _adapter("migrave", "load_binary"),
    "stress-predict": _adapter("stress_predict"),
}
"""Published data sets, by name; each reads a folder."""
LAYOUTS = (".yaml", ".yml")


def load_data_set(name: str, folder: Path | None = None) -> DataSet:
    """A data set by its name, or by the path of its description.

    Args:
        name: `cohort`, one of `ADAPTERS`, a YAML that describes a table (`data.tables`), a folder of recorded sessions
            (`data.sessions`), or a folder of recordings of features with labels (`data.recordings`).
        folder: where the files of a published set are; the others need none.

    Raises:
        DataError: there is no such set, or its files are not what they should be.
    """
    if name == COHORT:
        from mmal_ros.training.data.cohort import simulated_cohort  # only when it is asked for: it takes a while

        return simulated_cohort()
    if name in ADAPTERS:
        if folder is None:
            raise DataError(f"'{name}' is not part of this software: say in which folder its files are")
        return ADAPTERS[name](folder)
    return _by_path(path_of(name))


def _by_path(path: Path) -> DataSet:
    if path.suffix in LAYOUTS:
        return _adapter("tables")(path)
    if path.is_dir():
        return _adapter("sessions" if any(path.glob(f"*/{CARD_NAME}")) else "recordings")(path)
    raise DataError(
        f"'{path}' is no data set, no YAML that describes a table and no folder of recordings; "
        + meant(str(path), (COHORT, *ADAPTERS))
    )
