"""Labels come in. An answer is sent when the label is on disk, and the same request twice is one label."""

from __future__ import annotations

from http import HTTPStatus
from time import time_ns
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mmal_ros.review.library import Library, flag_of
from mmal_ros.session.card import checked_code
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import LARGEST_ID, SessionStore

LONGEST_NOTE = 2_000


def _checked_coder(code: str) -> str:
    return checked_code(code, "coder")


Coder = Annotated[str, AfterValidator(_checked_coder), Field(description="a code, never a name", examples=["C1"])]


def _no_truth(window_id: object) -> object:
    if isinstance(window_id, bool):  # which pydantic takes for 0 and 1
        raise ValueError("a window is a number")
    return window_id


WindowId = Annotated[
    int,
    BeforeValidator(_no_truth, json_schema_input_type=int | str),
    Field(ge=0, le=LARGEST_ID, description="as a string in JavaScript, where it may not fit"),
]
Request = Annotated[str, Field(min_length=8, max_length=100, description="names this act: sent again, it adds nothing")]


class NewLabel(BaseModel):
    """What a coder says of a window."""

    model_config = ConfigDict(extra="forbid")

    window_id: WindowId
    value: LabelValue
    annotator: Coder
    note: str = Field("", max_length=LONGEST_NOTE)
    request: Request


class Retraction(BaseModel):
    """A coder takes back the last label of a window."""

    model_config = ConfigDict(extra="forbid")

    window_id: WindowId
    annotator: Coder
    request: Request


class Standing(BaseModel):
    """What the coder says of the window by now."""

    window_id: str
    label: LabelValue | None
    note: str


def labels_routes(library: Library) -> APIRouter:
    """POST labels and retractions."""
    routes = APIRouter(prefix="/api/sessions/{name}")

    @routes.post("/labels", status_code=HTTPStatus.CREATED, responses=ALREADY)
    def add_label(name: str, new: NewLabel, answer: Response) -> Standing:
        return _add(library, name, new, new.value, new.note, answer)

    @routes.post("/undo", status_code=HTTPStatus.CREATED, responses=ALREADY)
    def undo(name: str, back: Retraction, answer: Response) -> Standing:
        return _add(library, name, back, None, "", answer)

    return routes


ALREADY: dict[int | str, dict[str, Any]] = {200: {"description": "this request had been", "model": Standing}}


def _add(
    library: Library, name: str, act: NewLabel | Retraction, value: LabelValue | None, note: str, answer: Response
) -> Standing:
    with SessionStore(library.session(name).labels) as store:
        stamp_ns = flag_of(store.flags(withdrawn=True), act.window_id).stamp_ns
        label = Label(act.window_id, stamp_ns, act.annotator, value, time_ns(), note)
        if not store.add_label(label, act.request):
            answer.status_code = HTTPStatus.OK
        return standing_of(store, act.window_id, act.annotator)


def standing_of(store: SessionStore, window_id: int, annotator: str) -> Standing:
    """The last word of a coder on a window."""
    for label in store.standing_labels():
        if (label.window_id, label.annotator) == (window_id, annotator):
            return Standing(window_id=str(window_id), label=label.value, note=label.note)
    return Standing(window_id=str(window_id), label=None, note="")
