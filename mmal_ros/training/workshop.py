"""Where a training keeps what is finished, and shows how far it is: whoever kills it loses little."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mmal_ros.training.group.fit import Windows
from mmal_ros.training.group.models import Fitter
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.group.store import stored_fit
from mmal_ros.training.policy import mmql
from mmal_ros.training.policy.log import TensorBoardLog
from mmal_ros.training.policy.mmql import Episode, Training


class Workshop:
    """A folder that is there as long as the training is not finished. A context manager, for the progress bars.

    Attributes:
        folder: what is in it belongs to one training.
    """

    def __init__(self, folder: Path, console: Console, log: Path | None = None) -> None:
        """`log`: folder for TensorBoard, if there is to be one."""
        self.folder, self._log = folder, log
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console)

    def fitter(self, networks: int, what: str) -> Fitter:
        """`fit.fit`, with each of so many networks kept; `what` they are stands at the progress bar."""
        bar = self._progress.add_task(what, total=networks)

        def kept(windows: Windows, seed: int) -> EngagementLSTM:
            network = stored_fit(windows, seed, self.folder / "networks")
            self._progress.advance(bar)
            return network

        return kept

    def run(self, training: Training) -> None:
        """All episodes that are not done yet; raises CheckpointError where those done are of another training."""
        bar = self._progress.add_task("episodes", total=training.settings.episodes)
        with ExitStack() as stack:
            log = stack.enter_context(TensorBoardLog(self._log, training.runs)) if self._log else None

            def tell(episode: Episode) -> None:
                self._progress.update(bar, completed=episode.number + 1)
                if log is not None:
                    log(episode)

            mmql.train(training, self.folder / "policy.pt", on_episode=tell)
        self._progress.update(bar, completed=len(training.history))

    def clear(self) -> None:
        """Everything is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
