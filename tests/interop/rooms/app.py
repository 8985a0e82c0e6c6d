"""The actors that the official clients connect to in the interoperability tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import msgspec

from stator import (
    Actor,
    ActorError,
    Conn,
    Event,
    Options,
    Request,
    Response,
    UserError,
    WebSocket,
    action,
    setup,
)


class Refusing(Actor):
    """Asks at the door; what it is told in the connection parameters decides."""

    def on_before_connect(self, params: Any) -> None:
        match params:
            case {"deny": True}:
                raise UserError("no entry", code="denied", metadata={"why": "params"})
            case {"forbid": True}:
                raise ActorError("Members only.", group="auth", code="forbidden")
            case {"boom": True}:
                raise RuntimeError("the password is swordfish")
            case _:
                return


class RoomState(msgspec.Struct):
    """What a room remembers: of connections only those that stay open."""

    count: int = 0
    wakes: int = 0
    joined: list[str] = []
    left: list[str] = []


class Point(msgspec.Struct):
    """A typed argument."""

    x: int


def _is_admin(_actor: Any, conn: Any) -> bool:
    return bool(conn.params) and conn.params.get("role") == "admin"


class Room(Refusing):
    """A room with everything that connections can do."""

    state: RoomState

    message = Event[str]()
    secret = Event[str](can_subscribe=_is_admin)

    def create_conn_state(self, params: Any) -> dict[str, Any]:
        return {"params": params, "calls": 0}

    def on_wake(self) -> None:
        self.state.wakes += 1

    def on_connect(self, conn: Conn) -> None:
        if not conn.is_hibernatable:  # a call over HTTP
            return
        self.state.joined.append(conn.id)
        if conn.params and "greeting" in conn.params:
            conn.send("greeting", conn.params["greeting"])

    def on_disconnect(self, conn: Conn) -> None:
        if conn.is_hibernatable:
            self.state.left.append(conn.id)

    def _caller(self) -> Conn:
        assert self.conn is not None
        return self.conn

    @action
    def whoami(self) -> dict[str, Any]:
        conn = self._caller()
        return {"id": conn.id, "params": conn.params, "actor": self.actor_id, "key": self.key}

    @action
    def remembered(self) -> Any:
        return self._caller().state

    @action
    def count_calls(self) -> int:
        conn = self._caller()
        conn.state["calls"] += 1
        calls: int = conn.state["calls"]
        return calls

    @action
    def increment(self, amount: int = 1) -> int:
        self.state.count += amount
        self.broadcast("count", self.state.count)
        return self.state.count

    @action
    def history(self) -> dict[str, Any]:
        return {
            "wakes": self.state.wakes,
            "joined": list(self.state.joined),
            "left": list(self.state.left),
            "present": [conn.id for conn in self.conns.values() if conn.is_hibernatable],
        }

    @action
    def fire(self, name: str, *args: Any) -> str:
        self.broadcast(name, *args)
        return "fired"

    @action
    def say(self, text: str) -> None:
        self.broadcast(self.message, text)

    @action
    def tell(self, conn_id: str, name: str, *args: Any) -> None:
        self.conns[conn_id].send(name, *args)

    @action
    async def dismiss(self, conn_id: str, reason: str | None = None) -> None:
        await self.conns[conn_id].disconnect(reason)

    @action
    def fall_asleep(self) -> None:
        self.sleep()

    @action(name="destroy")
    def destroy_room(self) -> None:
        self.destroy()

    # -- values and errors, as over HTTP

    @action
    def value(self, value: Any = None) -> Any:
        return value

    @action
    def described(self, value: Any) -> list[str]:
        return [type(value).__name__, repr(value)]

    @action
    def typed(self, point: Point) -> int:
        return point.x

    @action
    def text_of(self, length: int) -> str:
        return "x" * length

    @action
    def fire_text_of(self, name: str, length: int) -> None:
        self.broadcast(name, "x" * length)

    @action
    def length_of(self, text: str) -> int:
        return len(text)

    @action
    def fail_for_the_user(self, metadata: Any = None) -> None:
        raise UserError("You may not.", code="not_allowed", metadata=metadata)

    @action
    def fail_unexpectedly(self) -> None:
        raise RuntimeError("the password is swordfish")

    @action(timeout=0.1)
    async def outlast_its_time(self) -> None:
        await self.abort_signal.wait()

    @action
    async def wait_for_the_end(self) -> None:
        await self.abort_signal.wait()


class Site(Refusing):
    """Answers raw HTTP; ``go_on`` lets a stream send its next part."""

    parts: asyncio.Semaphore
    cancellations: int

    def on_wake(self) -> None:
        self.parts = asyncio.Semaphore(0)
        self.cancellations = 0

    @action
    def cancelled(self) -> int:
        return self.cancellations

    @action
    def go_on(self) -> None:
        self.parts.release()

    async def on_request(self, request: Request) -> Response:
        head, _, rest = request.path.removeprefix("/").partition("/")
        if head == "status":
            return Response(b"" if rest == "204" else f"status {rest}", status=int(rest))
        if head == "parts":
            return Response(self._parts(), headers={"content-type": "text/plain"})
        if head == "events":
            return Response(self._events(), headers={"content-type": "text/event-stream"})
        if head == "denied":
            raise UserError("visible", code="vis", metadata={"x": 1})
        if head == "breaks":
            raise RuntimeError("the password is swordfish")
        if head == "upload":
            sizes = [len(part) async for part in request.stream()]
            return Response.json({"total": sum(sizes)})
        return Response.json(await _mirrored(request))

    async def _parts(self) -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"part {number};".encode()
            await self.parts.acquire()

    async def _events(self) -> AsyncIterator[bytes]:
        try:
            for number in count():
                yield f"id: {number}\ndata: tick {number}\n\n".encode()
                await self.parts.acquire()
        finally:
            self.cancellations += 1


async def _mirrored(request: Request) -> dict[str, Any]:
    body = await request.body()
    return {
        "method": request.method,
        "path": request.path,
        "raw_query": request.raw_query,
        "url": request.url,
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "text": body.decode("latin-1"),
    }


class Wire(Refusing):
    """Answers raw WebSockets; those below ``/kept`` outlast the sleep of the actor."""

    options = Options(can_hibernate_websocket=lambda request: request.path.startswith("/kept"))
    state: dict[str, list[Any]] = {"closed": []}  # noqa: RUF012 - a state, copied for each actor

    async def on_websocket(self, ws: WebSocket) -> None:
        if ws.path.startswith("/breaks"):
            raise RuntimeError("the password is swordfish")
        if ws.path.startswith("/goodbye"):
            await ws.close(4321, "bye.now")
            return
        if ws.path.startswith("/greets"):
            await ws.send(self._greeting(ws))
        async for message in ws:
            await self._answer(ws, message)
        self.state["closed"].append([ws.close_code, ws.close_reason])

    def _greeting(self, ws: WebSocket) -> str:
        url = ws.request.url if ws.request else None
        known = {"path": ws.path, "url": url, "params": ws.conn.params, "restored": ws.restored}
        return msgspec.json.encode(known).decode()

    async def _answer(self, ws: WebSocket, message: str | bytes) -> None:
        if message == "leave":
            await ws.close(4321, "bye.now")
        elif message == "restored?":
            await ws.send(f"{ws.restored} {ws.conn.id}")
        else:
            await ws.send(message)

    @action
    def closed(self) -> list[Any]:
        return self.state["closed"]

    @action
    def fall_asleep(self) -> None:
        self.sleep()


class Plain(Actor):
    """Answers actions only."""

    @action
    def get(self) -> int:
        return 0


registry = setup(use={"room": Room, "site": Site, "wire": Wire, "plain": Plain})
