"""Errors of the gateway itself as responses: JSON, whatever encoding was asked for (9.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from stator.runtime.error_views import ErrorView, public_view
from stator.runtime.errors import KnownError

from .answers import json_response
from .backends import RefusedByWorker


def body_of(view: ErrorView) -> dict[str, Any]:
    """Return the members of an error body; ``metadata`` only when there is some."""
    body: dict[str, Any] = {"group": view.group, "code": view.code, "message": view.message}
    if view.metadata is not None:
        body["metadata"] = view.metadata
    return body


def problem_response(
    error: BaseException, headers: Mapping[str, str], *, is_gateway: bool
) -> web.Response:
    """Return the response for ``error``; the gateway family says its code in a header too."""
    view = _gateway_view(error)
    marked = dict(headers)
    if is_gateway:
        marked["x-rivet-error"] = f"{view.group}.{view.code}"
    return json_response(body_of(view), status=view.status, headers=marked)


def _gateway_view(error: BaseException) -> ErrorView:
    if isinstance(error, (KnownError, RefusedByWorker)):
        # Made by stator for callers, here or in a worker: nothing in it is to be hidden.
        return ErrorView(error.group, error.code, error.message, error.metadata, error.status)
    return public_view(error)
