"""Answers that say no: one sentence, as JSON to a script and as a small page to a person. Never a traceback."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from mmal_ros.model_card import ModelError
from mmal_ros.session.card import SessionError

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body><h1>{title}</h1><p>{sentence}</p></body>
</html>
"""  # without a style: who is not let in gets no style sheet


class Refusal(BaseModel):
    """Why a request was not granted."""

    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "refused; the sentence says why", "model": Refusal},
    503: {"description": "not now: a full disk, a damaged session or a graph that is gone", "model": Refusal},
}
"""For the OpenAPI description of every route."""


HALF_A_CHARACTER = "A text has half of a character in it, which cannot be kept; write it anew."


class NotThereError(Exception):
    """What was asked for is not there; the message is a sentence for a person."""


def refusal(scope: Scope, status: int, sentence: str) -> Response:
    """The answer to a request that is not granted."""
    if scope["path"].startswith("/api/"):
        return JSONResponse({"detail": sentence}, status)
    return HTMLResponse(PAGE.format(title=HTTPStatus(status).phrase, sentence=escape(sentence)), status)


def answer_errors(app: FastAPI) -> None:
    """What users and damaged files can cause becomes a sentence."""

    @app.exception_handler(NotThereError)
    async def _not_there(request: Request, error: Exception) -> Response:
        return refusal(request.scope, HTTPStatus.NOT_FOUND, str(error))

    @app.exception_handler(SessionError)
    @app.exception_handler(OSError)
    async def _unusable(request: Request, error: Exception) -> Response:
        """A full disk or a busy file: the page asks again, and nothing is lost meanwhile."""
        return refusal(request.scope, HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(ModelError)
    async def _refused(request: Request, error: Exception) -> Response:
        return refusal(request.scope, HTTPStatus.CONFLICT, str(error))

    @app.exception_handler(RequestValidationError)
    async def _wrong(request: Request, error: RequestValidationError) -> Response:
        return refusal(request.scope, HTTPStatus.UNPROCESSABLE_ENTITY, _first(error.errors()[0]))

    @app.exception_handler(UnicodeEncodeError)
    async def _half(request: Request, error: Exception) -> Response:
        """JSON can name a half of a pair of surrogates, which no file and no database can."""
        return refusal(request.scope, HTTPStatus.UNPROCESSABLE_ENTITY, HALF_A_CHARACTER)

    @app.exception_handler(HTTPException)
    async def _other(request: Request, error: HTTPException) -> Response:
        answer = refusal(request.scope, error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer


def _first(error: dict[str, Any]) -> str:
    """What is wrong, without what was sent."""
    place = ".".join(str(part) for part in error["loc"][1:])
    return f"{place}: {error['msg'].removeprefix('Value error, ')}" if place else error["msg"]
