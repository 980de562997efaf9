"""What there is to see: the list of sessions, a session with its flags, clips and agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import FileResponse

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.review.answers import NotThereError
from mmal_ros.review.labels_api import Coder
from mmal_ros.review.library import Library, said_of
from mmal_ros.review.roles import Role
from mmal_ros.session.agreement import agreement
from mmal_ros.session.card import SessionCard, SessionError
from mmal_ros.session.deletion import is_recording
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import CLIP_LOST, Flag, Label
from mmal_ros.session.store import LARGEST_ID

PathWindow = Annotated[int, Path(ge=0, le=LARGEST_ID)]


def _is_blind(request: Request, blind: bool = True) -> bool:
    """Whoever has the coders' link labels blind, whatever she asks for."""
    return blind or request.state.role is Role.CODER


Blind = Annotated[bool, Depends(_is_blind)]
"""Whether what the model thinks of a window is kept from a coder until she has labelled it."""


def sessions_routes(library: Library) -> APIRouter:
    """GET sessions and what is in them."""
    routes = APIRouter(prefix="/api/sessions")

    @routes.get("")
    def list_sessions() -> list[dict[str, Any]]:
        return list(_listed(library))

    @routes.get("/{name}")
    def session(name: str, blind: Blind, annotator: Coder | None = None) -> dict[str, Any]:
        folder = library.session(name)
        return _session(folder, annotator, blind)

    @routes.get("/{name}/clips/{window_id}")
    def clip(name: str, window_id: PathWindow) -> FileResponse:
        path = library.session(name).clip_of(window_id)
        if path.is_symlink() or not path.is_file():
            raise NotThereError("There is no clip of this window.")
        return FileResponse(path, media_type="video/mp4")

    @routes.get("/{name}/agreement")
    def agreement_of(name: str) -> dict[str, Any]:
        found = agreement(said_of(library.session(name))[1])
        kappa = [{"a": a, "b": b, "value": value, "both": found.both[a, b]} for (a, b), value in found.kappa.items()]
        return {
            "annotators": list(found.annotators),
            "windows": found.windows,
            "kappa": kappa,
            "alpha": found.alpha,
        }

    return routes


def _listed(library: Library) -> Iterator[dict[str, Any]]:
    """A session that cannot be read is in the list with its problem, and keeps none of the others out."""
    for folder in library.sessions():
        try:
            card = folder.card()
            flags, labels = said_of(folder)
            facts = _facts(folder, card)
        except (SessionError, OSError) as error:  # deleted meanwhile, say
            yield {"name": folder.name, "problem": str(error)}
            continue
        labelled = {label.window_id for label in labels} & {flag.window_id for flag in flags}
        yield {
            **facts,
            "flags": len(flags),
            "labelled": len(labelled),
            "annotators": _coders(labels),
        }


def _session(folder: SessionFolder, annotator: str | None, blind: bool) -> dict[str, Any]:
    card = folder.card()
    flags, labels = said_of(folder)
    mine = {label.window_id: label for label in labels if label.annotator == annotator}
    by_others = Counter(label.window_id for label in labels if label.annotator != annotator)
    shown = [_flag(folder, card, flag, mine.get(flag.window_id), by_others[flag.window_id]) for flag in flags]
    return {
        **_facts(folder, card),
        "start_ns": str(card.start_ns),
        "devices": card.devices,
        "policy": card.policy,
        "budget": card.budget,
        "blind": blind,
        "annotators": _coders(labels),
        "flags": shown,
        "progress": {"done": sum(flag["label"] is not None for flag in shown), "of": len(shown)},
    }


def _facts(folder: SessionFolder, card: SessionCard) -> dict[str, Any]:
    return {
        "name": folder.name,
        "participant": card.participant,
        "start": card.start.isoformat(),
        "duration_s": duration_s(folder, card),
        "privacy": card.privacy.value,
        "model": card.model,
        "recording": is_recording(folder),
    }


def _flag(folder: SessionFolder, card: SessionCard, flag: Flag, mine: Label | None, others: int) -> dict[str, Any]:
    clip = f"/api/sessions/{folder.name}/clips/{flag.window_id}" if flag.clip else None
    return {
        "window_id": str(flag.window_id),
        "time_s": (flag.stamp_ns - card.start_ns) / NANOSECONDS_PER_SECOND,
        "reason": flag.reason,
        "policy": flag.policy,
        "utility": flag.utility,
        "clip": clip,
        "clip_lost": flag.clip == CLIP_LOST,
        "label": mine.value if mine else None,
        "note": mine.note if mine else "",
        "others": others,
    }


def duration_s(folder: SessionFolder, card: SessionCard) -> float:
    """How long a session is: until its end, or where it has none until the last flag."""
    last_ns = card.end_ns or max((flag.stamp_ns for flag in said_of(folder)[0]), default=card.start_ns)
    return (last_ns - card.start_ns) / NANOSECONDS_PER_SECOND


def _coders(labels: Sequence[Label]) -> list[str]:
    return sorted({label.annotator for label in labels})
