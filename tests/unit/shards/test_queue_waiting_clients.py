"""Clients that wait until their message is completed (semantics page, section 7.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import ActorError, Conn, Options, Queue
from stator.runtime.errors import ActorNotFound
from stator.runtime.link.frames import Answer, ExchangeAborted, Refusal
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    encode_queue_request,
)
from stator.runtime.queues import QueueMessage
from stator.shards.shard import Limits
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.linked_gateway import Gateway
from tests.fakes.queue_users import Desk, Office, answer_to, open_office

TIMED_OUT = QueueSendResponse("timedOut")
SEEN: list[str] = []


class Patient(Desk):
    options = Options(no_sleep=True, action_timeout=60.0)
    anything = Queue[Any, Any]()


class Sleepy(Desk):
    options = Options(sleep_timeout=5.0)


class Watching(Desk):
    def on_connect(self, conn: Conn) -> None:
        SEEN.append("on_connect")

    def on_disconnect(self, conn: Conn) -> None:
        SEEN.append("on_disconnect")


class Worker(Desk):
    """Completes what comes."""

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs, completable=True):
            await message.complete(len(message.body))


async def take(office: Office, *queues: str) -> QueueMessage[Any, Any]:
    message = await office.queue.next(*queues, completable=True)
    assert message is not None
    return message


async def error_of(outcome: Any) -> ActorError:
    with pytest.raises(ActorError) as caught:
        answer_to(await outcome)
    return caught.value


class Late(Desk):
    """Completes what comes, in every life but its first."""

    async def run(self) -> None:
        if self.state:
            async for message in self.queue.iter(self.jobs, completable=True):
                await message.complete(len(message.body))
        self.state = 1


async def test_the_client_gets_the_reply() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        assert not reply.done()
        await (await take(office)).complete(7)
        assert answer_to(await reply) == QueueSendResponse("completed", 7)


async def test_a_loop_completes_what_clients_wait_for() -> None:
    async with open_office(Worker) as office:
        reply = office.publish("four", wait=True)
        assert answer_to(await reply) == QueueSendResponse("completed", 4)


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.CBOR, Encoding.BARE])
async def test_the_reply_is_in_the_encoding_of_the_client(encoding: Encoding) -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True, encoding=encoding, version=3)
        await turns()
        await (await take(office)).complete(7)
        assert answer_to(await reply, encoding) == QueueSendResponse("completed", 7)


async def test_without_a_reply_the_client_hears_of_the_completion() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        await (await take(office)).complete()
        assert answer_to(await reply) == QueueSendResponse("completed")


async def test_the_reply_leaves_with_the_commit_of_the_completion() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        message = await take(office)
        office.store.hold_commits()
        office.actor.state = 3
        completing = asyncio.ensure_future(message.complete(7))
        await turns()
        assert not reply.done()
        office.store.release_commits()
        await asyncio.gather(completing, reply)
        assert office.store.commits[-1].states


async def test_a_completion_that_is_lost_is_not_answered() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        message = await take(office)
        office.store.fail_next_commit()
        with pytest.raises(ActorError):
            await message.complete(7)
        assert (await error_of(reply)).code == "unavailable"


async def test_a_reply_that_the_client_cannot_be_sent_may_be_mended() -> None:
    async with open_office(Patient) as office:
        reply = office.publish("a", "anything", wait=True, encoding=Encoding.JSON)
        await turns()
        message = await take(office)
        with pytest.raises(ActorError) as caught:
            await message.complete({1, object()})
        assert caught.value.code == "invalid_completion_payload"
        await message.complete("ok")
        assert answer_to(await reply, Encoding.JSON) == QueueSendResponse("completed", "ok")


async def test_a_reply_that_is_too_long_may_be_mended() -> None:
    async with open_office(Patient, limits=Limits(max_response_bytes=100)) as office:
        reply = office.publish("a", "anything", wait=True)
        await turns()
        message = await take(office)
        with pytest.raises(ActorError) as caught:
            await message.complete("x" * 100)
        assert caught.value.code == "invalid_completion_payload"
        await message.complete("ok")
        assert answer_to(await reply) == QueueSendResponse("completed", "ok")


async def test_the_client_is_told_when_its_time_is_over() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True, timeout=2000)
        await turns()
        await office.pass_time(1.9)
        assert not reply.done()
        await office.pass_time(0.1)
        assert answer_to(await reply) == TIMED_OUT


async def test_its_message_stays() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True, timeout=2000)
        await turns()
        await office.pass_time(2)
        await reply
        await (await take(office)).complete(1)
        assert office.stored_ids == []


async def test_a_timeout_of_nothing_is_over_once_the_message_is_on_disk() -> None:
    async with open_office() as office:
        await office.queue.try_next()
        office.store.hold_commits()
        reply = office.publish("a", wait=True, timeout=0)
        await turns()
        assert not reply.done()
        office.store.release_commits()
        assert answer_to(await reply) == TIMED_OUT
        assert office.stored_ids == [1]


@pytest.mark.parametrize("timeout_ms", [None, 70_000], ids=repr)
async def test_the_action_timeout_bounds_the_wait(timeout_ms: float | None) -> None:
    async with open_office(Patient) as office:
        reply = office.publish("a", wait=True, timeout=timeout_ms)
        await turns()
        await office.pass_time(59)
        assert not reply.done()
        await office.pass_time(1)
        error = await error_of(reply)
        assert (error.group, error.code, error.status) == ("actor", "action_timed_out", 408)
        assert office.stored_ids == [1]


async def test_a_timeout_as_long_as_the_action_timeout_is_a_timeout() -> None:
    async with open_office(Patient) as office:
        reply = office.publish("a", wait=True, timeout=60_000)
        await turns()
        await office.pass_time(60)
        assert answer_to(await reply) == TIMED_OUT


async def test_a_plainly_received_message_answers_nobody() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True, timeout=2000)
        await turns()
        assert await office.queue.next() is not None
        await turns()
        assert not reply.done()
        await office.pass_time(2)
        assert answer_to(await reply) == TIMED_OUT


async def test_a_waiting_client_keeps_the_actor_awake() -> None:
    async with open_office(Sleepy) as office:
        reply = office.publish("a", wait=True, timeout=20_000)
        await turns()
        await office.pass_time(20)
        assert office.cell.generation == 1
        await reply
        await office.pass_time(5)
        await wait_until(lambda: not office.local.is_awake("desk"), "the actor sleeps")


async def test_its_connection_is_there_while_it_waits() -> None:
    async with open_office(Watching) as office:
        SEEN.clear()
        reply = office.publish("a", wait=True)
        await turns()
        assert SEEN == ["on_connect"]
        assert len(office.actor.conns) == 1
        await (await take(office)).complete(1)
        await reply
        assert SEEN == ["on_connect", "on_disconnect"]


# -- clients that leave


def publish_over_a_link(office: Office) -> tuple[Gateway, int]:
    """Let a client of a gateway publish and wait; return the gateway and the request's id."""
    gateway = Gateway(office.local)
    publish = office.frame()
    request = QueueSendRequest("a", None, True)
    gateway.say(publish, encode_queue_request(Encoding.NATIVE, 0, request))
    return gateway, publish.id


