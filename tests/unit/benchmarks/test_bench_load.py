"""The load generator against a server in this process: what it sends, counts and refuses."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from benchmarks.load import Job, Outcome, make_requests, response_size, run

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"output":1}'
ERROR = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


def measure(answer: bytes) -> tuple[Outcome, Counter[bytes]]:
    """Send ten requests over two connections to a server that always answers ``answer``."""
    seen: Counter[bytes] = Counter()
    closed = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(4096):
            seen[request.partition(b" HTTP")[0]] += 1
            for piece in (answer[:20], answer[20:]):
                writer.write(piece)
                await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.release()

    async def both() -> Outcome:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port: int = server.sockets[0].getsockname()[1]
            job = Job(port=port, actors=10, once=True, connections=2, seconds=60, warm_up=0)
            outcome = await run(job)
            for _ in range(job.connections):
                await closed.acquire()
            return outcome

    return asyncio.run(both()), seen


def test_every_request_is_sent_once_and_its_answer_counted() -> None:
    outcome, seen = measure(OK)
    assert (outcome.acknowledged, outcome.errors) == (10, 0)
    assert seen.total() == len(seen) == 10
    assert 0 < outcome.p50_us <= outcome.p99_us


def test_an_answer_other_than_200_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    outcome, _ = measure(ERROR)
    assert (outcome.acknowledged, outcome.errors) == (0, 10)
    assert "503" in capfd.readouterr().err


def test_a_request_has_the_length_it_says() -> None:
    request = make_requests(Job(port=1, action="get", argument=None))[0]
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == b'{"args":[]}'
    assert b"content-length: 11" in head
    assert b"rvt-key=bench%2C0&" in head


def test_a_message_for_a_queue_says_whether_its_sender_waits() -> None:
    request = make_requests(Job(port=1, queue="jobs", argument=7, wait=True))[0]
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /gateway/counter/queue/jobs?")
    assert body == b'{"body":7,"wait":true}'


def test_paths_are_posted_to_as_they_are_and_without_a_body() -> None:
    requests = make_requests(Job(port=1, paths=["/actors/a/sleep", "/actors/b/sleep"]))
    assert sorted(request.split(b" ")[1] for request in requests) == [
        b"/actors/a/sleep",
        b"/actors/b/sleep",
    ]
    assert all(request.endswith(b"content-length: 0\r\n\r\n") for request in requests)


@pytest.mark.parametrize("end", range(len(OK)))
def test_a_response_is_measured_by_its_head_alone(end: int) -> None:
    assert response_size(OK[:end]) == (len(OK) if b"\r\n\r\n" in OK[:end] else 0)
