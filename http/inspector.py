"""The inspector: what tools may ask of one actor (inspector page, sections 2 to 4).

Rule 1. The token is checked before anything else is said, also about routes that do not exist.
Rule 2. What is read wakes nobody (``shards/workflows/looks.py``).
Rule 3. ``workflow/{verb}`` in msgpack is what our own clients speak: the body goes to the worker
        and its answer to the client as they are. The rest is JSON.
Rule 4. Errors have all members of the peer's: ``metadata`` is null without any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from stator.runtime.config import Config
from stator.runtime.errors import ActorError, InvalidRequest, KnownError, MethodNotAllowed
from stator.runtime.inspector_errors import InspectorRouteNotFound
from stator.runtime.link.frames import ControlWorkflow
from stator.runtime.workflow.entries import RunStatus
from stator.runtime.workflow_control import HistoryRecord, StatusRecord, Verb
from stator.runtime.workflow_errors import NotFinished, NoWorkflow, RunCancelled, RunFailed

from .answers import json_response
from .auth import Gatekeeper, bearer_of
from .backends import Backends, RefusedByWorker, payload_of
from .bodies import read_message
from .cors import CrossOrigin
from .inspector_bodies import check_arguments, read_arguments, read_entry_id
from .routes import ActorRoute, resolution_of
from .workflow_history import NO_WORKFLOW, peer_history
from .workflow_views import show_history, show_status

MSGPACK = "application/msgpack"
LARGE_BYTES = 256 * 1024
"""An answer of more bytes becomes JSON in a thread, so that it holds up nobody else."""

Place = Callable[[web.BaseRequest, ActorRoute], Awaitable[tuple[str, int]]]
"""Returns the key and the shard of a route."""
Handler = Callable[[web.BaseRequest, ActorRoute], Awaitable[web.Response]]

_VERBS = {verb.name.lower(): verb for verb in Verb}
_decode_status = msgspec.msgpack.Decoder(StatusRecord).decode
_decode_history = msgspec.msgpack.Decoder(HistoryRecord).decode


class Inspector:
    """Serves the routes under ``/inspector`` of actors."""

    def __init__(
        self,
        config: Config,
        backends: Backends,
        gatekeeper: Gatekeeper,
        cross_origin: CrossOrigin,
        place: Place,
    ) -> None:
        self._backends = backends
        self._gatekeeper = gatekeeper
        self._cross_origin = cross_origin
        self._place = place
        self._max_body = config.limits.max_incoming_message_size
        self._patience_s = config.server.header_timeout
        self._routes: dict[str, dict[str, Handler]] = {
            "workflow-history": {"GET": self._peer_history},
            "workflow/replay": {"POST": self._replay},
            "workflow/output": {"GET": self._output},
        }
        for name, verb in _VERBS.items():
            self._routes[f"workflow/{name}"] = {"POST": self._verb(verb)}
        for verb in (Verb.STATUS, Verb.HISTORY):
            self._routes[f"workflow/{verb.name.lower()}"]["GET"] = self._look(verb)

    async def serve(self, request: web.BaseRequest, route: ActorRoute, ray_id: str) -> web.Response:
        """Answer a request. Raises what is wrong with its body's transfer, or with stator."""
        try:
            response = await self._serve(request, route)
        except (KnownError, RefusedByWorker) as error:
            if error.group == "guard":
                raise
            response = _problem(error)
        response.headers.update(self._cross_origin.gateway_headers(request.headers.get("origin")))
        response.headers["cache-control"] = "no-store"
        response.headers["referrer-policy"] = "no-referrer"
        response.headers["x-rivet-ray-id"] = ray_id
        return response

    async def _serve(self, request: web.BaseRequest, route: ActorRoute) -> web.Response:
        headers = request.headers
        tokens = headers.get("x-rivet-token"), bearer_of(headers), route.token
        self._gatekeeper.check_inspector(token for token in tokens if token)
        methods = self._routes.get(route.inspector or "")
        if methods is None:
            raise InspectorRouteNotFound
        handler = methods.get(request.method)
        if handler is None:
            raise MethodNotAllowed(metadata={"method": request.method, "path": route.inner})
        return await handler(request, route)

    # -- our own routes

    def _verb(self, verb: Verb) -> Handler:
        async def handle(request: web.BaseRequest, route: ActorRoute) -> web.Response:
            body = await self._body(request)
            if request.content_type == MSGPACK:
                payload = await self._ask(request, route, verb, check_arguments(body))
                return web.Response(body=payload, content_type=MSGPACK)
            _check_is_json(request, body)
            payload = await self._ask(request, route, verb, read_arguments(verb, body))
            return await _shown(verb, payload)

        return handle

    def _look(self, verb: Verb) -> Handler:
        async def handle(request: web.BaseRequest, route: ActorRoute) -> web.Response:
            return await _shown(verb, await self._ask(request, route, verb))

        return handle

    async def _output(self, request: web.BaseRequest, route: ActorRoute) -> web.Response:
        record = _decode_status(await self._ask(request, route, Verb.STATUS))
        if record.status == RunStatus.FAILED:
            error = record.error
            text = None if error is None else f"the run failed: {error.name}: {error.message}"
            raise RunFailed(text)
        if record.status == RunStatus.CANCELLED:
            raise RunCancelled
        if record.status != RunStatus.COMPLETED:
            raise NotFinished(metadata={"status": record.status})
        return json_response({"output": show_status(record)["output"]})

    # -- the peer's

    async def _peer_history(self, request: web.BaseRequest, route: ActorRoute) -> web.Response:
        try:
            payload = await self._ask(request, route, Verb.HISTORY)
        except RefusedByWorker as error:
            if not _says_no_workflow(error):
                raise
            return json_response(NO_WORKFLOW)
        return await _rendered(payload, lambda: peer_history(_decode_history(payload)))

    async def _replay(self, request: web.BaseRequest, route: ActorRoute) -> web.Response:
        body = await self._body(request)
        _check_is_json(request, body)
        try:
            await self._ask(request, route, Verb.FORK, read_entry_id(body))
        except RefusedByWorker as error:
            if not _says_no_workflow(error):
                raise
            return json_response(NO_WORKFLOW)
        return await self._peer_history(request, route)

    # -- on the way to the worker

    async def _body(self, request: web.BaseRequest) -> bytes:
        return await read_message(request, self._max_body, self._patience_s)

    async def _ask(
        self, request: web.BaseRequest, route: ActorRoute, verb: Verb, body: bytes = b""
    ) -> bytes:
        """Return what the worker answers. Raises the error of a refusal."""
        key, shard = await self._place(request, route)
        link = self._backends.link_to(shard)
        frame = ControlWorkflow(
            link.next_id(),
            shard,
            resolution_of(route),
            route.namespace,
            route.name,
            key,
            verb,
            route.input,
        )
        return payload_of(await link.request(frame, body))


