"""The calling side of a link: what happens to a request in each state of it."""

import asyncio
from pathlib import Path

import pytest

from stator.runtime.errors import ActorError
from stator.runtime.link.dialer import Dialer
from stator.runtime.link.frame_codec import MAX_FRAME_BYTES, LinkProtocolError
from stator.runtime.link.frames import (
    ListNamespaces,
    Refusal,
    Result,
)
from tests.fakes.dialed_worker import (
    GATEWAY,
    PATIENCE_S,
    WORKER,
    Worker,
    ask,
    failure,
    on_link,
)


def test_a_request_waits_until_the_worker_said_hello(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        reply = ask(dialer, b"body")
        channel = await worker.opened.get()
        assert await worker.received.get() == (GATEWAY, b"")
        assert worker.received.empty()
        assert not dialer.on_connected.is_set()
        channel.send(WORKER)
        assert await worker.received.get() == (ListNamespaces(1, 0), b"body")
        assert dialer.on_connected.is_set()
        assert dialer.in_flight == 1
        channel.send(Result(1), b"answer")
        assert await reply == (Result(1), b"answer")
        assert dialer.in_flight == 0

    on_link(short_tmp, scenario)


def test_start_connects_before_there_is_a_request(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        dialer.start()
        dialer.start()
        await worker.greet()
        await dialer.on_connected.wait()
        assert worker.opened.empty()

    on_link(short_tmp, scenario)


def test_replies_find_their_requests_in_any_order(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        replies = [ask(dialer) for _ in range(3)]
        channel = await worker.greet()
        assert [(await worker.received.get())[0] for _ in replies] == [
            ListNamespaces(number, 0) for number in (1, 2, 3)
        ]
        channel.send(Result(3), b"c")
        channel.send(Result(99), b"nobody asked")
        channel.send(Refusal(1, "actor", "not_found", "gone", 404))
        channel.send(Result(2), b"b")
        assert await replies[0] == (Refusal(1, "actor", "not_found", "gone", 404), b"")
        assert [(await reply)[1] for reply in replies[1:]] == [b"b", b"c"]

    on_link(short_tmp, scenario)


def test_a_dialer_waits_for_a_worker_that_does_not_listen_yet(short_tmp: Path) -> None:
    async def main() -> None:
        worker = Worker(str(short_tmp / "worker"))
        dialer = Dialer(worker.path, GATEWAY, ready_timeout=PATIENCE_S)
        reply = ask(dialer)
        await asyncio.sleep(0)
        server = await worker.listen()
        channel = await worker.greet()
        channel.send(Result(1))
        assert await reply == (Result(1), b"")
        dialer.close()
        server.close()
        await server.wait_closed()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def test_a_request_that_was_handed_over_fails_when_the_link_breaks(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        reply = ask(dialer)
        channel = await worker.greet()
        await worker.received.get()
        channel.close()
        with pytest.raises(ActorError) as caught:
            await reply
        error = caught.value
        assert (error.group, error.code, error.status) == ("actor", "restarting", 503)
        assert error.metadata == {"retryable": True}
        assert dialer.in_flight == 0
        assert not dialer.on_connected.is_set()

    on_link(short_tmp, scenario)


def test_a_request_that_waits_survives_a_reconnect(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        first = ask(dialer)
        channel = await worker.greet()
        await worker.received.get()
        channel.close()
        assert await failure(first) == "actor.restarting"
        second = ask(dialer)
        rude = await worker.opened.get()
        await worker.received.get()
        rude.close()
        channel = await worker.greet()
        assert await worker.received.get() == (ListNamespaces(2, 0), b"")
        channel.send(Result(2))
        assert await second == (Result(2), b"")

    on_link(short_tmp, scenario)


def test_a_link_comes_back_without_being_asked(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        dialer.start()
        for _ in range(3):
            channel = await worker.greet()
            await dialer.on_connected.wait()
            channel.close()
            await worker.lost.get()
        await worker.greet()

    on_link(short_tmp, scenario)


def test_a_request_waits_no_longer_than_the_ready_timeout(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        first = ask(dialer)
        second = ask(dialer)
        cancelled = ask(dialer)
        cancelled.cancel()
        assert await failure(first) == "guard.actor_ready_timeout"
        late = ask(dialer)
        assert await failure(second) == "guard.actor_ready_timeout"
        assert await failure(late) == "guard.actor_ready_timeout"
        channel = await worker.greet()
        await dialer.on_connected.wait()
        assert worker.received.empty(), "what timed out is not handed over"
        reply = ask(dialer)
        assert await worker.received.get() == (ListNamespaces(5, 0), b"")
        channel.send(Result(5))
        await reply

    on_link(short_tmp, scenario, ready_timeout=0.03)


def test_each_request_waits_from_when_it_was_made(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(_: Worker, dialer: Dialer) -> None:
        loop = asyncio.get_running_loop()
        real_time, moved = loop.time, [0.0]
        monkeypatch.setattr(loop, "time", lambda: real_time() + moved[0])
        first = ask(dialer)
        moved[0] = 2.0
        second = ask(dialer)
        moved[0] = 3.0
        assert await failure(first) == "guard.actor_ready_timeout"
        assert not second.done()
        assert dialer.in_flight == 1
        moved[0] = 5.0
        assert await failure(second) == "guard.actor_ready_timeout"

    on_link(short_tmp, scenario, ready_timeout=2.5)


def test_a_request_nobody_waits_for_is_not_handed_over(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        ask(dialer).cancel()
        reply = ask(dialer)
        channel = await worker.greet()
        assert await worker.received.get() == (ListNamespaces(2, 0), b"")
        reply.cancel()
        channel.send(Result(2))
        channel.send(Result(3))
        later = ask(dialer)
        await worker.received.get()
        assert await later == (Result(3), b"")

    on_link(short_tmp, scenario)


def test_a_request_larger_than_a_frame_fails_alone(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        early, fine = ask(dialer, bytes(MAX_FRAME_BYTES)), ask(dialer)
        channel = await worker.greet()
        with pytest.raises(LinkProtocolError, match="larger than"):
            await early
        with pytest.raises(LinkProtocolError, match="larger than"):
            await ask(dialer, bytes(MAX_FRAME_BYTES))
        channel.send(Result(2))
        assert await fine == (Result(2), b"")
        assert dialer.in_flight == 0

    on_link(short_tmp, scenario)


def test_a_worker_that_asks_instead_of_answering_is_cut_off(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
        reply = ask(dialer)
        channel = await worker.greet()
        channel.send(ListNamespaces(1, 0))
        assert await failure(reply) == "actor.restarting"
        assert await worker.lost.get() is channel

    on_link(short_tmp, scenario)


# -- closing


def test_close_fails_what_is_under_way(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        reply = ask(dialer)
        await worker.greet()
        await worker.received.get()
        dialer.close()
        assert await failure(reply) == "actor.restarting"
        assert await failure(ask(dialer)) == "guard.service_unavailable"
        assert not dialer.on_connected.is_set()
        await worker.lost.get()
        assert await failure(ask(dialer)) == "guard.service_unavailable"
        dialer.start()
        dialer.close()
        assert dialer.in_flight == 0

    on_link(short_tmp, scenario)


def test_close_fails_what_waits_for_the_greeting_and_ends_the_link(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        reply = ask(dialer)
        channel = await worker.opened.get()
        await worker.received.get()
        dialer.close()
        assert await failure(reply) == "guard.service_unavailable"
        channel.send(WORKER)
        assert await worker.lost.get() is channel
        assert not dialer.on_connected.is_set()
        assert await failure(ask(dialer)) == "guard.service_unavailable"

    on_link(short_tmp, scenario)


def test_close_ends_the_search_for_a_worker(short_tmp: Path) -> None:
    async def main() -> None:
        dialer = Dialer(str(short_tmp / "nobody"), GATEWAY, ready_timeout=PATIENCE_S)
        reply = ask(dialer)
        (search,) = [task for task in asyncio.all_tasks() if "link" in task.get_name()]
        await asyncio.sleep(0)
        dialer.close()
        assert await failure(reply) == "guard.service_unavailable"
        with pytest.raises(asyncio.CancelledError):
            await search

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def test_ids_are_never_given_twice(short_tmp: Path) -> None:
    async def main() -> None:
        dialer = Dialer(str(short_tmp / "nobody"), GATEWAY, ready_timeout=PATIENCE_S)
        assert [dialer.next_id() for _ in range(4)] == [1, 2, 3, 4]

    asyncio.run(main())
