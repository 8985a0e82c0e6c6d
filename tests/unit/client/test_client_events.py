"""Events of a connection: callbacks, iterations, types, and consumers that are too slow."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, assert_type

import msgspec
import pytest

from stator import Actor, ActorError, setup
from stator import Event as Declaration
from stator.client.connection import Connection
from stator.client.listeners import EventStream
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    Event,
    SubscriptionRequest,
    ToServer,
)
from tests.fakes.stub_connections import Peer, StubConnections
from tests.unit.client.conftest import TimelessClient

Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]


class Line(msgspec.Struct):
    text: str
    number: int = 0


class Room(Actor, rename="camel"):
    new_line = Declaration[Line]()
    moved = Declaration[tuple[int, str]]()
    cleared = Declaration[None]()
    renamed = Declaration[str](name="room.renamed")


class Hall(Room, rename="camel"):
    pass


class Plain(Actor):
    new_line = Declaration[str]()


class Camel(Plain, rename="camel"): ...


setup(use={"room": Room, "hall": Hall, "plain": Plain, "camel": Camel})


@asynccontextmanager
async def opened(
    connect: Connect, actor: str | type[Actor] = "room"
) -> AsyncGenerator[tuple[Connection, Peer, StubConnections]]:
    """Give an open connection and its other end."""
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get(actor).connect()
        peer = await stub.accept()
        await peer.init()
        await conn.ready()
        yield conn, peer, stub


class Echoes:
    """Asks the other end for events and knows when they have arrived."""

    def __init__(self, conn: Connection, peer: Peer) -> None:
        self._conn = conn
        self._peer = peer
        self.heard: list[ToServer] = []
        """What the other end heard besides."""

    async def raise_events(self, *events: Event) -> None:
        """Return once the client has taken the events."""
        call = asyncio.create_task(self._conn.call("echo"))
        while not isinstance(message := await self._peer.hear(), ActionRequest):
            self.heard.append(message)
        await self._peer.say(*events, ActionResponse(message.id, None))
        await call


async def test_callbacks_get_the_arguments_of_an_event(connect: Connect) -> None:
    seen: list[tuple[Any, ...]] = []
    async with opened(connect) as (conn, peer, _):
        conn.on("e", lambda *args: seen.append(args))
        conn.on("other", lambda *args: seen.append(args))
        echoes = Echoes(conn, peer)
        await echoes.raise_events(Event("e", []), Event("e", [1]), Event("e", [1, {"a": None}]))
        assert seen == [(), (1,), (1, {"a": None})]
        assert echoes.heard == [SubscriptionRequest("e", True), SubscriptionRequest("other", True)]


async def test_the_last_listener_ends_the_subscription(connect: Connect) -> None:
    seen: list[str] = []
    async with opened(connect) as (conn, peer, _):
        first = conn.on("e", lambda: seen.append("first"))
        second = conn.on("e", lambda: seen.append("second"))
        echoes = Echoes(conn, peer)
        first()
        first()
        await echoes.raise_events(Event("e", []))
        second()
        await echoes.raise_events(Event("e", []))
        assert seen == ["second"]
        assert echoes.heard == [SubscriptionRequest("e", True), SubscriptionRequest("e", False)]


async def test_once_hears_one_event(connect: Connect) -> None:
    seen: list[int] = []
    async with opened(connect) as (conn, peer, _):
        conn.once("e", seen.append)
        remove = conn.once("e", seen.append)
        remove()
        echoes = Echoes(conn, peer)
        await echoes.raise_events(Event("e", [1]), Event("e", [2]))
        await echoes.raise_events()
        assert seen == [1]
        assert echoes.heard == [SubscriptionRequest("e", True), SubscriptionRequest("e", False)]


async def test_listeners_survive_a_reconnection(connect: Connect) -> None:
    seen: list[int] = []
    async with opened(connect) as (conn, peer, stub):
        conn.on("e", seen.append)
        stream = conn.events("e")
        peer.drop()
        peer = await stub.accept()
        await peer.init()
        assert await peer.hear() == SubscriptionRequest("e", True)
        await peer.say(Event("e", [1]))
        assert (await anext(stream), seen) == (1, [1])


async def test_a_listener_that_is_removed_by_another_one_hears_nothing(connect: Connect) -> None:
    seen: list[str] = []
    removals: list[Callable[[], None]] = []
    async with opened(connect) as (conn, peer, _):
        conn.on("e", lambda: removals[0]())
        removals.append(conn.on("e", lambda: seen.append("removed")))
        await Echoes(conn, peer).raise_events(Event("e", []))
        assert seen == []


async def test_a_callback_that_raises_is_reported_and_the_others_run(connect: Connect) -> None:
    seen: list[int] = []
    reports: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reports.append(context["exception"])
    )

    def fail(_: int) -> None:
        raise KeyError("plain")

    async def fail_later(_: int) -> None:
        raise KeyError("async")

    async with opened(connect) as (conn, peer, _):
        conn.on("e", fail)
        conn.on("e", fail_later)
        conn.on("e", seen.append)
        await Echoes(conn, peer).raise_events(Event("e", [1]))
        assert seen == [1]
        assert sorted(repr(error) for error in reports) == [
            "KeyError('async')",
            "KeyError('plain')",
        ]


async def test_a_coroutine_function_may_call_over_its_connection(connect: Connect) -> None:
    done = asyncio.Event()

    async with opened(connect) as (conn, peer, _):

        async def answer(text: str) -> None:
            await conn.reply(text)
            done.set()

        conn.on("e", answer)
        await peer.hear()
        await peer.say(Event("e", ["hi"]))
        assert await peer.hear() == ActionRequest(0, "reply", ["hi"])
        await peer.say(ActionResponse(0, None))
        await done.wait()


async def test_an_iteration_gives_one_argument_as_it_is_and_several_as_a_tuple(
    connect: Connect,
) -> None:
    async with opened(connect) as (conn, peer, _):
        stream = conn.events("e")
        assert_type(stream, EventStream[Any])
        await peer.say(Event("e", [[1]]), Event("e", [1, "a"]), Event("e", []))
        assert [await anext(stream) for _ in range(3)] == [[1], (1, "a"), None]


async def test_an_iteration_may_be_left_and_listens_no_more(connect: Connect) -> None:
    async with opened(connect) as (conn, peer, _):
        echoes = Echoes(conn, peer)
        await peer.say(Event("e", [1]))
        async for payload in conn.events("e"):
            assert payload == 1
            break
        else:
            pytest.fail("ended")
        gc.collect()
        await echoes.raise_events(Event("e", [2]))
        await echoes.raise_events()
        assert echoes.heard[-1] == SubscriptionRequest("e", False)


async def test_closing_an_iteration_ends_it_at_once(connect: Connect) -> None:
    async with opened(connect) as (conn, peer, _):
        stream = conn.events("e")
        echoes = Echoes(conn, peer)
        await echoes.raise_events(Event("e", [1]))
        await stream.aclose()
        assert [payload async for payload in stream] == []
        await echoes.raise_events()
        assert echoes.heard[-1] == SubscriptionRequest("e", False)


async def test_a_cancelled_step_loses_nothing(connect: Connect) -> None:
    async with opened(connect) as (conn, peer, _):
        stream = conn.events("e")
        step = asyncio.ensure_future(anext(stream))
        await Echoes(conn, peer).raise_events()
        step.cancel()
        await asyncio.wait([step])
        await peer.say(Event("e", [1]))
        assert await anext(stream) == 1


async def test_an_iteration_that_falls_behind_gives_what_it_kept_and_fails(
    connect: Connect,
) -> None:
    async with opened(connect) as (conn, peer, _):
        slow = conn.events("e", limit=2)
        other = conn.events("e")
        echoes = Echoes(conn, peer)
        await echoes.raise_events(*(Event("e", [number]) for number in range(4)))
        assert [await anext(slow), await anext(slow)] == [0, 1]
        with pytest.raises(ActorError, match="2 events 'e' were waiting") as caught:
            await anext(slow)
        assert (caught.value.group, caught.value.code) == ("client", "consumer_too_slow")
        assert [await anext(other) for _ in range(4)] == [0, 1, 2, 3]


async def test_a_fast_iteration_keeps_up_with_a_burst(connect: Connect) -> None:
    async with opened(connect) as (conn, peer, _):
        stream = conn.events("e", limit=150)
        burst = asyncio.create_task(peer.say(*(Event("e", [number]) for number in range(3000))))
        assert [await anext(stream) for _ in range(3000)] == list(range(3000))
        await burst


async def test_a_limit_keeps_at_least_one_event(connect: Connect) -> None:
    async with opened(connect) as (conn, _, _):
        with pytest.raises(ValueError, match="at least 1"):
            conn.events("e", limit=0)


async def test_declared_events_have_their_types(connect: Connect) -> None:
    seen: list[Any] = []

    def on_moved(steps: int, where: str) -> None:
        seen.append((steps, where))

    async with opened(connect, Room) as (conn, peer, _):
        lines = conn.events(Room.new_line)
        moves = conn.events(Room.moved)
        assert_type(lines, EventStream[Line])
        assert_type(moves, EventStream[tuple[int, str]])
        conn.on(Room.new_line, lambda line: seen.append(line.text))
        conn.on(Room.moved, on_moved)
        conn.on(Room.cleared, lambda: seen.append("cleared"))
        conn.once(Room.renamed, str.upper)
        conn.on("moved", on_moved)
        await Echoes(conn, peer).raise_events(
            Event("newLine", [{"text": "x", "number": 3}]),
            Event("moved", [2, "left"]),
            Event("cleared", []),
        )
        assert await anext(lines) == Line("x", 3)
        assert await anext(moves) == (2, "left")
        assert seen == ["x", (2, "left"), (2, "left"), "cleared"]


def mistakes(conn: Connection) -> None:
    """Each line is one that type checkers must find."""
    conn.on(Room.moved, str.upper)  # type: ignore[arg-type]
    conn.on(Room.new_line, str.upper)  # type: ignore[arg-type]
    conn.once(Room.cleared, str.upper)  # type: ignore[arg-type]
    conn.events(5)  # type: ignore[call-overload]


async def test_an_event_that_is_not_what_was_declared_is_an_error(connect: Connect) -> None:
    told: list[ActorError] = []
    async with opened(connect, Room) as (conn, peer, _):
        conn.on(Room.new_line, print)
        conn.on_error(told.append)
        lines = conn.events(Room.new_line)
        await peer.say(Event("newLine", [5]), Event("newLine", [{"text": "good"}]))
        with pytest.raises(ActorError, match="newLine") as caught:
            await anext(lines)
        assert await anext(lines) == Line("good")
        assert {error.code for error in (*told, caught.value)} == {"validation_error"}


@pytest.mark.parametrize(
    ("actor", "event", "name"),
    [
        (Room, Room.new_line, "newLine"),
        (Room, Room.renamed, "room.renamed"),
        (Hall, Room.new_line, "newLine"),
        (Plain, Plain.new_line, "new_line"),
        (Camel, Plain.new_line, "newLine"),
        ("room", Room.new_line, "newLine"),
        ("room", "as.it is", "as.it is"),
    ],
)
async def test_an_event_has_the_name_it_has_in_the_class_of_the_handle(
    connect: Connect, actor: str | type[Actor], event: Any, name: str
) -> None:
    async with opened(connect, actor) as (conn, peer, _):
        conn.on(event, print)
        assert await peer.hear() == SubscriptionRequest(name, True)


async def test_an_event_of_no_class_has_no_name(connect: Connect) -> None:
    async with opened(connect) as (conn, _, _):
        with pytest.raises(LookupError, match="not declared"):
            conn.on(Declaration[str](), print)
