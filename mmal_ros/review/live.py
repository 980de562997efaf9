"""The live page: what a running graph says now, and what a person may ask of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from mmal_ros.review.labels_api import WindowId
from mmal_ros.session.card import new_code
from mmal_ros.session.records import Privacy

PERIOD_S = 0.2
NO_GRAPH = (
    "No graph is connected to these pages: start `mmal review --live` beside a running `mmal run` or `ros2 launch`."
)
Answer = tuple[bool, str]
"""Whether it was done, and one sentence."""


class LiveFeed(Protocol):
    """A running graph. Every method may be called from any thread; those that ask wait a few seconds at most."""

    def state(self) -> Mapping[str, Any]:
        """What is known now, ready for JSON; None where it is not known yet.

        level: `low`, `medium`, `high`; probabilities: of the three; modalities: {`face`: {status, probabilities}, …};
        age_s: of the newest estimate; model: name/version; budget, budget_left: flags of this session;
        flags: [{window_id (a string), time (ISO 8601), reason, policy}], the newest last;
        session: {recording, session, participant, privacy, flags, problem}.
        """

    def flag(self, reason: str) -> Answer:
        """Ask for a label of what is happening now."""

    def unflag(self, window_id: int) -> Answer:
        """Take a flag back."""

    def start_session(self, participant: str, privacy: str) -> Answer:
        """Begin to record."""

    def stop_session(self) -> Answer:
        """End the recording."""


class FlagNow(BaseModel):
    """Why a person flags."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=200)


class Unflag(BaseModel):
    """Which flag is taken back."""

    model_config = ConfigDict(extra="forbid")

    window_id: WindowId


class Start(BaseModel):
    """Whose session begins."""

    model_config = ConfigDict(extra="forbid")

    participant: Annotated[str, AfterValidator(new_code)]
    privacy: Privacy = Privacy.CLIPS


def live_routes(feed: LiveFeed | None) -> APIRouter:
    """The stream of states, and the buttons."""
    routes = APIRouter(prefix="/api/live")

    def graph() -> LiveFeed:
        if feed is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, NO_GRAPH)
        return feed

    @routes.get("")
    async def states(request: Request) -> StreamingResponse:
        return StreamingResponse(_events(graph(), request.app.state.ending), media_type="text/event-stream")

    @routes.post("/flag")
    def flag(now: FlagNow) -> dict[str, Any]:
        return _done(graph().flag(now.reason))

    @routes.post("/unflag")
    def unflag(which: Unflag) -> dict[str, Any]:
        return _done(graph().unflag(which.window_id))

    @routes.post("/session/start")
    def start(new: Start) -> dict[str, Any]:
        return _done(graph().start_session(new.participant, new.privacy.value))

    @routes.post("/session/stop")
    def stop() -> dict[str, Any]:
        return _done(graph().stop_session())

    return routes


def _done(answer: Answer) -> dict[str, Any]:
    done, sentence = answer
    if not done:
        raise HTTPException(HTTPStatus.CONFLICT, sentence)
    return {"success": True, "message": sentence}


async def _events(feed: LiveFeed, ending: asyncio.Event) -> AsyncIterator[str]:
    """Server-sent events, until the page is closed or the server ends."""
    while not ending.is_set():
        yield f"data: {json.dumps(feed.state())}\n\n"
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), PERIOD_S)
