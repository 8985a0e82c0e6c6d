"""The gateway's own errors as responses (client-protocol, sections 9.1 to 9.3)."""

import json
from typing import Any

import pytest
from aiohttp import web

from stator.http.backends import RefusedByWorker, payload_of
from stator.http.problems import problem_response
from stator.runtime.errors import (
    ActorNotFound,
    ActorReadyTimeout,
    CallerError,
    KnownError,
    QueryDuplicateParam,
)
from stator.runtime.link.frames import Refusal, Result


def _body(response: web.Response) -> dict[str, Any]:
    assert response.content_type == "application/json"
    assert isinstance(response.body, bytes)
    return dict(json.loads(response.body))


def test_a_problem_of_the_gateway_says_its_code_in_body_and_header() -> None:
    response = problem_response(
        QueryDuplicateParam(metadata={"name": "rvt-key"}), {"x-ray": "r"}, is_gateway=True
    )
    assert response.status == 400
    assert _body(response) == {
        "group": "guard",
        "code": "query_duplicate_param",
        "message": "A routing parameter is given twice.",
        "metadata": {"name": "rvt-key"},
    }
    assert response.headers["x-rivet-error"] == "guard.query_duplicate_param"
    assert response.headers["x-ray"] == "r"


def test_a_problem_of_the_control_api_has_no_error_header() -> None:
    response = problem_response(ActorNotFound(), {}, is_gateway=False)
    assert response.status == 404
    assert "x-rivet-error" not in response.headers


def test_metadata_is_absent_rather_than_null() -> None:
    assert "metadata" not in _body(problem_response(ActorReadyTimeout(), {}, is_gateway=True))


def test_an_unexpected_exception_is_redacted() -> None:
    response = problem_response(RuntimeError("secret"), {}, is_gateway=True)
    assert response.status == 500
    assert _body(response) == {
        "group": "rivetkit",
        "code": "internal_error",
        "message": "An internal error occurred",
    }


def test_what_a_worker_refused_is_passed_on_as_it_is() -> None:
    refusal = Refusal(1, "shop", "sold_out", "Sold out", 409, {"left": 0})
    with pytest.raises(RefusedByWorker) as caught:
        payload_of((refusal, b""))
    response = problem_response(caught.value, {}, is_gateway=True)
    assert response.status == 409
    assert _body(response)["metadata"] == {"left": 0}
    assert payload_of((Result(1), b"x")) == b"x"


def _all(kind: type[KnownError]) -> list[type[KnownError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _all(child))]


@pytest.mark.parametrize("kind", _all(CallerError), ids=lambda kind: kind.__name__)
def test_every_error_of_a_caller_tells_its_caller_what_is_wrong(kind: type[KnownError]) -> None:
    response = problem_response(kind(), {}, is_gateway=True)
    assert _body(response)["message"] == " ".join((kind.__doc__ or "").split())
