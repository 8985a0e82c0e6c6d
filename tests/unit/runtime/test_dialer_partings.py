"""The calling side of a link when its worker says Goodbye: what it still gets, what waits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from stator.runtime.link.channel import Channel
from stator.runtime.link.dialer import Dialer
from stator.runtime.link.frames import (
    Ack,
    BodyPart,
    ClientGone,
    Goodbye,
    ListNamespaces,
    Publish,
    Resolution,
    Result,
)
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.dialed_worker import GATEWAY, Ledger, Worker, ask, failure, on_link


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


def test_a_publication_that_comes_back_is_handed_to_the_successor(short_tmp: Path) -> None:
    async def scenario(worker: Worker, dialer: Dialer) -> None:
        first = Publish(
            dialer.next_id(), 0, Resolution.GET, "default", "a", "k", "q", Encoding.JSON, ""
        )
        reply = dialer.request(first, b"body")
        channel = await worker.greet()
        assert await worker.received.get() == (first, b"body")
        await say_goodbye(worker, channel)
        again = msgspec.structs.replace(first, stored_id=7, waited_ms=1500)
        channel.send(again, b"body")
        channel.close()
        successor = await worker.greet()
        assert await worker.received.get() == (again, b"body")
        successor.send(Result(first.id))
        assert await reply == (Result(first.id), b"")

    on_link(short_tmp, scenario)


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