@pytest.mark.parametrize("with_its_gateway", [True, False])
async def test_a_client_that_leaves_waits_no_longer(with_its_gateway: bool) -> None:
    async with open_office(Watching) as office:
        gateway, number = publish_over_a_link(office)
        await turns()
        assert (office.cell.running, len(office.actor.conns)) == (1, 1)
        if with_its_gateway:
            gateway.lose()
        else:
            gateway.say(ExchangeAborted(number))
        await turns()
        assert (office.cell.running, len(office.actor.conns)) == (0, 0)


async def test_the_message_of_a_client_that_leaves_stays() -> None:
    async with open_office() as office:
        gateway, number = publish_over_a_link(office)
        await turns()
        gateway.say(ExchangeAborted(number))
        await (await take(office)).complete(1)
        assert gateway.of(Answer, Refusal) == []


async def test_a_client_over_a_link_gets_the_reply() -> None:
    async with open_office() as office:
        gateway, number = publish_over_a_link(office)
        await turns()
        await (await take(office)).complete(1)
        assert [answer.id for answer in gateway.of(Answer)] == [number]
        gateway.say(ExchangeAborted(number))  # crossed the answer on its way


# -- stops


async def test_a_waiting_client_does_not_hold_up_a_stop() -> None:
    async with open_office() as office:
        office.publish("a", wait=True)
        await turns()
        office.cell.sleep()
        await turns(50)  # and no grace period by the clock
        assert office.local.is_awake("desk"), "the next generation, which the client waits for"
        assert office.cell.generation == 2


