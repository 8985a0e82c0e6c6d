"""Raw HTTP: bodies that stream both ways, clients that leave, what a handler may return."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stator import Actor, Conn, Options, Request, Response, UserError, action
from stator.runtime.link.frames import BodyPart, ExchangeAborted, Refusal, ResponseHead
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import decode_error
from stator.shards.exchanges import PART_BYTES, WINDOW_BYTES
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.gateway_clients import make_head
from tests.fakes.linked_gateway import linked_engine
from tests.fakes.memory_store import MemoryStore

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


class Site(Actor):
    state: int = 0
    options = Options(sleep_grace_period=0.05)

    def on_connect(self, conn: Conn) -> None:
        SEEN.append(("on_connect", list(self.conns)))

    def on_disconnect(self, conn: Conn) -> None:
        SEEN.append(("on_disconnect", list(self.conns)))

    async def on_request(self, request: Request) -> Response:
        assert self.conn is not None
        match request.path:
            case "/look":
                SEEN.append((self.request is request, self.conn.params, list(self.conns)))
                return Response()
            case "/echo":
                return Response(await request.body(), headers={"x-kind": "echo"})
            case "/through":
                return Response(request.stream())
            case "/large":
                return Response(b"x" * (2 * WINDOW_BYTES))
            case "/stream":
                return Response(self._stream())
            case "/change":
                self.state += 1
                return Response.json(self.state, status=201)
            case "/change-and-stream":
                return Response(self._change_and_stream())
            case "/refuse":
                raise UserError("no", code="refused")
            case "/break":
                raise RuntimeError("internal text")
            case "/break-later":
                return Response(self._break_later())
            case "/text-parts":
                return Response(self._text_parts())
            case "/hang":
                return await self._hang()
            case "/wait":
                await self.abort_signal.wait()
                return Response("waited")
            case _:
                return "no response"  # type: ignore[return-value]

    async def _stream(self) -> AsyncIterator[bytes]:
        try:
            for number in range(1000):
                SEEN.append(number)
                yield bytes([number % 256]) * PART_BYTES
        finally:
            SEEN.append("closed")

    async def _change_and_stream(self) -> AsyncIterator[bytes]:
        yield b"before"
        self.state += 1
        yield b"after"

    async def _break_later(self) -> AsyncIterator[bytes]:
        yield b"part"
        raise RuntimeError("internal text")

    async def _text_parts(self) -> AsyncIterator[Any]:
        yield "text"

    async def _hang(self) -> Response:
        SEEN.append("hanging")
        try:
            await asyncio.Event().wait()
        finally:
            SEEN.append("cleaned up")
        return Response()

    @action
    def get(self) -> int:
        return self.state


class Hasty(Site):
    options = Options(action_timeout=0.02)


class Closed(Actor):
    @action
    def get(self) -> int:
        return 0


USE: dict[str, type[Actor]] = {"site": Site, "hasty": Hasty, "closed": Closed}


# -- responses


async def test_a_small_response_is_one_frame() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await local.call("site", "get", key="k")
        exchange = gateway.request("site", "k", head=make_head("/echo", "POST"), body=b"hello")
        head, payload = await exchange.next()
        actor_id = local.actor("site", "k").actor_id
        assert (head.status, head.is_last, payload) == (200, True, b"hello")
        assert (head.actor_id, head.generation, head.key) == (actor_id, 1, "k")
        assert (b"x-kind", b"echo") in head.headers


async def test_a_large_response_comes_in_parts() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        exchange = gateway.request("site", head=make_head("/large"))
        assert not (await exchange.head()).is_last
        exchange.credit(WINDOW_BYTES)
        parts = [await exchange.next() for _ in range(2 * WINDOW_BYTES // PART_BYTES)]
        assert b"".join(payload for _, payload in parts) == b"x" * (2 * WINDOW_BYTES)
        assert await exchange.next() == (BodyPart(exchange.number, True), b"")
        assert all(len(part) <= PART_BYTES for _, part in gateway.frames)


async def test_a_response_leaves_once_what_it_changed_is_on_disk() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        await local.call("site", "get")
        store.hold_commits()
        exchange = gateway.request("site", head=make_head("/change"))
        await turns()
        assert exchange.there() == []
        store.release_commits()
        assert await exchange.response() == (201, b"1")


async def test_every_part_of_a_stream_waits_for_the_changes_before_it() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        await local.call("site", "get")
        await turns()
        exchange = gateway.request("site", head=make_head("/stream"))
        await exchange.head()
        exchange.leave()
        store.hold_commits()
        exchange = gateway.request("site", head=make_head("/change-and-stream"))
        await turns()
        assert b"after" not in [payload for _, payload in exchange.there()]
        store.release_commits()
        await wait_until(lambda: local.actor("site").state == 1, "the change")


async def test_a_stream_waits_while_a_window_is_on_its_way() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        exchange = gateway.request("site", head=make_head("/stream"))
        await exchange.head()
        for _ in range(WINDOW_BYTES // PART_BYTES):
            await exchange.next()
        await turns()
        assert exchange.there() == []
        exchange.credit(PART_BYTES)
        await exchange.next()
        await turns()
        assert exchange.there() == []


async def test_a_stream_that_waits_does_not_hold_up_others() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        await gateway.request("site", head=make_head("/stream")).head()
        other = gateway.request("site", head=make_head("/echo"), body=b"hi")
        assert await other.response() == (200, b"hi")


# -- bodies of requests


async def test_a_body_is_asked_for_once_its_handler_is_there() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        exchange = gateway.request("site", head=make_head("/echo", "POST"), body=b"")
        assert exchange.credits == []
        await wait_until(lambda: bool(exchange.credits), "the actor is ready")
        assert exchange.credits == [WINDOW_BYTES]
        exchange.send(b"abc")
        assert await exchange.response() == (200, b"abc")


async def test_more_of_a_body_is_asked_for_as_the_handler_reads_it() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await local.call("site", "get")
        exchange = gateway.request("site", head=make_head("/through", "POST"), body=b"")
        exchange.send(b"a" * 100, is_last=False)
        await exchange.head()
        assert (await exchange.next()).payload == b"a" * 100
        assert exchange.credits == [WINDOW_BYTES, 100]
        exchange.send(b"b" * 10)
        assert (await exchange.next()).payload == b"b" * 10
        assert exchange.credits == [WINDOW_BYTES, 100, 10]


async def test_a_body_that_nobody_reads_is_not_asked_for_beyond_the_window() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await local.call("site", "get")
        exchange = gateway.request("site", head=make_head("/hang", "POST"), body=b"")
        exchange.send(b"a" * WINDOW_BYTES, is_last=False)
        await turns()
        assert exchange.credits == [WINDOW_BYTES]


async def test_a_request_without_a_body_asks_for_none() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        exchange = gateway.request("site", head=make_head("/echo"))
        assert await exchange.response() == (200, b"")
        assert exchange.credits == []


async def test_a_body_that_ends_with_an_empty_part_is_complete() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await local.call("site", "get")
        exchange = gateway.request("site", head=make_head("/echo", "POST"), body=b"")
        exchange.send(b"ab", is_last=False)
        exchange.send(b"", is_last=True)
        assert await exchange.response() == (200, b"ab")


async def test_both_directions_stream_at_once() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await local.call("site", "get")
        exchange = gateway.request("site", head=make_head("/through", "POST"), body=b"")
        exchange.send(b"0", is_last=False)
        await exchange.head()
        for number in range(1, 5):
            assert (await exchange.next()).payload == str(number - 1).encode()
            exchange.send(str(number).encode(), is_last=number == 4)
        assert (await exchange.next()).payload == b"4"
        assert await exchange.next() == (BodyPart(exchange.number, True), b"")


# -- the connection around it


async def test_a_raw_request_is_a_connection_while_it_lasts() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        exchange = gateway.request("site", head=make_head("/look"), params={"a": 1})
        await exchange.response()
        (_, during), (is_same, params, seen), (_, after) = SEEN
        assert (is_same, params) == (True, {"a": 1})
        assert len(during) == 1
        assert (seen, after) == (during, [])
        assert list(local.actor("site").conns) == []


async def test_on_disconnect_has_begun_before_the_last_of_the_answer() -> None:
    class Counted(Actor):
        state: int = 0

        def on_disconnect(self, conn: Conn) -> None:
            self.state += 1

        def on_request(self, request: Request) -> Response:
            return Response.json(self.state)

    async with linked_engine(use={"counted": Counted}) as (_, gateway):
        for number in range(3):
            response = await gateway.request("counted").response()
            assert response == (200, str(number).encode())


async def test_a_hook_that_refuses_answers_the_request() -> None:
    class Guarded(Site):
        def on_before_connect(self, params: Any) -> None:
            raise UserError("no", code="refused")

    async with linked_engine(use={"guarded": Guarded}) as (_, gateway):
        status, body = await gateway.request("guarded").response()
        assert status == 400
        assert b"refused" in body
        assert SEEN == []


# -- failures


async def test_without_a_handler_the_answer_is_404_and_empty() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        assert await gateway.request("closed").response() == (404, b"")


@pytest.mark.parametrize(
    ("encoding", "name"), [(Encoding.JSON, b"json"), (Encoding.CBOR, b"cbor"), (None, b"")]
)
async def test_an_error_is_a_body_in_the_encoding_that_was_asked_for(
    encoding: Encoding | None, name: bytes
) -> None:
    headers = [(b"X-Rivet-Encoding", name)] if encoding is not None else []
    async with linked_engine(use=USE) as (_, gateway):
        exchange = gateway.request("site", head=make_head("/refuse", headers=headers))
        status, body = await exchange.response()
        error = decode_error(encoding or Encoding.JSON, None, status, body)
        assert (error.group, error.code, error.message) == ("user", "refused", "no")


async def test_an_unexpected_error_is_redacted_and_logged() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        status, body = await gateway.request("site", head=make_head("/break")).response()
        assert status == 500
        assert b"internal text" not in body
        assert "on_request failed" in local.log.events()


async def test_something_else_than_a_response_is_an_internal_error() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        status, body = await gateway.request("site", head=make_head("/wrong")).response()
        assert status == 500
        assert b"internal_error" in body
        assert "on_request failed" in local.log.events()


@pytest.mark.parametrize("path", ["/break-later", "/text-parts"])
async def test_a_stream_that_fails_on_the_way_is_aborted(path: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        exchange = gateway.request("site", head=make_head(path))
        await exchange.head()
        frames = [await exchange.next()]
        while not isinstance(frames[-1].header, ExchangeAborted):
            frames.append(await exchange.next())
        assert "response failed on the way" in local.log.events()
        assert await gateway.request("site", head=make_head("/echo")).response() == (200, b"")


async def test_a_handler_that_takes_too_long_is_answered_for() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        status, body = await gateway.request("hasty", head=make_head("/hang")).response()
        assert status == 408
        assert b"action_timed_out" in body
        assert "cleaned up" not in SEEN  # it goes on, as an action does


async def test_a_client_that_leaves_cancels_the_handler() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        exchange = gateway.request("site", head=make_head("/hang"))
        await wait_until(lambda: "hanging" in SEEN, "the handler runs")
        exchange.leave()
        await wait_until(lambda: "cleaned up" in SEEN, "its finally has run")
        await turns()
        assert not any(isinstance(header, ResponseHead) for header, _ in exchange.there())
        assert list(local.actor("site").conns) == []


async def test_a_client_that_leaves_closes_the_stream() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        exchange = gateway.request("site", head=make_head("/stream"))
        await exchange.head()
        exchange.leave()
        await wait_until(lambda: "closed" in SEEN, "its finally has run")


async def test_a_client_that_leaves_before_the_end_of_its_body_ends_the_handler() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await local.call("site", "get")
        exchange = gateway.request("site", head=make_head("/echo", "POST"), body=b"")
        exchange.send(b"half", is_last=False)
        exchange.leave()
        host: Any = local.actor("site")._host
        await wait_until(lambda: host.running == 0, "the handler ends")
        assert list(local.actor("site").conns) == []


async def test_a_gateway_that_is_lost_cancels_its_handlers() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        gateway.request("site", head=make_head("/hang"))
        await wait_until(lambda: "hanging" in SEEN, "the handler runs")
        gateway.lose()
        await wait_until(lambda: "cleaned up" in SEEN, "its finally has run")


async def test_a_response_whose_change_was_lost_is_refused() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        await local.call("site", "get")
        store.fail_next_commit()
        exchange = gateway.request("site", head=make_head("/change"))
        refusal, _ = await exchange.next()
        assert isinstance(refusal, Refusal)
        assert (refusal.group, refusal.code) == ("storage", "unavailable")


async def test_a_stream_whose_end_was_lost_is_aborted() -> None:
    class Late(Actor):
        state: int = 0

        async def on_request(self, request: Request) -> Response:
            return Response(self._parts())

        async def _parts(self) -> AsyncIterator[bytes]:
            yield b"before"
            await GO_ON.wait()
            self.state += 1

    GO_ON = asyncio.Event()
    store = MemoryStore()
    async with linked_engine(store, use={"late": Late}) as (_, gateway):
        exchange = gateway.request("late")
        await exchange.head()
        assert (await exchange.next()).payload == b"before"
        store.fail_next_commit()
        GO_ON.set()
        assert isinstance((await exchange.next()).header, ExchangeAborted)


# -- sleep


async def test_sleep_waits_for_a_request_that_is_under_way() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        exchange = gateway.request("site", head=make_head("/wait"))
        await wait_until(lambda: bool(SEEN), "the handler runs")
        local.actor("site").sleep()
        assert await exchange.response() == (200, b"waited")
        await wait_until(lambda: not local.is_awake("site"), "it sleeps")


async def test_a_request_that_outlasts_the_grace_period_is_given_up() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        exchange = gateway.request("site", head=make_head("/hang"))
        await wait_until(lambda: "hanging" in SEEN, "the handler runs")
        local.actor("site").sleep()
        status, _ = await exchange.response()
        assert status >= 500
        await wait_until(lambda: "cleaned up" in SEEN, "its finally has run")


async def test_a_handler_that_is_given_up_may_clean_up_before_its_answer() -> None:
    class Tidy(Actor):
        options = Options(sleep_grace_period=0.01)

        async def on_request(self, request: Request) -> Response:
            SEEN.append("begun")
            try:
                await asyncio.Event().wait()
            finally:
                await turns(50)
                SEEN.append("cleaned up")
            return Response()

    async with linked_engine(use={"tidy": Tidy}) as (local, gateway):
        exchange = gateway.request("tidy")
        await wait_until(lambda: SEEN == ["begun"], "the handler runs")
        local.actor("tidy").sleep()
        status, _ = await exchange.response()
        assert status >= 500
        assert SEEN == ["begun", "cleaned up"]


async def test_a_request_that_comes_meanwhile_is_served_by_the_next_generation() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await local.call("site", "get")
        local.actor("site").sleep()
        exchange = gateway.request("site", head=make_head("/echo"), body=b"")
        await wait_until(lambda: bool(exchange.credits), "the actor is ready")
        exchange.send(b"hi")
        head, payload = await exchange.next()
        assert (head.generation, payload) == (2, b"hi")
