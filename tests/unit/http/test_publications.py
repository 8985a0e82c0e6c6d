"""Messages for queues through the gateway: what the worker is asked, and who waits for how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stator.runtime.config import Config, Limits, Server
from stator.runtime.link.frames import (
    Answer,
    AnyFrame,
    Call,
    ExchangeAborted,
    Goodbye,
    Hello,
    Publish,
    Refusal,
    Resolution,
)
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.held_clients import ACTOR
from tests.fakes.public_port import BY_KEY, DIRECT, PublicPort, WireClient, public_port

PATH = f"{DIRECT}/queue/jobs"
BODY = b'{"body":1,"wait":true}'
DONE = b'{"status":"completed"}'


async def _send(
    port: PublicPort, *lines: str, path: str = PATH, body: bytes = BODY
) -> tuple[WireClient, Publish, bytes]:
    """Publish; return the client and what the worker was asked."""
    client = await port.client()
    client.request("POST", path, f"content-length: {len(body)}", *lines, body=body)
    asked, payload = await port.link.next_with_payload(Publish)
    return client, asked, payload


def _answered(asked: Publish, status: int = 200) -> Answer:
    return Answer(asked.id, status, ACTOR, 3, "key")


async def _until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until ``condition`` holds: nothing tells of it."""
    while not condition():
        await _pause()


async def _pause() -> None:
    await asyncio.sleep(0)


async def _problem(client: WireClient) -> tuple[int, str, Any]:
    answer = await client.answer()
    body = json.loads(answer.body)
    return answer.status, f"{body['group']}.{body['code']}", body.get("metadata")


