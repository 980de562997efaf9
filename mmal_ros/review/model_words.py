"""How well a model is known to do, in words for who reads a report: always beside what a constant answer gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmal_ros.model_card import ModelCard, ModelError, read_card
from mmal_ros.paths import find_model


@dataclass(frozen=True, slots=True)
class ModelWords:
    """What a report says of the model."""

    identity: str
    """name/version; empty: nobody wrote it down."""
    purpose: str
    """What it is for and not for."""
    known: str
    """How well it does."""


def how_known(identity: str, folder: str = "") -> ModelWords:
    """What the card of a model set says.

    Args:
        identity: name/version.
        folder: where it was when the session was recorded; it need not be there any more.
    """
    for place in _places(identity, folder):
        try:
            card = read_card(place)
        except ModelError:
            continue
        if card.identity == identity:
            return ModelWords(identity, card.purpose, _known(card))
    return ModelWords(identity, "", "Its card is not on this computer, so nothing is known here of how well it does.")


def _places(identity: str, folder: str) -> Iterator[Path]:
    name, _, version = identity.partition("/")
    if folder:
        yield Path(folder)
        yield Path(folder) / version
    if name and version:
        yield find_model(name) / version


def _known(card: ModelCard) -> str:
    metrics = card.metrics
    if "vote" in metrics:
        return _on_strangers(metrics)
    if metrics.get("after") is not None:
        return _on_held_out(card, metrics)
    return "Its card has no figures: nobody has measured how well it does."


def _on_strangers(metrics: dict[str, Any]) -> str:
    vote, constant = metrics["vote"], metrics["constant"]
    return (
        f"On {metrics['windows']} windows of {metrics['people']} people it had not seen, it was right in "
        f"{vote['accuracy']:.0%} (macro-F1 {vote['macro_f1']:.2f}); always giving the commonest answer is right in "
        f"{constant['accuracy']:.0%} (macro-F1 {constant['macro_f1']:.2f})."
    )


def _on_held_out(card: ModelCard, metrics: dict[str, Any]) -> str:
    before = f"the model before it had {metrics['before']:.2f}, " if metrics.get("before") is not None else ""
    return (
        f"Made for one child from {card.training.get('labels', '?')} labels. On {metrics['labels']} labels of this "
        f"child that were held out, its macro-F1 was {metrics['after']:.2f}; {before}"
        f"always giving the commonest answer has {metrics['constant']:.2f}."
    )
