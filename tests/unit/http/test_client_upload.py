"""Bodies of raw requests: streamed to their handlers, and given up in good order."""

from __future__ import annotations

from pathlib import Path

from stator.runtime.config import Config, Limits, Server
from stator.runtime.link.frames import (
    BodyCredit,
    BodyPart,
    ExchangeAborted,
    OpenExchange,
    ResponseHead,
)
from tests.fakes.held_clients import ACTOR
from tests.fakes.public_port import DIRECT, PublicPort, WireClient, public_port

PATH = f"{DIRECT}/request/a"
WINDOW = 256 * 1024
CHUNKED = "transfer-encoding: chunked"
Headers = tuple[tuple[bytes, bytes], ...]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


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


async def _parts(port: PublicPort, number: int) -> list[tuple[int, bool]]:
    """Return the sizes of the parts that came for a request, and which is the last."""
    parts: list[tuple[int, bool]] = []
    for frame, payload in await port.link.sync():
        assert isinstance(frame, BodyPart) and frame.id == number
        parts.append((len(payload), frame.is_last))
    return parts


async def _settled(port: PublicPort) -> None:
    """Check that nothing is left of any request."""
    await port.link.sync()
    assert port.switchboard.exchanges == {}
    assert port.backends.in_flight == 0


# ----------------------------------------------------------------------------- request bodies


