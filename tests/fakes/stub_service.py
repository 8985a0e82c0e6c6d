"""A service that answers what it is told and remembers what it was asked."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
from aiohttp import web


class Received(NamedTuple):
    """A request as it arrived."""

    method: str
    target: str
    """Path and query, byte for byte."""
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes


class Reply(NamedTuple):
    """What to answer."""

    status: int = 200
    body: bytes = b'{"output":null}'
    headers: Mapping[str, str] = {}


def output(value: object) -> Reply:
    """Answer an action of a client that speaks JSON."""
    return Reply(body=json.dumps({"output": value}).encode())


def error(
    identity: str, *, message: str = "no", status: int = 503, by_actor: bool = False
) -> Reply:
    """Answer with an error, as a gateway does or as an actor."""
    group, _, code = identity.partition(".")
    body = json.dumps({"group": group, "code": code, "message": message}).encode()
    source = {"x-rivet-actor": "a1"} if by_actor else {"x-rivet-error": identity}
    return Reply(status, body, {"content-type": "application/json", **source})


HANG_UP = Reply(status=0)
"""Close the connection instead of answering."""


class StubService:
    """Listens on a free port inside ``async with``."""

    def __init__(self, metadata: Mapping[str, Any] | None = None) -> None:
        self.endpoint = ""
        self.received: list[Received] = []
        """Everything except look-ups of metadata."""
        self.lookups: list[Received] = []
        self.metadata: deque[Reply] = deque([Reply(body=msgspec.json.encode(metadata or {}))])
        """What look-ups are answered; the last one stays."""
        self._replies: deque[Reply] = deque([Reply()])

    def will_answer(self, *replies: Reply) -> None:
        """Answer the next requests so, and all after them like the last."""
        self._replies = deque(replies)

    async def __aenter__(self) -> StubService:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0]
        self.endpoint = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        received = Received(request.method, request.raw_path, request.headers, await request.read())
        is_lookup = request.path.endswith("/metadata")
        (self.lookups if is_lookup else self.received).append(received)
        replies = self.metadata if is_lookup else self._replies
        reply = replies.popleft() if len(replies) > 1 else replies[0]
        if reply is HANG_UP:
            assert request.transport
            request.transport.abort()
        return web.Response(
            status=reply.status or 500, body=reply.body, headers=dict(reply.headers)
        )
