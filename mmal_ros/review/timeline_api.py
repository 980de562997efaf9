"""What was recorded, to look at: the timeline of a session, the curves around a window, and what the model said of it.

A coder who labels blind learns what the model thinks of a window only after having labelled it; who may only label
cannot do it otherwise.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.review.labels_api import Coder
from mmal_ros.review.library import Library, flag_of, said_of
from mmal_ros.review.opinions import opinion_of
from mmal_ros.review.sessions_api import Blind, PathWindow
from mmal_ros.session.timeline import read_curves, read_timeline

Points = Annotated[int, Query(ge=2, le=5000)]


def timeline_routes(library: Library) -> APIRouter:
    """GET timelines, curves and opinions."""
    routes = APIRouter(prefix="/api/sessions/{name}")

    @routes.get("/timeline")
    def timeline(name: str, blind: Blind, points: Points = 1500, annotator: Coder | None = None) -> dict[str, Any]:
        folder = library.session(name)
        found = asdict(read_timeline(folder, points))
        start_ns, end_ns = found.pop("start_ns"), found.pop("end_ns")
        flags, labels = said_of(folder)
        mine = {label.window_id for label in labels if label.annotator == annotator}
        hidden = blind and any(flag.window_id not in mine for flag in flags)
        if hidden:
            found |= {"level": [], "engagement": [], "by_modality": {}}
        duration_s = (end_ns - start_ns) / NANOSECONDS_PER_SECOND
        return {"start_ns": str(start_ns), "duration_s": duration_s, "blind": hidden, **found}

    @routes.get("/windows/{window_id}")
    def window(name: str, window_id: PathWindow, blind: Blind, annotator: Coder | None = None) -> dict[str, Any]:
        folder = library.session(name)
        flags, labels = said_of(folder)
        flag = flag_of(flags, window_id)
        labelled = any(label.window_id == window_id and label.annotator == annotator for label in labels)
        opinion = opinion_of(folder, flag) if labelled or not blind else None
        curves = read_curves(folder, flag.start_ns, flag.stamp_ns)
        return {
            "curves": {name: asdict(curve) for name, curve in curves.items()},
            "opinion": asdict(opinion) if opinion else None,
        }

    return routes
