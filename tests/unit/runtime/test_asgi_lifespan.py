"""The lifespan of an ASGI application: once, at the first request, without an end."""

import asyncio
import contextvars
from typing import Any

import pytest

from stator.asgi import AsgiApp
from stator.runtime.asgi_lifespan import Message, Receive, Send
from tests.fakes.raw_requests import Served, make_request

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("CALLER", default="nobody")


class Application:
    """Counts its starts and answers with what it finds in its state."""

    def __init__(self, *outcomes: Message | Exception) -> None:
        self.outcomes = list(outcomes) or [{"type": "lifespan.startup.complete"}]
        self.starts: list[Message] = []
        self.callers: list[str] = []
        self.states: list[dict[str, Any]] = []
        self.has_begun = asyncio.Event()
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
            return
        self.states.append(scope["state"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def live(self, scope: Message, receive: Receive, send: Send) -> None:
        self.starts.append(await receive())
        self.callers.append(CALLER.get())
        self.has_begun.set()
        await self.is_open.wait()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        scope["state"]["pool"] = "opened"
        scope["state"]["actor"] = "of the lifespan"
        await send(outcome)
        if outcome["type"] == "lifespan.startup.complete":
            await receive()
            raise AssertionError("there is no shutdown")


def levels(actor: Served) -> list[str]:
    return [line["level"] for line in actor.lines.lines]


async def test_a_lifespan_starts_with_the_first_request_and_once() -> None:
    app, actor = Application(), Served()
    serve = AsgiApp(app)
    assert app.starts == []

    await asyncio.gather(*(serve(actor, make_request()) for _ in range(3)))

    assert app.starts == [{"type": "lifespan.startup"}]


async def test_what_the_lifespan_keeps_reaches_each_request_as_a_copy() -> None:
    app, actor = Application(), Served()
    serve = AsgiApp(app)

    await serve(actor, make_request())
    app.states[0]["of this request"] = True
    await serve(actor, make_request())

    assert app.states[1] == {"pool": "opened", "actor": actor}


async def test_the_lifespan_is_not_part_of_the_first_request() -> None:
    app = Application()
    CALLER.set("the first")

    await AsgiApp(app)(Served(), make_request())

    assert app.callers == ["nobody"]


async def test_a_cancelled_first_request_leaves_the_start_alone() -> None:
    app, actor = Application(), Served()
    serve = AsgiApp(app)
    app.is_open.clear()
    first = asyncio.create_task(serve(actor, make_request()))
    second = asyncio.create_task(serve(actor, make_request()))
    await app.has_begun.wait()

    first.cancel()
    await asyncio.wait({first})
    app.is_open.set()

    assert (await second).status == 200
    assert len(app.starts) == 1


async def test_an_application_without_lifespan_is_served_without() -> None:
    app, actor = Application(NotImplementedError("http only")), Served()
    serve = AsgiApp(app)

    for _ in range(2):
        await serve(actor, make_request())

    assert app.states == [{"actor": actor}] * 2
    assert len(app.starts) == 1
    (line,) = actor.lines.lines
    assert (line["level"], line["error"]) == ("info", "NotImplementedError('http only')")


async def test_an_application_that_cannot_start_fails_the_requests_that_wait() -> None:
    failed: Message = {"type": "lifespan.startup.failed", "message": "no database"}
    app = Application(failed, {"type": "lifespan.startup.complete"})
    serve, actor = AsgiApp(app), Served()

    outcomes = await asyncio.gather(
        *(serve(actor, make_request()) for _ in range(2)), return_exceptions=True
    )

    assert [str(outcome) for outcome in outcomes] == [
        "the ASGI application could not start: no database"
    ] * 2
    assert app.states == []


async def test_an_application_that_could_not_start_is_tried_again() -> None:
    app = Application({"type": "lifespan.startup.failed"}, {"type": "lifespan.startup.complete"})
    serve, actor = AsgiApp(app), Served()
    with pytest.raises(RuntimeError, match="could not start"):
        await serve(actor, make_request())

    assert (await serve(actor, make_request())).status == 200


async def test_a_lifespan_that_ends_in_an_error_is_logged() -> None:
    is_served = asyncio.Event()
    lifespans: list[asyncio.Task[Any] | None] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            lifespans.append(asyncio.current_task())
            await send({"type": "lifespan.startup.complete"})
            await is_served.wait()
            raise ValueError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    actor = Served()
    await AsgiApp(app)(actor, make_request())
    is_served.set()
    await asyncio.wait([task for task in lifespans if task is not None])

    assert levels(actor) == ["error"]


def test_each_event_loop_has_a_lifespan_of_its_own() -> None:
    app, actor = Application(), Served()
    app.outcomes *= 2
    serve = AsgiApp(app)

    for _ in range(2):
        asyncio.run(serve(actor, make_request()))

    assert len(app.starts) == 2
