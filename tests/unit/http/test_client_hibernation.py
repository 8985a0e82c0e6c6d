"""Connections that stay while their actors leave memory and while workers die."""

from __future__ import annotations

from pathlib import Path

import pytest

from stator.runtime.link.frames import (
    Ack,
    AnyFrame,
    ClientGone,
    CloseConnection,
    Deliver,
    Goodbye,
    Message,
    Refusal,
    Result,
    Suspended,
    WakeActor,
)
from tests.fakes.held_clients import (
    ACTOR,
    OTHER_ACTOR,
    HeldClient,
    HeldClients,
    held_clients,
    messages_in,
)
from tests.fakes.scripted_worker import WorkerLink


async def _suspend(gateway: HeldClients, *clients: HeldClient) -> None:
    gateway.link.send(*(Suspended(client.number, ACTOR) for client in clients))
    assert await gateway.link.sync() == []


async def _suspended(gateway: HeldClients) -> HeldClient:
    client = await gateway.opened()
    await _suspend(gateway, client)
    return client


async def _waking(gateway: HeldClients) -> tuple[HeldClient, WakeActor]:
    client = await _suspended(gateway)
    client.say("wake up")
    return client, await gateway.link.next(WakeActor)


# ------------------------------------------------------------------------------ falling asleep


