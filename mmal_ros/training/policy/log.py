"""What a training did, for TensorBoard: `tensorboard --logdir FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from mmal_ros.training.policy.mmql import Episode
from mmal_ros.training.policy.settings import Run


class TensorBoardLog:
    """Writes each episode it is called with: a folder per run, a curve per quantity. A context manager."""

    def __init__(self, folder: Path, runs: Sequence[Run]) -> None:
        self._writers = [SummaryWriter(str(folder / f"{index}_{_name(run)}")) for index, run in enumerate(runs)]

    def __call__(self, episode: Episode) -> None:
        """See the class; to be given to `mmql.train` as `on_episode`."""
        curves = {
            "share asked": episode.asked,
            "share of the pool searched": episode.searched,
            "mean reward": episode.reward,
            "squared Bellman error": episode.loss,
        }
        for index, writer in enumerate(self._writers):
            writer.add_scalar("exploration", episode.exploration, episode.number)
            for name, values in curves.items():
                writer.add_scalar(name, float(values[index]), episode.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers:
            writer.close()


def _name(run: Run) -> str:
    return f"seed{run.seed}_budget{run.budget}"
