"""The actors that stood behind the recorded connections and raw requests, written again.

Names, events, errors and the shapes of what they return are those of the recordings.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from stator import Actor, Conn, Request, Response, UserError, WebSocket, action, setup
from stator.runtime.protocol.kinds import is_object

TYPES: dict[str, Any] = {
    "u": None,
    "n": None,
    "b": b"\x01\x02\x03",
    "big": 12345678901234567890,
    "small": 5,
    "d": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    "m": {"a": 1},
    "s": {1, 2},
    "f": 1.5,
    "i": 300,
    "neg": -1,
    "large": 4294967296,
    "max": 9007199254740991,
    "nan": float("nan"),
    "str": "héllo",
    "dollar": ["$x", 1],
    "nested": [[1, [2]]],
}


class Counter(Actor):
    """The actor ``counter``."""

    state: int = 0

    def on_before_connect(self, params: Any) -> None:
        match params:
            case {"deny": True}:
                raise UserError("no entry", code="denied", metadata={"why": "params"})
            case {"boom": True}:
                raise RuntimeError("secret boom")
            case _:
                return

    def create_conn_state(self, params: Any) -> Any:
        return {"p": _sorted(params)}

    def _caller(self) -> Conn:
        assert self.conn is not None
        return self.conn

    @action
    def increment(self, amount: int = 1) -> int:
        self.state += amount
        self.broadcast("newCount", self.state)
        return self.state

    @action
    def get(self) -> int:
        return self.state

    @action
    def nothing(self) -> None:
        return None

    @action
    def fire(self, *args: Any) -> str:
        self.broadcast("multi", *args)
        return "ok"

    @action
    def echo(self, *args: Any) -> Any:
        return list(args)

    @action
    def types(self) -> Any:
        return TYPES

    @action(name="failUser")
    def fail_user(self) -> None:
        raise UserError("user visible", code="my_code", metadata={"a": 1})

    @action
    def fail(self) -> None:
        raise RuntimeError("secret boom")

    @action
    def params(self) -> dict[str, Any]:
        conn = self._caller()
        return {"params": _sorted(conn.params), "connId": conn.id, "st": conn.state}

    @action
    async def disc(self) -> None:
        await self._caller().disconnect("go.away")

    @action
    def big(self, size: int) -> str:
        return "x" * size

    @action(timeout=0.1)
    async def slow(self, _milliseconds: int) -> None:
        await self.abort_signal.wait()

    @action(name="sleepNow")
    def sleep_now(self) -> str:
        self.sleep()
        return "zzz"

    @action(name="destroy")
    def destroy_counter(self) -> str:
        self.destroy()
        return "bye"

    async def on_request(self, request: Request) -> Response:
        if request.path == "/boom":
            raise RuntimeError("secret boom")
        if request.path == "/userboom":
            raise UserError("visible", code="vis", metadata={"x": 1})
        said = {
            "method": request.method,
            "url": request.url,
            "pathname": request.path,
            "search": f"?{request.raw_query}" if request.raw_query else "",
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "bodyHex": (await request.body()).hex(),
        }
        headers = {"x-custom": "yes", "content-type": "application/json"}
        status = 418 if request.path == "/teapot" else 200
        return Response(json.dumps(said, separators=(",", ":")), status, headers)

    def greeting(self, request: Request) -> dict[str, Any]:
        """Return what a raw WebSocket is told first."""
        query = f"?{request.raw_query}" if request.raw_query else ""
        url = f"http://127.0.0.1/websocket{request.path}{query}"
        return {"hello": True, "url": url, "proto": request.headers["sec-websocket-protocol"]}

    async def on_websocket(self, ws: WebSocket) -> None:
        greeting = json.dumps(self.greeting(ws.request), separators=(",", ":"))
        await ws.send(greeting)
        async for message in ws:
            if message == "close-me":
                await ws.close(4321, "bye.now")
            else:
                await ws.send(message)


def _sorted(params: Any) -> Any:
    """Members by name: the peer's server orders them so."""
    return dict(sorted(params.items())) if is_object(params) else params


class Counter217(Counter):
    """The actor ``counter`` of the recordings of 2.1.7."""

    @action
    def params(self) -> dict[str, Any]:
        conn = self._caller()
        return {"params": conn.params, "connId": conn.id}

    def greeting(self, request: Request) -> dict[str, Any]:
        query = f"?{request.raw_query}" if request.raw_query else ""
        path = f"/gateway/{self.actor_id}/websocket{request.path}{query}"
        return {"hello": True, "url": f"http://localhost{path}"}


class Chat(Actor):
    """The actor ``chat``, which has no handlers for raw requests."""

    @action
    def get(self) -> int:
        return 0


registry = setup(use={"counter": Counter, "counter217": Counter217, "chat": Chat})
