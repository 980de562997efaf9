"""Files from which a training goes on: tensors and plain values, never code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mmal_ros.files import private_folder, replacing


class CheckpointError(ValueError):
    """The checkpoint cannot be gone on from; the message says why and what would help."""


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Replace the file as a whole: whoever is killed leaves the old one or the new one."""
    private_folder(path.parent)
    with replacing(path) as scratch:
        torch.save(content, scratch)


def read_checkpoint(path: Path, identity: str, device: str) -> dict[str, Any]:
    """What was written, if it has this `identity`; else CheckpointError. Loading runs no code of the file."""
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises half a dozen types for a damaged file
        raise CheckpointError(f"{path} is no checkpoint ({type(error).__name__}); remove it to start anew") from error
    if content.get("identity") != identity:
        raise CheckpointError(f"{path} is of other settings, runs or data; give another folder, or remove it")
    return content
