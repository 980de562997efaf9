"""Every route of the pages as Schemathesis reads their OpenAPI description: what it allows, and what it does not.

Beside `test_http_routes`, which knows what hurts us: here requests follow the schemas, and answers must keep to them.
"""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from mmal_ros.review.app import create_app
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.store import SessionStore
from rigs.fuzzing import fuzz
from rigs.review import TIMEOUT_S, TOKEN

CHECKS = [
    not_a_server_error, negative_data_rejection, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip
ENDLESS = "GET /api/live"  # states of the graph until the page is closed: Schemathesis would wait for the last one


@pytest.fixture(scope="module")
def operations(session: SessionFolder) -> list:
    """What the description says that one can ask for."""
    schema = schemathesis.openapi.from_dict(create_app(session.path.parent, TOKEN).openapi())
    found = [result.ok() for result in schema.get_all_operations()]
    return [operation for operation in found if operation.label != ENDLESS]


@fuzz(st.data())
def test_answers_keep_to_the_description(server, operations, session: SessionFolder, data):
    with SessionStore(session.labels) as store:
        flag = store.flags()[0].window_id
    there = {"name": session.name, "window_id": flag, "code": "P017"}
    operation = data.draw(st.sampled_from(operations))
    named = {parameter.name for parameter in operation.path_parameters}
    path = data.draw(st.sampled_from([None, {name: value for name, value in there.items() if name in named}]))
    mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case = data.draw(operation.as_strategy(mode, path_parameters=path or None))
    answer = case.call(base_url=server.address, cookies=dict(server.reviewer.cookies), timeout=TIMEOUT_S)
    case.validate_response(answer, checks=CHECKS)


def test_every_operation_is_asked(operations):
    asked = {"GET /api/sessions", "POST /api/sessions/{name}/labels", "POST /api/live/flag"}
    assert asked <= {operation.label for operation in operations}
