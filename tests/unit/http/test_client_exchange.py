"""Raw requests through the gateway: bodies stream both ways, and either end may fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stator.runtime.link.frames import (
    BodyCredit,
    BodyPart,
    ExchangeAborted,
    OpenExchange,
    Refusal,
    ResponseHead,
)
from tests.fakes.held_clients import ACTOR
from tests.fakes.public_port import DIRECT, PublicPort, WireClient, public_port

PATH = f"{DIRECT}/request/a"
Headers = tuple[tuple[bytes, bytes], ...]


def _head(
    number: int,
    status: int = 200,
    headers: Headers = (),
    *,
    is_last: bool = False,
    key: str = "key",
) -> ResponseHead:
    return ResponseHead(number, status, headers, ACTOR, 3, key, is_last)


async def _ask(
    port: PublicPort, *lines: str, method: str = "GET", body: bytes = b""
) -> tuple[WireClient, OpenExchange]:
    """Send a request; return its client and what the worker was asked."""
    client = await port.client()
    client.request(method, PATH, *lines, body=body)
    return client, await port.link.next(OpenExchange)


async def _settled(port: PublicPort) -> None:
    """Check that nothing is left of any request."""
    await port.link.sync()
    assert port.switchboard.exchanges == {}
    assert port.backends.in_flight == 0


# --------------------------------------------------------------------------- whole responses


async def test_a_whole_response(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        assert (opening.has_body, opening.head.path, opening.key) == (False, "/a", ACTOR)
        headers = ((b"content-type", b"text/plain"),)
        port.link.send(_head(opening.id, 201, headers, is_last=True), payload=b"hello")
        answer = await client.answer()
        assert (answer.status, answer.body, answer["content-type"]) == (201, b"hello", "text/plain")
        assert answer["content-length"] == "5"
        await _settled(port)


async def test_an_answer_says_which_actor_gave_it(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port, "origin: https://page.test")
        port.link.send(_head(opening.id, is_last=True))
        answer = await client.answer()
        assert answer["x-rivet-actor"] == ACTOR
        assert (answer["x-rivet-actor-generation"], answer["x-rivet-actor-key"]) == ("3", "key")
        assert answer["x-rivet-ray-id"] == opening.ray_id
        assert answer["access-control-allow-origin"] == "https://page.test"


@pytest.mark.parametrize(("key", "shown"), [("a/ü", ["a/ü"]), ("\0", []), ("a\r\nb", [])])
async def test_a_key_that_no_header_can_hold_is_left_out(
    short_tmp: Path, key: str, shown: list[str]
) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(_head(opening.id, is_last=True, key=key))
        assert (await client.answer()).all("x-rivet-actor-key") == shown


async def test_headers_may_repeat_and_hold_any_text(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        headers = (
            (b"Set-Cookie", b"a=1"),
            (b"x-name", "Zoë €".encode()),
            (b"Set-Cookie", b"b=2"),
        )
        port.link.send(_head(opening.id, headers=headers, is_last=True))
        answer = await client.answer()
        assert answer.all("set-cookie") == ["a=1", "b=2"]
        assert answer["x-name"] == "Zoë €"


async def test_a_header_in_latin1_does_not_break_the_answer(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(_head(opening.id, headers=((b"x-name", b"Zo\xeb"),), is_last=True))
        answer = await client.answer()
        assert (answer.status, answer["x-name"]) == (200, "Zoë")


async def test_what_a_handler_says_of_caches_is_kept(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port, "origin: https://page.test")
        port.link.send(_head(opening.id, headers=((b"vary", b"accept"),), is_last=True))
        assert set((await client.answer())["vary"].split(", ")) == {"accept", "Origin"}


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("is_last", [True, False])
async def test_answers_that_have_no_body(short_tmp: Path, status: int, is_last: bool) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(_head(opening.id, status, is_last=is_last), payload=b"")
        if not is_last:
            port.link.send(BodyPart(opening.id, False), payload=b"no")
            port.link.send(BodyPart(opening.id, True))
        answer = await client.answer(has_body=False)
        assert (answer.status, answer.all("transfer-encoding")) == (status, [])
        await _is_reusable(port, client)


@pytest.mark.parametrize("is_last", [True, False])
async def test_an_answer_to_head_has_no_body(short_tmp: Path, is_last: bool) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port, method="HEAD")
        assert opening.head.method == "HEAD"
        port.link.send(_head(opening.id, is_last=is_last), payload=b"body" if is_last else b"")
        if not is_last:
            port.link.send(BodyPart(opening.id, False), payload=b"body")
            port.link.send(BodyPart(opening.id, True))
        assert (await client.answer(has_body=False)).status == 200
        await _is_reusable(port, client)


async def _is_reusable(port: PublicPort, client: WireClient) -> None:
    """Show that the connection has nothing of the last answer left on it."""
    client.request("GET", PATH)
    opening = await port.link.next(OpenExchange)
    port.link.send(_head(opening.id, is_last=True), payload=b"next")
    assert (await client.answer()).body == b"next"


async def test_a_refusal_is_an_answer(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(Refusal(opening.id, "actor", "not_found", "No.", 404))
        answer = await client.answer()
        assert (answer.status, answer["x-rivet-error"]) == (404, "actor.not_found")
        await _settled(port)


async def test_parameters_in_a_header_reach_the_worker(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        _, opening = await _ask(port, 'x-rivet-conn-params: {"a":1}')
        assert opening.params == b'{"a":1}'
        assert (b"x-rivet-conn-params", b'{"a":1}') in opening.head.headers


async def test_malformed_parameters_are_refused(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client = await port.client()
        client.request("GET", PATH, "x-rivet-conn-params: {")
        assert (await client.answer()).status == 400
        assert await port.link.sync() == []


# -------------------------------------------------------------------------- streamed responses


async def test_a_response_is_streamed(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(_head(opening.id))
        answer = await client.head()
        assert (answer.status, answer["transfer-encoding"]) == (200, "chunked")
        for part in (b"one", b"two"):
            port.link.send(BodyPart(opening.id, False), payload=part)
            assert await client.chunk() == part
        port.link.send(BodyPart(opening.id, True))
        assert await client.chunk() == b""
        await _settled(port)


async def test_the_last_part_may_hold_something(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(_head(opening.id))
        port.link.send(BodyPart(opening.id, True), payload=b"all")
        assert (await client.answer()).body == b"all"


async def test_a_client_that_reads_gives_credit(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        _, opening = await _ask(port)
        port.link.send(_head(opening.id))
        port.link.send(BodyPart(opening.id, False), payload=bytes(1000))
        assert await port.link.frames() == [BodyCredit(opening.id, 1000)]


async def test_a_client_that_does_not_read_holds_its_handler_up(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        transport = client.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        port.link.send(_head(opening.id))
        sent = given = 0
        while sent == given:  # until the buffers of the kernel are full
            for _ in range(16):
                port.link.send(BodyPart(opening.id, False), payload=bytes(65536))
                sent += 65536
            credit = [f.size for f in await port.link.frames() if isinstance(f, BodyCredit)]
            given += sum(credit)
        assert await port.link.sync() == []
        transport.resume_reading()
        received = 0
        await client.head()
        while received < sent:
            received += len(await client.chunk())
        credit = [f.size for f in await port.link.frames() if isinstance(f, BodyCredit)]
        assert given + sum(credit) == sent


async def test_a_response_that_breaks_off_is_seen_to(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(_head(opening.id))
        port.link.send(BodyPart(opening.id, False), payload=b"half")
        port.link.send(ExchangeAborted(opening.id))
        answer = await client.answer()
        assert (answer.body, answer.is_whole) == (b"half", False)
        await _settled(port)


async def test_a_worker_lost_before_the_head(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, _ = await _ask(port)
        port.link.close()
        port.link = await port.worker.greet()
        answer = await client.answer()
        assert (answer.status, answer["x-rivet-error"]) == (503, "actor.restarting")
        await _settled(port)


async def test_a_worker_lost_after_the_head(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(_head(opening.id))
        await client.head()
        port.link.close()
        assert await client.reader.read() == b""
        port.link = await port.worker.greet()
        await _settled(port)


# ------------------------------------------------------------------------------ clients that leave


async def test_a_client_that_leaves_before_the_head(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        client.leave()
        assert await port.link.next(ExchangeAborted) == ExchangeAborted(opening.id)
        port.link.send(_head(opening.id, is_last=True))
        await _settled(port)


async def test_a_client_that_leaves_while_it_is_answered(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port)
        port.link.send(_head(opening.id))
        await client.head()
        client.leave()
        assert await port.link.next(ExchangeAborted) == ExchangeAborted(opening.id)
        await _settled(port)


async def test_a_client_that_leaves_in_the_middle_of_its_body(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        lines = ("content-length: 100",)
        client, opening = await _ask(port, *lines, method="POST", body=b"half")
        port.link.send(BodyCredit(opening.id, 4096))
        await port.link.next(BodyPart)
        client.leave()
        assert await port.link.next(ExchangeAborted) == ExchangeAborted(opening.id)
        await _settled(port)