def _check_is_json(request: web.BaseRequest, body: bytes) -> None:
    """Raise for a body that says that it is something else."""
    if body and request.content_type != "application/json":
        raise InvalidRequest(
            f"the body is {request.content_type}: send application/json or {MSGPACK}"
        )


def _says_no_workflow(error: ActorError) -> bool:
    return (error.group, error.code) == NoWorkflow.known[:2]


async def _shown(verb: Verb, payload: bytes) -> web.Response:
    if verb is Verb.HISTORY:
        return await _rendered(payload, lambda: show_history(_decode_history(payload)))
    return await _rendered(payload, lambda: show_status(_decode_status(payload)))


async def _rendered(payload: bytes, render: Callable[[], Any]) -> web.Response:
    def encode() -> bytes:
        return msgspec.json.encode(render())

    body = encode() if len(payload) <= LARGE_BYTES else await asyncio.to_thread(encode)
    return web.Response(body=body, content_type="application/json")


def _problem(error: ActorError) -> web.Response:
    """Return an error with all its members (rule 4)."""
    body = {
        "group": error.group,
        "code": error.code,
        "message": error.message,
        "metadata": error.metadata,
    }
    named = {"x-rivet-error": f"{error.group}.{error.code}"}
    return json_response(body, status=error.status, headers=named)
