"""Bodies of requests: read as a whole before anybody works with them, and neither large nor slow."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Message, Receive

LARGEST_BYTES = 64 * 1024
"""A label with the longest note has a tenth of it."""
SLOWEST_S = 10.0
"""So long may a body take to come in."""


class BodyError(Exception):
    """A body that is not taken; the message is a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


TOO_LARGE = f"That is too much at once: at most {LARGEST_BYTES // 1024} kB are taken."
TOO_SLOW = f"The request took longer than {SLOWEST_S:.0f} s to come in; send it again."


async def whole_body(headers: Headers, receive: Receive) -> Receive:
    """The same request with its body read; raises BodyError."""
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > LARGEST_BYTES:
        raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
    try:
        async with asyncio.timeout(SLOWEST_S):
            body = await _read(receive)
    except TimeoutError:
        raise BodyError(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW) from None
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyError(HTTPStatus.BAD_REQUEST, "The request was cut off.")
        body += message.get("body", b"")
        if len(body) > LARGEST_BYTES:
            raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        if not message.get("more_body", False):
            return bytes(body)
