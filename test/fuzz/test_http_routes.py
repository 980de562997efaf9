"""Every route of the pages, also those that are for people only, asked with what no page sends: refused, never 500."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mmal_ros.review.app import create_app
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.store import SessionStore
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_json, odd_words
from rigs.review import TOKEN

BODIES = {
    "labels": {"window_id": 0, "value": "low", "annotator": "C1", "note": "", "request": "request-1"},
    "undo": {"window_id": 0, "annotator": "C1", "request": "request-2"},
    "use": {"version": "1"},
    "rollback": {"version": "1"},
    "start": {"participant": "P017", "privacy": "clips"},
    "flag": {"reason": "look"},
    "unflag": {"window_id": 0},
    "stop": {},
    "personalise": {},
}
"""What a route takes, by the end of its path; a `window_id` becomes one that is there."""
JSON = {"Content-Type": "application/json"}
"""Without it a body is refused before anybody looks into it."""
ENDLESS = ("get", "/api/live")
"""States of the graph, until the page is closed: nothing in this request is read."""
BESIDE = ("get", "/static/{file}")
"""Mounted, and no route: files below a folder."""
QUERIES = st.dictionaries(st.sampled_from(["annotator", "blind", "points", "token", "x"]), odd_words(), max_size=3)


@pytest.fixture(scope="module")
def routes(session: SessionFolder) -> list[tuple[str, str]]:
    app = create_app(session.path.parent, TOKEN)
    described = [(method, path) for path, of_path in app.openapi()["paths"].items() for method in of_path]
    pages = [("get", route.path) for route in app.routes if isinstance(route, APIRoute) and not route.include_in_schema]
    return [route for route in (*described, *pages, BESIDE) if route != ENDLESS]


@fuzz(st.data())
def test_a_route_that_is_asked_for_anything(server, routes, session: SessionFolder, data):
    method, path = data.draw(st.sampled_from(routes))
    with SessionStore(session.labels) as store:
        flag = store.flags()[0].window_id
    words = {"name": session.name, "window_id": str(flag), "code": "P017", "file": "base.css"}

    def filled(match: re.Match[str]) -> str:
        right = words.get(match[1], "x")
        word = data.draw(st.just(right) | odd_words())
        return quote(word.encode("utf-8", "replace"), safe="")

    address = re.sub(r"\{(\w+)\}", filled, path)
    body = data.draw(_as_it_is_or_damaged(path, flag)) if method != "get" else None
    query = {name: word.encode("utf-8", "replace") for name, word in data.draw(QUERIES).items()}
    answer = server.reviewer.request(
        method, address, params=query, content=body, headers=JSON if body else {}, follow_redirects=False
    )
    assert answer.status_code != 500, (method, address, answer.text)
    assert "Traceback" not in answer.text


def _as_it_is_or_damaged(path: str, flag: int) -> SearchStrategy[bytes]:
    """What the route takes, or another one."""
    own = BODIES[path.rpartition("/")[2]]
    wanted, another = ({**body, "window_id": flag} if "window_id" in body else body for body in (own, BODIES["labels"]))
    return st.just(json.dumps(wanted).encode()) | damaged_json(wanted) | damaged_json(another)


def test_every_route_is_asked(routes):
    asked = {"/api/sessions", "/api/sessions/{name}/labels", "/session/{name}/report", "/session/{name}", "/"}
    asked |= {"/api/live/flag", "/api/participants/{code}/personalise", "/static/{file}"}
    assert asked <= {path for _, path in routes}
