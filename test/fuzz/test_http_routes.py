"""Every route of the pages, from their OpenAPI description, asked with what no page sends: refused, never 500."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import strategies as st

from mmal_ros.review.app import create_app
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.store import SessionStore
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_json, odd_words
from rigs.review import TOKEN

BODIES = (
    {"window_id": 17_951_688_060, "value": "low", "annotator": "C1", "note": "", "request": "request-1"},
    {"window_id": 17_951_688_060, "annotator": "C1", "request": "request-2"},
    {"version": "1"},
    {"participant": "P017", "privacy": "clips"},
    {"reason": "look"},
)
STARTS_A_PROCESS = ("post", "/api/participants/{code}/personalise")
QUERIES = st.dictionaries(st.sampled_from(["annotator", "blind", "points", "token", "x"]), odd_words(), max_size=3)


@pytest.fixture(scope="module")
def routes(session: SessionFolder) -> list[tuple[str, str]]:
    paths = create_app(session.path.parent, TOKEN).openapi()["paths"]
    every = [(method, path) for path, of_path in paths.items() for method in of_path]
    return [route for route in every if route != STARTS_A_PROCESS]


@fuzz(st.data())
def test_a_route_that_is_asked_for_anything(server, routes, session: SessionFolder, data):
    method, path = data.draw(st.sampled_from(routes))
    with SessionStore(session.labels) as store:
        flag = store.flags()[0].window_id
    words = {"name": session.name, "window_id": str(flag), "code": "P017"}

    def filled(match: re.Match[str]) -> str:
        right = words.get(match[1], "x")
        word = data.draw(st.just(right) | odd_words())
        return quote(word.encode("utf-8", "replace"), safe="")

    address = re.sub(r"\{(\w+)\}", filled, path)
    body = data.draw(st.sampled_from(BODIES).flatmap(damaged_json)) if method != "get" else None
    query = {name: word.encode("utf-8", "replace") for name, word in data.draw(QUERIES).items()}
    answer = server.reviewer.request(method, address, params=query, content=body, follow_redirects=False)
    assert answer.status_code != 500, (method, address, answer.text)
    assert "Traceback" not in answer.text


def test_every_route_is_asked(routes):
    assert {"/api/sessions", "/api/sessions/{name}/labels"} <= {path for _, path in routes}