async def test_a_body_waits_for_its_handler(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        lines = ("content-length: 4",)
        _, opening = await _ask(port, *lines, method="POST", body=b"body")
        assert opening.has_body
        assert await _parts(port, opening.id) == []
        port.link.send(BodyCredit(opening.id, WINDOW))
        assert await _parts(port, opening.id) == [(4, False), (0, True)]


async def test_a_body_arrives_as_it_was_sent(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        chunks = [b"one", b"two", b"three"]
        body = b"".join(map(_chunk, [*chunks, b""]))
        client, opening = await _ask(port, CHUNKED, method="PUT", body=body)
        port.link.send(BodyCredit(opening.id, WINDOW))
        received = b"".join(payload for _, payload in await port.link.sync())
        assert received == b"onetwothree"
        port.link.send(_head(opening.id, is_last=True), payload=b"done")
        assert (await client.answer()).body == b"done"
        await _settled(port)


async def test_a_body_streams_while_it_is_answered(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, opening = await _ask(port, CHUNKED, method="POST")
        port.link.send(BodyCredit(opening.id, WINDOW), _head(opening.id))
        await client.head()
        for word in (b"ping", b"pong"):
            client.send(_chunk(word))
            _, payload = await port.link.next_with_payload(BodyPart)
            port.link.send(BodyPart(opening.id, False), payload=payload)
            assert await client.chunk() == word
        client.send(_chunk(b""))
        assert (await port.link.next(BodyPart)).is_last
        port.link.send(BodyPart(opening.id, True))
        assert await client.chunk() == b""
        await _settled(port)


async def test_no_more_of_a_body_is_sent_than_there_is_credit_for(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        size = 3 * WINDOW
        lines = (f"content-length: {size}",)
        _, opening = await _ask(port, *lines, method="POST", body=bytes(size))
        sent = 0
        while sent < size:
            port.link.send(BodyCredit(opening.id, 100_000))
            parts = await _parts(port, opening.id)
            assert sum(part for part, _ in parts) < 100_000 + 65536
            assert all(part <= 65536 for part, _ in parts)
            sent += sum(part for part, _ in parts)
        assert sent == size


async def test_an_empty_body_of_chunks_waits_for_its_handler_too(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        port.link.close()
        link = port.link = await port.worker.next_link()
        client = await port.client()
        client.request("POST", PATH, CHUNKED, body=_chunk(b""))
        await port.until_asked()
        link.greet()
        opening = await link.next(OpenExchange)
        if opening.has_body:
            link.send(BodyCredit(opening.id, WINDOW))
            assert await _parts(port, opening.id) == [(0, True)]


async def test_a_body_is_not_lost_while_there_is_no_link(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        port.link.close()
        link = port.link = await port.worker.next_link()
        client = await port.client()
        client.request("POST", PATH, "content-length: 4", body=b"body")
        await port.until_asked()
        link.greet()
        opening = await link.next(OpenExchange)
        link.send(BodyCredit(opening.id, WINDOW))
        assert await _parts(port, opening.id) == [(4, False), (0, True)]


async def test_no_worker_serves_what_its_client_left_meanwhile(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        port.link.close()
        link = port.link = await port.worker.next_link()
        client = await port.client()
        client.request("POST", PATH, "content-length: 4", body=b"body")
        await port.until_asked()
        client.leave()
        await port.until_left()
        link.greet()
        assert await link.sync() == []
        assert port.backends.in_flight == 0


SMALL = Config(limits=Limits(max_request_body_size=1024))


async def test_a_body_that_says_it_is_too_large(short_tmp: Path) -> None:
    async with public_port(short_tmp, SMALL) as port:
        client = await port.client()
        client.request("POST", PATH, "content-length: 1025")
        answer = await client.answer()
        assert (answer.status, answer["x-rivet-error"]) == (413, "guard.invalid_request_body")
        assert await port.link.sync() == []
        assert port.switchboard.exchanges == {}


async def test_a_body_that_becomes_too_large(short_tmp: Path) -> None:
    async with public_port(short_tmp, SMALL) as port:
        client, opening = await _ask(port, CHUNKED, method="POST", body=_chunk(bytes(1000)))
        port.link.send(BodyCredit(opening.id, WINDOW))
        await port.link.next(BodyPart)
        client.send(_chunk(bytes(25)))
        answer = await client.answer()
        assert (answer.status, answer["x-rivet-error"]) == (413, "guard.invalid_request_body")
        assert await port.link.next(ExchangeAborted) == ExchangeAborted(opening.id)
        await _settled(port)


async def test_a_body_of_the_largest_size_is_welcome(short_tmp: Path) -> None:
    async with public_port(short_tmp, SMALL) as port:
        body = _chunk(bytes(1024)) + _chunk(b"")
        _, opening = await _ask(port, CHUNKED, method="POST", body=body)
        port.link.send(BodyCredit(opening.id, WINDOW))
        assert await _parts(port, opening.id) == [(1024, False), (0, True)]


async def test_a_body_that_becomes_too_large_while_it_is_answered(short_tmp: Path) -> None:
    async with public_port(short_tmp, SMALL) as port:
        client, opening = await _ask(port, CHUNKED, method="POST")
        port.link.send(BodyCredit(opening.id, WINDOW), _head(opening.id))
        await client.head()
        client.send(_chunk(bytes(1025)))
        assert await port.link.next(ExchangeAborted) == ExchangeAborted(opening.id)
        assert b"0\r\n\r\n" not in await client.reader.read()
        await _settled(port)


SLOW = Config(server=Server(header_timeout=0.05))


async def test_a_body_that_stops_coming(short_tmp: Path) -> None:
    async with public_port(short_tmp, SLOW) as port:
        lines = ("content-length: 100",)
        client, opening = await _ask(port, *lines, method="POST", body=b"half")
        port.link.send(BodyCredit(opening.id, WINDOW))
        answer = await client.answer()
        assert (answer.status, answer["x-rivet-error"]) == (408, "guard.request_timeout")
        assert await port.link.next(ExchangeAborted) == ExchangeAborted(opening.id)
        await _settled(port)


async def test_a_body_that_is_malformed(short_tmp: Path) -> None:
    async with public_port(short_tmp, SLOW) as port:  # aiohttp's parser does not tell its body
        client, opening = await _ask(port, CHUNKED, method="POST", body=_chunk(b"good"))
        port.link.send(BodyCredit(opening.id, WINDOW))
        await port.link.next(BodyPart)
        client.send(b"not a chunk\r\n")
        assert await port.link.next(ExchangeAborted) == ExchangeAborted(opening.id)
        assert (await client.answer()).status == 408
        await _settled(port)


async def test_a_handler_that_answers_before_the_body_is_there(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        lines = ("content-length: 100",)
        client, opening = await _ask(port, *lines, method="POST", body=b"half")
        port.link.send(_head(opening.id, 403, is_last=True), payload=b"no")
        answer = await client.answer()
        assert (answer.status, answer.body) == (403, b"no")
        await _settled(port)


async def test_a_worker_lost_while_it_takes_a_body(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        size = 2 * WINDOW
        lines = (f"content-length: {size}",)
        client, opening = await _ask(port, *lines, method="POST", body=bytes(size))
        port.link.send(BodyCredit(opening.id, 1))
        await port.link.next(BodyPart)
        port.link.close()
        port.link = await port.worker.greet()
        assert (await client.answer()).status == 503
        await _settled(port)
