"""Who may come in. Nothing gets past the gate without a token that `mmal review` printed, not even a style sheet.

What it keeps out, besides strangers: another name for this computer in somebody else's page (DNS rebinding), forms and
scripts of other pages, also of other programs on this computer, and our pages inside of others.
Sources: OWASP cheat sheets on cross-site request forgery and HTTP headers; fetch metadata, W3C.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest, token_urlsafe
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmal_ros.review.answers import refusal
from mmal_ros.review.bodies import BodyError, whole_body
from mmal_ros.review.roles import ONLY_LABELS, Role, may

LOOPBACK_NAMES = frozenset({"localhost"})
READING = {"GET", "HEAD"}
OUR_OWN = {"same-origin", "none"}
"""Values of Sec-Fetch-Site: a page of this server asks, or nobody's page, as when a link is typed."""
HOW_TO_GET_IN = "Open the link that `mmal review` printed when it was started; it ends in ?token= and a code."
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
GO_ON = '<!doctype html><meta http-equiv="refresh" content="0;url={path}"><a href="{path}">Go on</a>\n'
log = logging.getLogger(__name__)


def new_token() -> str:
    """Unguessable, and fit for a URL."""
    return token_urlsafe(32)  # 256 bits


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens, and the names under which this server may be called."""

    token: str = field(repr=False)
    """Of the lead's link."""
    coder_token: str = field(default="", repr=False)
    """Of the coders' link; empty: there is none."""
    names: frozenset[str] = LOOPBACK_NAMES
    """Host names; addresses in digits always do, for no page elsewhere can have one of ours."""
    secure: bool = False
    """Served under TLS: the cookie is for TLS only."""

    @property
    def cookie(self) -> str:
        """Name of the cookie: browsers give a host's cookies to all its ports, so that servers need different names.

        One for both links: in a browser the one that was opened last counts.
        """
        return f"mmal-{hashlib.sha256(self.token.encode()).hexdigest()[:12]}"

    def role_of(self, text: str) -> Role | None:
        """Whose token it is, in a time that does not tell how much of it was right; None: nobody's."""
        for role, token in ((Role.LEAD, self.token), (Role.CODER, self.coder_token)):
            if token and compare_digest(text.encode(), token.encode()):
                return role
        return None

    def called_rightly(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = _host_name(host)
        return name is not None and (name in self.names or _is_address(name))

    def known(self, cookies: str) -> Role | None:
        """Who has this Cookie header; None: a stranger."""
        try:
            morsel = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            return None
        return self.role_of(morsel.value) if morsel else None


class Gate:
    """Around all of the application: lets in whom `Access` knows, with bodies that are small and came in time."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":  # there are no other ways in
            await self._answer(scope, receive, _Hardened(send))

    async def _answer(self, scope: Scope, receive: Receive, send: _Hardened) -> None:
        answer = self._refusal_or_welcome(scope)
        if answer is None and scope["method"] not in READING:
            try:
                receive = await whole_body(Headers(scope=scope), receive)
            except BodyError as error:
                answer = refusal(scope, error.status, str(error))
                answer.headers["Connection"] = "close"
        if answer is not None:
            await answer(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception:
            log.exception("a request failed")  # paths have codes of participants
            if send.begun:
                raise
            sentence = "Something went wrong in the review server; what it was stands in its terminal."
            await refusal(scope, HTTPStatus.INTERNAL_SERVER_ERROR, sentence)(scope, receive, send)

    def _refusal_or_welcome(self, scope: Scope) -> Response | None:
        """What to answer instead of what was asked for; None: go on."""
        headers, access = Headers(scope=scope), self._access
        if not access.called_rightly(headers.get("host", "")):
            return refusal(scope, HTTPStatus.FORBIDDEN, "This server is not known by that name.")
        if scope["method"] in READING and (token := _token(scope)) and access.role_of(token):
            return _welcome(scope, headers, access, token)
        role = access.known(headers.get("cookie", ""))
        if role is None:
            return refusal(scope, HTTPStatus.UNAUTHORIZED, HOW_TO_GET_IN)
        if _asked_by_another_page(scope, headers):
            return refusal(scope, HTTPStatus.FORBIDDEN, "Only the pages of this server may ask for that.")
        if not may(role, scope["method"], scope["path"]):
            return refusal(scope, HTTPStatus.FORBIDDEN, ONLY_LABELS)
        scope.setdefault("state", {})["role"] = role
        return None


class _Hardened:
    """Sends on, with the headers that every answer has unless it brought its own."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _welcome(scope: Scope, headers: Headers, access: Access, token: str) -> Response:
    """To the same page without the token, which stays out of the address bar and the history.

    Who followed a link from a page elsewhere goes on from a page of ours: browsers send a strict cookie only then.
    """
    path = "/" + quote(scope["path"].lstrip("/\\"))  # `//elsewhere` would lead there
    if headers.get("sec-fetch-site", "none") in OUR_OWN:
        answer: Response = RedirectResponse(path, HTTPStatus.SEE_OTHER)
    else:
        answer = HTMLResponse(GO_ON.format(path=path))
    answer.set_cookie(access.cookie, token, httponly=True, samesite="strict", secure=access.secure)
    return answer


def _asked_by_another_page(scope: Scope, headers: Headers) -> bool:
    """Browsers say who asks; what is no browser need not."""
    if scope["method"] in READING and not scope["path"].startswith("/api/"):
        return False
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    ours = f"{scope['scheme']}://{headers.get('host', '')}"
    return (site is not None and site not in OUR_OWN) or (origin is not None and origin.lower() != ours.lower())


def _token(scope: Scope) -> str:
    query: Iterable[str] = parse_qs(scope["query_string"].decode("latin-1")).get("token", ())
    return next(iter(query), "")


def _host_name(host: str) -> str | None:
    """`name` or `name:port` without the port, in small letters; None: neither."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises where it is none
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
