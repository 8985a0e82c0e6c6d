"""The calling side of a link: what happens to a request in each state of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from stator.runtime.errors import ActorError
from stator.runtime.link.channel import Channel
from stator.runtime.link.dialer import Dialer, Outcome
from stator.runtime.link.frame_codec import MAX_FRAME_BYTES, LinkProtocolError
from stator.runtime.link.frames import (
    Ack,
    AnyFrame,
    BodyPart,
    ClientGone,
    Goodbye,
    Hello,
    ListNamespaces,
    Refusal,
    Result,
)

PATIENCE_S = 20.0
"""Longer than any scenario takes; a test that needs it has failed."""
GATEWAY, WORKER = Hello("gateway", 0, 1), Hello("worker", 0, 1)


class Worker:
    """The listening side: it does only what a test tells it to."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.opened: asyncio.Queue[Channel] = asyncio.Queue()
        self.lost: asyncio.Queue[Channel] = asyncio.Queue()
        self.received: asyncio.Queue[tuple[AnyFrame, bytes]] = asyncio.Queue()

    async def listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(self._make_channel, self.path)

    async def greet(self) -> Channel:
        """Return the next link after the greetings in both directions."""
        channel = await self.opened.get()
        assert await self.received.get() == (GATEWAY, b"")
        channel.send(WORKER)
        return channel

    def _make_channel(self) -> Channel:
        return Channel(
            lambda frame, payload: self.received.put_nowait((frame, payload)),
            lambda channel, _: self.lost.put_nowait(channel),
            on_open=lambda channel, _: self.opened.put_nowait(channel),
        )


class Ledger:
    """An inbox that keeps what it was told."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[AnyFrame] = asyncio.Queue()
        self.told: list[str] = []

    def take(self, dialer: Dialer, frame: AnyFrame, payload: bytes) -> None:
        self.taken.put_nowait(frame)

    def link_up(self, dialer: Dialer) -> None:
        self.told.append("up")

    def link_lost(self, dialer: Dialer) -> None:
        self.told.append("lost")


Scenario = Callable[[Worker, Dialer], Awaitable[None]]


def on_link(
    short_tmp: Path,
    scenario: Scenario,
    *,
    ready_timeout: float = PATIENCE_S,
    inbox: Ledger | None = None,
) -> None:
    """Run ``scenario`` with a worker that listens and a dialer that has not started."""

    async def main() -> None:
        worker = Worker(str(short_tmp / "worker"))
        dialer = Dialer(worker.path, GATEWAY, ready_timeout=ready_timeout, inbox=inbox)
        server = await worker.listen()
        try:
            await scenario(worker, dialer)
        finally:
            dialer.close()
            server.close()
            await server.wait_closed()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def ask(dialer: Dialer, payload: bytes = b"") -> asyncio.Future[Outcome]:
    return dialer.request(ListNamespaces(dialer.next_id(), 0), payload)


async def failure(reply: asyncio.Future[Outcome]) -> str:
    with pytest.raises(ActorError) as caught:
        await reply
    return f"{caught.value.group}.{caught.value.code}"


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


# -- a worker that leaves


async def say_goodbye(worker: Worker, channel: Channel, *, owed: int = 0) -> None:
    """Part with a dialer that waits for ``owed`` replies; what it sent before was waited past."""
    channel.send(Goodbye())
    for _ in range(1 if owed else 2):
        assert await worker.received.get() == (Goodbye(), b"")


def test_a_goodbye_is_answered_and_replies_still_arrive(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        reply = ask(dialer)
        channel = await worker.greet()
        await worker.received.get()
        await say_goodbye(worker, channel, owed=1)
        assert not dialer.on_connected.is_set()
        channel.send(Result(1), b"answer")
        assert await reply == (Result(1), b"answer")

    on_link(short_tmp, scenario)


def test_a_second_goodbye_tells_that_no_reply_is_owed_any_more(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        replies = [ask(dialer) for _ in range(3)]
        channel = await worker.greet()
        for _ in replies:
            await worker.received.get()
        await say_goodbye(worker, channel, owed=3)
        channel.send(Result(2))
        await replies[1]
        dialer.forget(1)
        assert worker.received.empty()
        channel.send(Result(3))
        assert await worker.received.get() == (Goodbye(), b"")
        channel.send(Result(1))
        dialer.forget(3)
        dialer.post(BodyPart(4, True))
        assert await worker.received.get() == (BodyPart(4, True), b"")

    on_link(short_tmp, scenario)


def test_a_request_after_a_goodbye_waits_for_the_successor(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        dialer.start()
        channel = await worker.greet()
        await say_goodbye(worker, channel)
        reply = ask(dialer, b"later")
        channel.close()
        successor = await worker.greet()
        assert await worker.received.get() == (ListNamespaces(1, 0), b"later")
        successor.send(Result(1))
        assert await reply == (Result(1), b"")

    on_link(short_tmp, scenario)


def test_a_request_after_a_goodbye_waits_no_longer_than_the_ready_timeout(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        dialer.start()
        await say_goodbye(worker, await worker.greet())
        assert await failure(ask(dialer)) == "guard.actor_ready_timeout"

    on_link(short_tmp, scenario, ready_timeout=0.03)


def test_what_a_leaving_worker_did_not_answer_fails_when_the_link_ends(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        reply = ask(dialer)
        channel = await worker.greet()
        await worker.received.get()
        await say_goodbye(worker, channel, owed=1)
        assert not reply.done()
        channel.close()
        assert await failure(reply) == "actor.restarting"

    on_link(short_tmp, scenario)


def test_a_leaving_worker_is_sent_nothing_but_the_rest_of_its_exchanges(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        dialer.start()
        channel = await worker.greet()
        await dialer.on_connected.wait()
        assert dialer.post(ClientGone(1, 1000, ""))
        assert await worker.received.get() == (ClientGone(1, 1000, ""), b"")
        await say_goodbye(worker, channel)
        assert not dialer.post(ClientGone(2, 1000, ""))
        assert dialer.post(BodyPart(3, True), b"end")
        assert await worker.received.get() == (BodyPart(3, True), b"end")

    on_link(short_tmp, scenario)


def test_the_inbox_hears_a_leaving_worker_and_of_the_end_of_its_link_once(short_tmp: Path) -> None:
    inbox = Ledger()

    async def scenario(worker: Worker, dialer: Dialer) -> None:
        dialer.start()
        channel = await worker.greet()
        await say_goodbye(worker, channel)
        channel.send(Ack(7, 0))
        assert await inbox.taken.get() == Ack(7, 0)
        assert inbox.told == ["up"]
        channel.close()
        await worker.greet()
        await dialer.on_connected.wait()
        assert inbox.told == ["up", "lost", "up"]

    on_link(short_tmp, scenario, inbox=inbox)


def test_a_worker_that_takes_leave_before_it_greeted_is_cut_off(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
        dialer.start()
        channel = await worker.opened.get()
        assert await worker.received.get() == (GATEWAY, b"")
        channel.send(Goodbye())
        assert await worker.lost.get() is channel
        await worker.greet()

    on_link(short_tmp, scenario)


# -- closing


def test_close_ends_the_link_to_a_leaving_worker(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        handed_over = ask(dialer)
        channel = await worker.greet()
        await worker.received.get()
        await say_goodbye(worker, channel, owed=1)
        waiting = ask(dialer)
        dialer.close()
        assert await failure(handed_over) == "actor.restarting"
        assert await failure(waiting) == "guard.service_unavailable"
        assert await worker.lost.get() is channel

    on_link(short_tmp, scenario)


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