async def test_the_worker_gets_the_body_as_it_came(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        _, asked, payload = await _send(
            port, "x-rivet-encoding: bare", 'x-rivet-conn-params: {"a":1}', body=b"\x04\x00\xff"
        )
        assert (asked.queue, asked.encoding, asked.params) == ("jobs", Encoding.BARE, b'{"a":1}')
        assert (asked.resolution, asked.key) == (Resolution.BY_ID, ACTOR)
        assert (asked.stored_id, asked.waited_ms) == (0, 0)
        assert payload == b"\x04\x00\xff"


async def test_a_key_may_name_the_actor_and_escapes_the_queue(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        path = BY_KEY.format(inner="/queue/ns%2Fodd%20name", query="")
        _, asked, _ = await _send(port, path=path)
        assert (asked.queue, asked.name, asked.key) == ("ns/odd name", "chat", "a/b")
        assert (asked.resolution, asked.namespace) == (Resolution.GET, "default")


async def test_a_chunked_body_is_put_together(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client = await port.client()
        chunked = b"3\r\n{}x\r\n2\r\nyz\r\n0\r\n\r\n"
        client.request("POST", PATH, "transfer-encoding: chunked", body=chunked)
        _, payload = await port.link.next_with_payload(Publish)
        assert payload == b"{}xyz"


async def test_the_answer_is_that_of_the_actor(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, asked, _ = await _send(port, "origin: https://page.test")
        port.link.send(_answered(asked), payload=DONE)
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, DONE)
        assert answer["content-type"] == "application/json"
        assert (answer["x-rivet-actor"], answer["x-rivet-actor-generation"]) == (ACTOR, "3")
        assert answer["x-rivet-ray-id"] == asked.ray_id
        assert answer["access-control-allow-origin"] == "https://page.test"


async def test_the_lossless_dialect_is_asked_for_and_named(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        native = ("x-rivet-encoding: cbor", "x-stator-dialect: native")
        client, asked, _ = await _send(port, *native)
        assert asked.encoding is Encoding.NATIVE
        port.link.send(_answered(asked), payload=b"\xa0")
        assert (await client.answer())["x-stator-dialect"] == "native"


async def test_a_refusal_is_an_error(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, asked, _ = await _send(port)
        port.link.send(Refusal(asked.id, "actor", "not_found", "gone", 404))
        assert await _problem(client) == (404, "actor.not_found", None)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(short_tmp: Path, method: str) -> None:
    async with public_port(short_tmp) as port:
        client = await port.client()
        client.request(method, PATH)
        metadata = {"method": method, "path": "/queue/jobs"}
        assert await _problem(client) == (405, "actor.method_not_allowed", metadata)


@pytest.mark.parametrize("inner", ["/queue", "/queue/", "/queue/jobs/", "/queue/jobs/x"])
async def test_other_paths_are_no_queues(short_tmp: Path, inner: str) -> None:
    async with public_port(short_tmp) as port:
        client = await port.client()
        client.request("POST", f"{DIRECT}{inner}", "content-length: 0")
        metadata = {"resource": "route", "id": inner}
        assert await _problem(client) == (404, "actor.not_found", metadata)


async def test_a_body_that_is_too_large_is_refused(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client = await port.client()
        client.request("POST", PATH, "content-length: 65537", body=bytes(65_537))
        status, identity, _ = await _problem(client)
        assert (status, identity) == (400, "message.incoming_too_long")


async def test_a_publication_counts_among_what_a_client_has_under_way(short_tmp: Path) -> None:
    config = Config(limits=Limits(max_in_flight_per_client=1))
    async with public_port(short_tmp, config) as port:
        _, asked, _ = await _send(port)
        second = await port.client()
        second.request("POST", PATH, "content-length: 0")
        status, identity, _ = await _problem(second)
        assert (status, identity) == (429, "guard.rate_limit")
        port.link.send(_answered(asked), payload=DONE)


# --------------------------------------------------------------------------- waiting for long


async def test_no_time_limit_of_the_gateway_ends_a_wait(short_tmp: Path) -> None:
    config = Config(
        server=Server(header_timeout=0.01, keep_alive=0.01, ready_timeout=0.01, open_timeout=0.01)
    )
    async with public_port(short_tmp, config) as port:
        client, asked, _ = await _send(port)
        await _time_out(port, 0.01)
        port.link.send(_answered(asked), payload=DONE)
        assert (await client.answer()).body == DONE


async def _time_out(port: PublicPort, seconds: float) -> None:
    """Return after the loop has run what was due after ``seconds``, and again."""
    loop = asyncio.get_running_loop()
    for _ in range(3):
        passed = asyncio.Event()
        loop.call_later(seconds, passed.set)
        await passed.wait()
    await port.link.sync()


async def test_a_client_that_leaves_is_forgotten_and_the_worker_told(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, asked, _ = await _send(port)
        client.leave()
        assert await port.link.next(ExchangeAborted) == ExchangeAborted(asked.id)
        await port.link.sync()
        assert (port.backends.in_flight, port.counted) == (0, 0)
        assert port.log.lines == []


async def test_an_answer_that_comes_too_late_harms_nobody(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, asked, _ = await _send(port)
        client.leave()
        await port.link.next(ExchangeAborted)
        port.link.send(_answered(asked), payload=DONE)
        await port.link.sync()
        client, asked, _ = await _send(port)
        port.link.send(_answered(asked), payload=DONE)
        assert (await client.answer()).body == DONE


async def test_a_client_that_leaves_while_there_is_no_link_publishes_nothing(
    short_tmp: Path,
) -> None:
    async with public_port(short_tmp) as port:
        port.link.close()
        await port.link.lost.wait()
        client = await port.client()
        await _until(lambda: not port.backends.links_up)
        client.request("POST", PATH, "content-length: 0")
        await _until(lambda: bool(port.backends.in_flight))
        client.leave()
        link = await port.worker.next_link()
        await _until(lambda: not port.server.connections)
        link.greet()
        assert not any(isinstance(frame, Publish) for frame in await link.frames())


async def test_a_worker_that_leaves_is_not_waited_for_because_of_a_client_that_left(
    short_tmp: Path,
) -> None:
    async with public_port(short_tmp) as port:
        client, _, _ = await _send(port)
        port.link.send(Goodbye())
        assert await port.link.next(Goodbye) == Goodbye()
        client.leave()
        await port.link.next(ExchangeAborted)
        assert await port.link.next(Goodbye) == Goodbye(), "it owes nothing any more"


async def test_what_a_dead_worker_did_not_answer_may_be_repeated(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, _, _ = await _send(port)
        port.link.close()
        status, identity, metadata = await _problem(client)
        assert (status, identity) == (503, "actor.restarting")
        assert metadata == {"retryable": True}


async def test_an_action_on_the_same_connection_comes_after_the_answer(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        client, asked, _ = await _send(port)
        client.request("POST", f"{DIRECT}/action/get", "content-length: 0")
        before: list[AnyFrame] = await port.link.frames()
        assert not any(isinstance(frame, Call) for frame in before)
        port.link.send(_answered(asked), payload=DONE)
        call = await port.link.next(Call)
        port.link.send(Answer(call.id, 200, ACTOR, 3, "key"))
        assert [(await client.answer()).body for _ in range(2)] == [DONE, b""]


async def test_a_worker_that_looks_at_requests_is_shown_them(short_tmp: Path) -> None:
    async with public_port(short_tmp) as port:
        port.link.close()
        link = await port.worker.next_link()
        link.send(Hello("worker", 0, 2, wants_requests=True))
        await link.sync()
        client = await port.client()
        client.request("POST", PATH, "content-length: 0", "x-a: 1")
        head = (await link.next(Publish)).head
        assert head is not None
        assert (head.method, head.path, dict(head.headers)[b"x-a"]) == ("POST", "/queue/jobs", b"1")
