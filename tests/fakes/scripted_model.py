"""A chat-completion server that says what a test has written, when the test lets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from aiohttp import web

Piece = dict[str, Any] | bytes
"""What the model adds to its answer (a ``delta``), or bytes as they are."""


def call_of(name: str, **arguments: str) -> Piece:
    """Return the piece by which a model asks for a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"index": 0, "id": f"call-{name}", "function": function}]}


def words(*pieces: str) -> list[Piece]:
    """Return the pieces of an answer in words."""
    return [{"content": piece} for piece in pieces]


class ScriptedModel:
    """Gives its answers in order, the last one again and again; as a context it listens.

    An answer is a list of pieces, or a status with which it refuses. While ``gate`` is cleared it
    stands still before each piece but the first.
    """

    def __init__(self, *answers: Sequence[Piece] | int) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        """The bodies of all requests."""
        self.keys: list[str] = []
        """Their ``authorization``."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.base_url = ""

    async def __aenter__(self) -> ScriptedModel:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("authorization", ""))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, int):
            return web.Response(status=answer, text="not now", headers={"retry-after": "0"})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number, piece in enumerate(answer):
            if number:
                await self.gate.wait()
            await response.write(piece if isinstance(piece, bytes) else _event(piece))
        if not isinstance(answer[-1], bytes):
            await response.write(b"data: [DONE]\n\n")
        return response


def _event(delta: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"