async def test_the_next_life_answers_who_waited() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        office.cell.sleep()
        await wait_until(lambda: office.local.is_awake("desk"), "the actor is awake again")
        await wait_until(lambda: office.cell.generation == 2, "it is the next generation")
        await turns()
        await (await take(office)).complete(7)
        assert answer_to(await reply) == QueueSendResponse("completed", 7)


async def test_a_next_life_that_begins_with_the_completion_answers_who_waited() -> None:
    async with open_office(Late) as office:
        reply = office.publish("four", wait=True)
        await turns()
        office.cell.sleep()
        await turns(50)
        assert office.cell.generation == 2
        assert reply.done()
        assert answer_to(await reply) == QueueSendResponse("completed", 4)


async def test_who_waits_over_a_sleep_is_one_message() -> None:
    async with open_office() as office:
        office.publish("a", wait=True)
        await turns()
        office.cell.sleep()
        await turns(50)
        assert office.stored_ids == [1]


async def test_who_waits_over_a_sleep_visits_once() -> None:
    async with open_office(Watching) as office:
        SEEN.clear()
        office.publish("a", wait=True)
        await turns()
        office.cell.sleep()
        await turns(50)
        assert office.cell.generation == 2
        assert SEEN == ["on_connect", "on_disconnect"]


async def test_time_goes_on_over_a_sleep() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True, timeout=5000)
        await turns()
        await office.pass_time(3)
        office.cell.sleep()
        await turns(50)
        assert office.cell.generation == 2
        await office.pass_time(1.9)
        assert not reply.done()
        await office.pass_time(0.1)
        assert answer_to(await reply) == TIMED_OUT


async def test_the_action_timeout_goes_on_over_a_sleep() -> None:
    async with open_office(Patient) as office:
        reply = office.publish("a", wait=True)
        await turns()
        await office.pass_time(50)
        office.cell.sleep()
        await turns(50)
        await office.pass_time(10)
        assert (await error_of(reply)).code == "action_timed_out"


async def test_a_message_completed_while_the_actor_stops_is_answered_by_it() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        go_on = asyncio.Event()
        office.actor.keep_awake(go_on.wait())
        message = await take(office)
        office.cell.sleep()
        await turns()
        await message.complete(7)
        assert answer_to(await reply) == QueueSendResponse("completed", 7)
        go_on.set()


async def test_a_lost_actor_tells_who_waits() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        office.store.fail_next_commit()
        office.actor.state = 1
        with pytest.raises(ActorError):
            await office.actor.save_state()
        error = await error_of(reply)
        assert (error.group, error.code) == ("storage", "unavailable")


async def test_who_waits_can_be_told_why_nothing_will_come_of_it() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        assert office.cell.queues is not None
        office.cell.queues.fail(ActorNotFound())
        assert (await error_of(reply)).code == "not_found"
        assert office.cell.running == 0


async def test_who_waits_for_an_actor_that_is_destroyed_is_told() -> None:
    async with open_office() as office:
        reply = office.publish("a", wait=True)
        await turns()
        office.cell.destroy()
        await turns(60)
        assert reply.done()
        assert (await error_of(reply)).code == "not_found"
