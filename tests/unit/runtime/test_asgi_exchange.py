"""How a response comes out of an ASGI application, and how an exchange ends."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from stator.runtime.asgi_exchange import ClientDisconnected
from stator.runtime.asgi_lifespan import Message, Receive, Send
from tests.fakes.asgi_applications import END, START, http_only, part, sending, start
from tests.fakes.raw_requests import Served, make_request, streamed, whole_body

# -- the response


async def test_an_answer_in_one_piece_is_not_streamed() -> None:
    app = sending(start(201, content_length="2", x_a="b"), part(b"ab", more=False))

    response = await app(Served(), make_request())

    assert (response.status, response.body) == (201, b"ab")
    assert response.raw_headers() == [(b"x-a", b"b"), (b"content-length", b"2")]


async def test_a_response_is_given_when_it_starts() -> None:
    is_going_on = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await is_going_on.wait()
        await send(part(b"ab", more=False))

    response = await http_only(app)(Served(), make_request())
    is_going_on.set()

    assert await whole_body(response) == b"ab"


async def test_one_chunk_at_most_waits_to_be_taken() -> None:
    sent: list[bytes] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        for chunk in (b"1", b"", b"2", b"3"):
            await send(part(chunk))
            sent.append(chunk)
        await send(END)

    body = aiter(streamed(await http_only(app)(Served(), make_request())))
    before = list(sent)
    taken = [await anext(body), await anext(body)]

    assert before == []
    assert taken == [b"1", b"2"]
    assert sent == [b"1", b""]
    assert [chunk async for chunk in body] == [b"3"]


async def test_two_senders_take_turns() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.gather(*(send(part(b"%d" % n)) for n in range(5)))
        await send(END)

    body = await whole_body(await http_only(app)(Served(), make_request()))

    assert sorted(body) == sorted(b"01234")


async def test_a_streamed_response_keeps_its_length() -> None:
    app = sending(start(content_length="4"), part(b"ab"), part(b"cd", more=False))

    response = await app(Served(), make_request())

    assert response.raw_headers() == [(b"content-length", b"4")]
    assert await whole_body(response) == b"abcd"


async def test_header_bytes_and_cookies_pass_unchanged() -> None:
    raw = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-name", b"\xe9")]
    app = sending({**START, "headers": raw}, END)

    assert (await app(Served(), make_request())).raw_headers() == raw


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (start(101), "200 to 599"),
        (start(a="b\nc"), "CR, LF"),
        (start(content_length="x"), "content-length that is no length"),
        ({**START, "headers": [(b"content-length", b"1"), (b"Content-Length", b"2")]}, "no length"),
    ],
)
async def test_a_response_that_http_cannot_carry_is_refused(head: Message, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await sending(head, part(b"a"))(Served(), make_request())


# -- errors


async def test_an_error_before_the_response_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await sending(error=ZeroDivisionError())(Served(), make_request())


async def test_an_error_within_the_response_breaks_the_body_off() -> None:
    app = sending(START, part(b"ab"), error=ZeroDivisionError())
    body = aiter(streamed(await app(Served(), make_request())))

    assert await anext(body) == b"ab"
    with pytest.raises(ZeroDivisionError):
        await anext(body)


async def test_an_error_after_the_response_is_logged() -> None:
    error = ZeroDivisionError()
    actor = Served()

    response = await sending(start(500), part(b"oh", more=False), error=error)(
        actor, make_request()
    )

    assert (response.status, response.body) == (500, b"oh")
    (line,) = [line for line in actor.lines.lines if line["level"] == "error"]
    assert line["exc_info"] is error


async def test_an_application_must_answer() -> None:
    with pytest.raises(RuntimeError, match="ended without a response"):
        await sending()(Served(), make_request())


async def test_an_application_must_complete_its_answer() -> None:
    response = await sending(START)(Served(), make_request())

    with pytest.raises(RuntimeError, match="did not complete its response"):
        await whole_body(response)


async def test_an_application_that_cancels_itself_is_an_error() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="was cancelled"):
        await http_only(app)(Served(), make_request())


@pytest.mark.parametrize(
    "messages",
    [
        [END],
        [START, START],
        [START, END, END],
        [START, {"type": "http.response.push"}],
        [{"type": "websocket.accept"}],
    ],
)
async def test_a_message_out_of_turn_is_refused(messages: list[Message]) -> None:
    refused: list[Exception] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except RuntimeError as error:
            refused.append(error)
            raise

    try:
        await whole_body(await http_only(app)(Served(), make_request()))
    except RuntimeError as error:
        assert refused == [error]
    assert [str(error) for error in refused] == [
        f"the ASGI application may not send {messages[-1]['type']!r} now"
    ]


@pytest.mark.parametrize(("length", "what"), [("3", "more"), ("5", "less")])
async def test_a_length_is_a_promise(length: str, what: str) -> None:
    app = sending(start(content_length=length), part(b"ab"), part(b"cd", more=False))
    response = await app(Served(), make_request())

    with pytest.raises(RuntimeError, match=f"sent {what} than {length} bytes"):
        await whole_body(response)


# -- responses without a body


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
async def test_a_bodiless_response_tells_its_length(method: str, status: int) -> None:
    app = sending(start(status, content_length="4"), part(b"ab"), part(b"cd"), END)

    response = await app(Served(), make_request(method=method))

    assert (response.status, response.body) == (status, b"")
    assert response.raw_headers() == [(b"content-length", b"4")]


async def test_no_content_has_no_length() -> None:
    response = await sending(start(204, content_length="0"), END)(Served(), make_request())

    assert (response.body, response.raw_headers()) == (b"", [])


async def test_an_endless_answer_to_head_ends() -> None:
    actor = Served()
    is_told = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(0)
        for _ in range(2):
            with pytest.raises(ClientDisconnected):
                await send(part(b"event"))
        if (await receive())["type"] == "http.disconnect":
            is_told.set()
        raise ValueError

    response = await http_only(app)(actor, make_request(method="HEAD"))

    assert response.body == b""
    await is_told.wait()
    await asyncio.wait(actor.kept)
    assert {line["level"] for line in actor.lines.lines} <= {"info", "debug"}


# -- the end


async def test_background_work_keeps_the_actor_awake() -> None:
    actor = Served()
    is_going_on = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"a"))
        await send(END)
        await is_going_on.wait()

    response = await http_only(app)(actor, make_request())
    assert await whole_body(response) == b"a"
    await response.body.aclose()  # type: ignore[union-attr]  # pyright: ignore

    (work,) = actor.kept
    assert not work.done()
    is_going_on.set()
    await work


async def test_closing_the_body_cancels_the_application() -> None:
    ends: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        try:
            while True:
                await send(part(b"tick"))
        finally:
            await asyncio.sleep(0)
            with pytest.raises(ClientDisconnected):
                await send(END)
            ends.append((await receive())["type"])

    actor = Served()
    body = streamed(await http_only(app)(actor, make_request()))
    assert await anext(aiter(body)) == b"tick"

    await body.aclose()  # type: ignore[attr-defined]  # pyright: ignore

    assert ends == ["http.disconnect"]
    assert actor.kept == []


async def test_closing_a_body_that_nobody_read_cancels_the_application() -> None:
    ends: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ends.append("cancelled")

    body = streamed(await http_only(app)(Served(), make_request()))
    await body.aclose()  # type: ignore[attr-defined]  # pyright: ignore

    assert ends == ["cancelled"]


async def test_closing_with_the_last_chunk_untaken_lets_background_work_go_on() -> None:
    actor = Served()
    is_going_on = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"a"))
        await send(part(b"b", more=False))
        await is_going_on.wait()

    body = streamed(await http_only(app)(actor, make_request()))
    assert await anext(aiter(body)) == b"a"
    await asyncio.sleep(0)

    await body.aclose()  # type: ignore[attr-defined]  # pyright: ignore

    is_going_on.set()
    await asyncio.gather(*actor.kept)
    assert len(actor.kept) == 1


async def test_an_error_on_the_way_out_is_logged() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        try:
            await send(part(b"tick"))
        finally:
            raise ValueError("clean-up failed")

    actor = Served()
    body = streamed(await http_only(app)(actor, make_request()))
    await asyncio.sleep(0)
    await body.aclose()  # type: ignore[attr-defined]  # pyright: ignore

    assert [line["level"] for line in actor.lines.lines if line["level"] != "info"] == ["error"]


async def test_an_error_that_nobody_reads_is_logged() -> None:
    error = ZeroDivisionError()
    actor = Served()
    body = streamed(await sending(START, error=error)(actor, make_request()))

    await body.aclose()  # type: ignore[attr-defined]  # pyright: ignore

    assert [line["exc_info"] for line in actor.lines.lines if line["level"] == "error"] == [error]


@pytest.mark.parametrize("is_clean", [True, False])
async def test_cancelling_the_hook_cancels_the_application(is_clean: bool) -> None:
    is_running = asyncio.Event()
    ends: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        is_running.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ends.append("cancelled")
            if is_clean:
                raise
            raise ValueError from None

    actor = Served()
    hook = asyncio.create_task(http_only(app)(actor, make_request()))
    await is_running.wait()
    hook.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hook

    assert ends == ["cancelled"]
    levels = [line["level"] for line in actor.lines.lines if line["level"] != "info"]
    assert levels == ([] if is_clean else ["error"])


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def broken_off(exchange: Any) -> None:
    assert await anext(exchange) == b"a"
    with pytest.raises(ZeroDivisionError):
        await anext(exchange)


async def closed(exchange: Any) -> None:
    assert await anext(exchange) == b"a"
    await exchange.aclose()


async def read(exchange: Any) -> None:
    assert [chunk async for chunk in exchange] == [b"a"]


@pytest.mark.parametrize(
    ("end", "error"), [(read, None), (closed, None), (broken_off, ZeroDivisionError)]
)
@pytest.mark.usefixtures("no_collection")
async def test_nothing_is_left_of_an_exchange(
    end: Callable[[Any], Awaitable[None]], error: type[Exception] | None
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"a"))
        if error is not None:
            raise error
        await send(END)

    serve, actor = http_only(app), Served()
    request = make_request()
    left = weakref.WeakSet([streamed(await serve(actor, request))])
    tasks = asyncio.all_tasks()

    await end(next(iter(left)))

    assert list(left) == []
    assert asyncio.all_tasks() < tasks


@pytest.mark.usefixtures("no_collection")
async def test_nothing_is_left_of_an_error() -> None:
    class Local:
        pass

    left: weakref.WeakSet[Local] = weakref.WeakSet()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        local = Local()
        left.add(local)
        raise ZeroDivisionError

    with suppress(ZeroDivisionError):
        await http_only(app)(Served(), make_request())

    assert list(left) == []
