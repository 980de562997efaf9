"""Where torch computes."""

from __future__ import annotations

import torch


def check_device(device: str) -> None:
    """Raises ValueError where torch cannot compute on `device`, cpu or cuda, of this machine."""
    if device not in ("cpu", "cuda"):
        raise ValueError(f"torch computes on cpu or cuda, not on '{device}'")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch finds no GPU here; use --device cpu, or see what `mmal doctor` says")