async def test_a_client_stays_while_its_actor_sleeps(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await _suspended(gateway)
        assert (client.phase, client.heard()) == ("suspended", [])


async def test_a_message_wakes_the_actor(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        assert (request.key, request.shard, client.phase) == (ACTOR, 0, "waking")


async def test_a_message_for_a_sleeping_actor_is_not_sent_to_it(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await _suspended(gateway)
        client.say("wake up")
        assert messages_in(await gateway.link.sync()) == []
        assert client.kept() == {0: b"wake up"}


async def test_unanswered_messages_wake_it_without_waiting_for_the_next(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("too late for this generation")
        await gateway.link.sync()
        gateway.link.send(Suspended(client.number, ACTOR))
        assert [type(frame) for frame in await gateway.link.frames()] == [WakeActor]
        assert client.phase == "waking"


async def test_a_message_that_crosses_the_suspension_wakes_it(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(Suspended(client.number, ACTOR))
        client.say("on its way")
        frames = await gateway.link.frames()
        assert [type(frame) for frame in frames] == [Message, WakeActor]


async def test_one_request_wakes_an_actor_for_all_its_clients(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        clients = [await gateway.opened() for _ in range(3)]
        other = await gateway.opened(actor=OTHER_ACTOR)
        await _suspend(gateway, *clients, other)
        for client in [*clients, other]:
            client.say("wake up")
        requests = [frame for frame in await gateway.link.frames() if isinstance(frame, WakeActor)]
        assert {request.key for request in requests} == {ACTOR, OTHER_ACTOR}
        assert len(requests) == 2


async def test_messages_of_a_sleeping_actors_client_are_bounded(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_messages=2) as gateway:
        client = await _suspended(gateway)
        client.say("0", "1")
        assert not client.is_read


# ------------------------------------------------------------------------------ waking up


async def test_a_revived_connection_sends_what_was_kept(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        client.say("and more")
        gateway.link.send(client.revived(), Result(request.id))
        received = messages_in(await gateway.link.sync())
        assert received == [(client.number, 0, b"wake up"), (client.number, 1, b"and more")]
        assert (client.phase, client.heard()) == ("open", [])


async def test_only_what_was_not_acknowledged_is_sent_again(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("0", "1", "2", "3", "4")
        await gateway.link.sync()
        gateway.link.send(Ack(client.number, 0), Ack(client.number, 3))
        gateway.link.send(Suspended(client.number, ACTOR))
        request = await gateway.link.next(WakeActor)
        gateway.link.send(client.revived(), Result(request.id))
        indexes = [index for _, index, _ in messages_in(await gateway.link.sync())]
        assert indexes == [1, 2, 4]


async def test_what_is_acknowledged_on_the_way_is_not_sent_again(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        client.say("1")
        gateway.link.send(Ack(client.number, 0), client.revived(), Result(request.id))
        assert messages_in(await gateway.link.sync()) == [(client.number, 1, b"1")]


async def test_a_revived_connection_counts_on(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        gateway.link.send(client.revived(), Ack(client.number, 0), Result(request.id))
        await gateway.link.sync()
        client.say("next")
        assert messages_in(await gateway.link.sync()) == [(client.number, 1, b"next")]


async def test_someone_elses_request_wakes_it_too(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await _suspended(gateway)
        gateway.link.send(client.revived())
        assert await gateway.link.sync() == []
        client.say("hello")
        assert messages_in(await gateway.link.sync()) == [(client.number, 0, b"hello")]


async def test_an_actor_that_wakes_sleeps_and_wakes(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        for index in range(3):
            gateway.link.send(client.revived(), Result(request.id), Ack(client.number, index))
            gateway.link.send(Suspended(client.number, ACTOR))
            await gateway.link.sync()
            assert client.phase == "suspended"
            client.say("again")
            request = await gateway.link.next(WakeActor)
        assert client.phase == "waking"


async def test_an_actor_that_sleeps_right_behind_its_waking_is_woken_again(
    short_tmp: Path,
) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        gateway.link.send(client.revived(), Result(request.id), Suspended(client.number, ACTOR))
        second = await gateway.link.next(WakeActor)
        assert (second.id != request.id, client.phase) == (True, "waking")
        gateway.link.send(client.revived(), Result(second.id))
        assert messages_in(await gateway.link.sync()) == [(client.number, 0, b"wake up")]
        assert (client.phase, client.ending()) == ("open", None)


async def test_an_actor_that_is_awake_without_a_connection_loses_it(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        gateway.link.send(Result(request.id))
        await gateway.link.sync()
        assert client.ending() == (1011, "connection.restore_not_found#ray1")
        assert gateway.switchboard.connections == {}


async def test_an_actor_that_is_gone_ends_its_connections(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        clients = [await gateway.opened() for _ in range(2)]
        await _suspend(gateway, *clients)
        for client in clients:
            client.say("wake up")
        request = await gateway.link.next(WakeActor)
        gateway.link.send(Refusal(request.id, "actor", "not_found", "Gone.", 404))
        await gateway.link.sync()
        assert [client.ending() for client in clients] == [(1011, "actor.not_found#ray1")] * 2
        assert gateway.switchboard.connections == {}


@pytest.mark.parametrize(
    "code",
    [
        "guard.service_unavailable",
        "actor.restarting",
        "actor.stopping",
        "guard.actor_ready_timeout",
    ],
)
async def test_what_passes_is_tried_again(short_tmp: Path, code: str) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        group, _, name = code.partition(".")
        gateway.link.send(Refusal(request.id, group, name, "Not now.", 503))
        again = await gateway.link.next(WakeActor)
        gateway.link.send(client.revived(), Result(again.id))
        await gateway.link.sync()
        assert (client.phase, client.ending()) == ("open", None)


async def test_waking_has_a_time_limit(short_tmp: Path) -> None:
    async with held_clients(short_tmp, wake_timeout_s=0.01) as gateway:
        client, request = await _waking(gateway)
        assert await client.until_ending() == (1011, "guard.actor_ready_timeout#ray1")
        assert gateway.backends.in_flight == 0
        gateway.link.send(client.revived(), Result(request.id))
        assert await gateway.link.frames() == [ClientGone(client.number, 1006, "")]


async def test_waking_has_a_time_limit_while_no_worker_is_there(short_tmp: Path) -> None:
    async with held_clients(short_tmp, wake_timeout_s=0.01) as gateway:
        client = await _suspended(gateway)
        gateway.link.close()
        link = await gateway.worker.next_link()
        client.say("wake up")
        await client.until_ending()
        link.greet()
        assert await link.sync() == []


async def test_an_actor_may_close_what_it_is_woken_for(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        closing = CloseConnection(client.number, 1000, "over")
        gateway.link.send(client.revived(), closing, Result(request.id))
        await gateway.link.sync()
        assert client.ending() == (1000, "over")


# ---------------------------------------------------------------------------- workers that die


async def _die(gateway: HeldClients) -> WorkerLink:
    gateway.link.close()
    return await gateway.new_link()


async def test_an_open_connection_outlives_its_worker(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("0", "1")
        await gateway.link.sync()
        link = await _die(gateway)
        request = await link.next(WakeActor)
        assert client.phase == "waking"
        link.send(client.revived(), Result(request.id))
        received = messages_in(await link.sync())
        assert received == [(client.number, 0, b"0"), (client.number, 1, b"1")]
        assert client.heard() == []


async def test_an_actor_that_was_awake_is_awake_again(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        await gateway.opened()
        link = await _die(gateway)
        assert (await link.next(WakeActor)).key == ACTOR


async def test_one_request_wakes_a_lost_actor_for_all_its_clients(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        for _ in range(5):
            await gateway.opened()
        link = await _die(gateway)
        assert [type(frame) for frame in await link.frames()] == [WakeActor]


async def test_an_actor_that_slept_sleeps_on(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await _suspended(gateway)
        link = await _die(gateway)
        assert await link.sync() == []
        assert client.phase == "suspended"
        client.say("wake up")
        assert (await link.next(WakeActor)).key == ACTOR


async def test_a_worker_that_dies_while_it_wakes_an_actor(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, _ = await _waking(gateway)
        link = await _die(gateway)
        request = await link.next(WakeActor)
        link.send(client.revived(), Result(request.id))
        assert messages_in(await link.sync()) == [(client.number, 0, b"wake up")]


async def test_a_worker_that_dies_behind_its_revival(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, _ = await _waking(gateway)
        gateway.link.send(client.revived())
        await gateway.link.sync()
        link = await _die(gateway)
        request = await link.next(WakeActor)
        link.send(client.revived(), Result(request.id))
        await link.sync()
        assert (client.phase, client.ending()) == ("open", None)


async def test_messages_to_a_worker_that_leaves_wait_for_its_successor(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(Goodbye())
        client.say("for whom it may concern")
        await _said_goodbye(gateway.link)
        client.say("and this")
        gateway.link.send(Suspended(client.number, ACTOR))
        link = await _die(gateway)
        request = await link.next(WakeActor)
        link.send(client.revived(), Result(request.id))
        indexes = [index for _, index, _ in messages_in(await link.sync())]
        assert indexes == [0, 1]


# -------------------------------------------------------------------------- clients that leave


async def _said_goodbye(link: WorkerLink) -> None:
    await link.next(Goodbye)
    await link.next(Goodbye)


async def test_a_client_that_leaves_a_sleeping_actor_wakes_it_to_say_so(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await _suspended(gateway)
        client.leave()
        request = await gateway.link.next(WakeActor)
        assert client.phase == "leaving"
        gateway.link.send(client.revived(), Result(request.id))
        assert await gateway.link.frames() == [ClientGone(client.number, 1006, "")]
        assert (client.phase, gateway.switchboard.connections) == ("over", {})


async def test_a_client_that_leaves_a_waking_actor(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        client.leave()
        assert (client.phase, client.kept()) == ("leaving", {})
        gateway.link.send(client.revived(), Result(request.id))
        assert await gateway.link.frames() == [ClientGone(client.number, 1006, "")]


@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_client_that_left_an_actor_that_does_not_know_it(
    short_tmp: Path, is_refused: bool
) -> None:
    async with held_clients(short_tmp) as gateway:
        client, request = await _waking(gateway)
        client.leave()
        answer: AnyFrame = Result(request.id)
        if is_refused:
            answer = Refusal(request.id, "actor", "not_found", "Gone.", 404)
        gateway.link.send(answer)
        assert await gateway.link.sync() == []
        assert (client.phase, gateway.switchboard.connections) == ("over", {})


async def test_a_client_that_leaves_while_its_worker_leaves(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(Goodbye())
        await _said_goodbye(gateway.link)
        client.leave()
        gateway.link.send(Suspended(client.number, ACTOR))
        link = await _die(gateway)
        request = await link.next(WakeActor)
        link.send(client.revived(), Result(request.id))
        assert await link.frames() == [ClientGone(client.number, 1006, "")]
        assert gateway.switchboard.connections == {}


async def test_a_client_that_left_is_told_to_whoever_takes_over(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client, _ = await _waking(gateway)
        client.leave()
        link = await _die(gateway)
        request = await link.next(WakeActor)
        link.send(client.revived(), Result(request.id))
        assert await link.frames() == [ClientGone(client.number, 1006, "")]


async def test_a_slow_client_that_a_leaving_worker_ends_is_told_to_its_successor(
    short_tmp: Path,
) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(Goodbye())
        await _said_goodbye(gateway.link)
        client.stop_reading(unread=10**6)
        gateway.link.send(Deliver(client.number, -1, True), payload=b"event")
        link = await _die(gateway)
        request = await link.next(WakeActor)
        assert client.ending() == (1008, "ws.client_too_slow")
        client.leave()
        link.send(client.revived(), Result(request.id))
        assert await link.frames() == [ClientGone(client.number, 1006, "")]


async def test_a_client_that_leaves_while_its_actor_falls_asleep_wakes_it(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(client.suspended())
        client.leave()
        request = await gateway.link.next(WakeActor)
        assert (request.key, request.shard) == (ACTOR, 0)
        gateway.link.send(client.revived(), Result(request.id))
        assert await gateway.link.frames() == [ClientGone(client.number, 1006, "")]
