"""A client's connection from its opening to its end, while its actor stays in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from stator.runtime.errors import ActorError
from stator.runtime.link.frames import (
    Ack,
    ClientGone,
    CloseConnection,
    ConnectionKind,
    Deliver,
    Fanout,
    Message,
    OpenConnection,
    Opened,
    Refusal,
    Revive,
    Suspended,
    WakeActor,
)
from tests.fakes.held_clients import ACTOR, held_clients, messages_in
from tests.fakes.wire_frames import BINARY, TEXT

# ---------------------------------------------------------------------------------- opening


async def test_a_worker_is_asked_to_open_it(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        opening = await gateway.link.next(OpenConnection)
        assert (opening.id, opening.conn_id) == (client.number, client.connection.conn_id)
        assert client.phase == "opening"


async def test_it_is_open_when_the_worker_says_so(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened(is_hibernatable=True)
        connection = client.connection
        assert (connection.actor_id, connection.is_hibernatable) == (ACTOR, True)
        assert client.heard() == []


async def test_what_a_client_sends_before_is_kept_and_sent_in_order(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.say("before it was asked")
        client.open()
        client.say(b"before", "it was open")
        assert messages_in(await gateway.link.sync()) == []
        gateway.link.send(Opened(client.number, ACTOR, True))
        client.say("not read yet")
        received = await gateway.link.sync()
        assert messages_in(received) == [
            (client.number, 0, b"before it was asked"),
            (client.number, 1, b"before"),
            (client.number, 2, b"it was open"),
            (client.number, 3, b"not read yet"),
        ]


async def test_text_and_bytes_stay_what_they_are(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("text", b"bytes")
        frames = await gateway.link.frames()
        assert [frame.is_text for frame in frames if isinstance(frame, Message)] == [True, False]


async def test_messages_of_an_open_connection_go_on_at_once(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("a")
        client.say("b")
        received = messages_in(await gateway.link.sync())
        assert received == [(client.number, 0, b"a"), (client.number, 1, b"b")]


async def test_a_refusal_closes_with_its_code_and_the_ray(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        refusal = Refusal(client.number, "actor", "not_found", "No such actor.", 404)
        gateway.link.send(refusal)
        await gateway.link.sync()
        assert client.ending() == (1011, "actor.not_found#ray1")
        assert (client.phase, gateway.switchboard.connections) == ("over", {})


@pytest.mark.parametrize("letter", ["x", "ü"])
async def test_a_reason_has_at_most_123_bytes(short_tmp: Path, letter: str) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.connection.refuse(ActorError("no", group=letter * 100, code="y" * 100))
        ending = client.ending()
        assert ending is not None
        code, reason = ending
        assert code == 1011
        assert 122 <= len(reason.encode()) <= 123
        assert reason.startswith(letter * 61)


async def test_a_hook_that_refuses_is_heard_before_the_close(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        gateway.link.send(Deliver(client.number, -1, True), payload=b"error")
        gateway.link.send(CloseConnection(client.number, 1011, "user.denied"))
        await gateway.link.sync()
        assert client.messages() == [b"error"]
        assert client.ending() == (1011, "user.denied")
        assert gateway.backends.in_flight == 0


async def test_opening_has_a_time_limit_and_the_worker_hears_of_it(short_tmp: Path) -> None:
    async with held_clients(short_tmp, open_timeout_s=0.01) as gateway:
        client = gateway.client()
        client.open()
        gone = await gateway.link.next(ClientGone)
        assert gone == ClientGone(client.number, 1006, "")
        assert client.ending() == (1011, "guard.actor_ready_timeout#ray1")


async def test_an_open_connection_has_no_time_limit(short_tmp: Path) -> None:
    async with held_clients(short_tmp, open_timeout_s=0.01) as gateway:
        client = await gateway.opened()
        late = gateway.client()
        late.open()
        await gateway.link.next(ClientGone)
        assert (late.phase, client.phase) == ("over", "open")


@pytest.mark.parametrize("ending", ["leave", "drop"])
async def test_a_client_that_leaves_while_it_is_opened(short_tmp: Path, ending: str) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        client.leave(4000, "bye") if ending == "leave" else client.drop()
        gone = await gateway.link.next(ClientGone)
        assert (gone.code, gone.reason) == ((4000, "bye") if ending == "leave" else (1006, ""))
        assert gateway.backends.in_flight == 0
        gateway.link.send(Opened(client.number, ACTOR, True))
        await gateway.link.sync()
        assert client.phase == "over"


async def test_a_client_that_left_before_a_worker_was_asked(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.leave()
        client.open()
        assert await gateway.link.sync() == []
        assert gateway.switchboard.connections == {}


async def test_no_worker_opens_what_its_client_left_meanwhile(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        gateway.link.close()
        link = await gateway.worker.next_link()
        client = gateway.client()
        client.open()
        client.leave()
        link.greet()
        assert await link.sync() == []
        assert gateway.backends.in_flight == 0


async def test_no_worker_opens_what_was_given_up_meanwhile(short_tmp: Path) -> None:
    async with held_clients(short_tmp, open_timeout_s=0.0) as gateway:
        gateway.link.close()
        link = await gateway.worker.next_link()
        client = gateway.client()
        client.open()
        await client.until_ending()
        link.greet()
        assert await link.sync() == []


async def test_a_link_that_comes_up_in_time_opens_what_waited(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        gateway.link.close()
        link = await gateway.worker.next_link()
        client = gateway.client()
        client.open()
        client.say("early")
        link.greet()
        await link.next(OpenConnection)
        link.send(Opened(client.number, ACTOR, True))
        assert messages_in(await link.sync()) == [(client.number, 0, b"early")]


async def test_the_successor_of_a_worker_lost_while_it_opens_is_asked(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        asked = await gateway.link.next(OpenConnection)
        gateway.link.close()
        await gateway.new_link()
        assert await gateway.link.next(OpenConnection) == asked
        gateway.link.send(Opened(client.number, ACTOR, True))
        await gateway.link.sync()
        assert client.phase == "open"


async def test_a_client_whose_opening_is_asked_again_hears_one_welcome(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        client.say("early")
        await gateway.link.next(OpenConnection)
        gateway.link.close()
        await gateway.new_link()
        await gateway.link.next(OpenConnection)
        gateway.link.send(Opened(client.number, ACTOR, True))
        gateway.link.send(Deliver(client.number, -1, True), payload=b"welcome")
        received = await gateway.link.sync()
        assert client.messages() == [b"welcome"]
        assert messages_in(received) == [(client.number, 0, b"early")]


async def test_an_opening_may_be_asked_more_than_once_again(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        for _ in range(3):
            await gateway.link.next(OpenConnection)
            gateway.link.close()
            await gateway.new_link()
        await gateway.link.next(OpenConnection)
        assert (client.phase, client.heard()) == ("opening", [])


async def test_a_successor_that_knows_a_connection_opens_it_once(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        client.say("early")
        await gateway.link.next(OpenConnection)
        gateway.link.close()
        await gateway.new_link()
        await gateway.link.next(OpenConnection)
        gateway.link.send(client.revived())
        assert await gateway.link.sync() == []
        assert client.phase == "opening"
        gateway.link.send(Opened(client.number, ACTOR, True))
        assert messages_in(await gateway.link.sync()) == [(client.number, 0, b"early")]
        assert client.phase == "open"


async def test_a_worker_lost_right_after_it_opened(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        await gateway.link.next(OpenConnection)
        gateway.link.send(Opened(client.number, ACTOR, True))
        gateway.link.close()
        await gateway.new_link()
        await gateway.link.next(WakeActor)
        assert client.phase == "waking"


async def test_a_worker_that_opens_and_suspends_in_one_piece(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        gateway.link.send(Opened(client.number, ACTOR, True), client.suspended())
        await gateway.link.sync()
        assert client.phase == "suspended"


async def test_a_worker_that_opens_and_closes_in_one_piece(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = gateway.client()
        client.open()
        closing = CloseConnection(client.number, 1000, "enough")
        gateway.link.send(Opened(client.number, ACTOR, True), closing)
        await gateway.link.sync()
        assert (client.phase, client.ending()) == ("over", (1000, "enough"))


# ------------------------------------------------------------------------- while it is open


async def test_a_client_gets_what_its_actor_sends(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(Deliver(client.number, -1, True), payload=b"text")
        gateway.link.send(Deliver(client.number, -1, False), payload=b"bytes")
        await gateway.link.sync()
        assert client.heard() == [(TEXT, b"text"), (BINARY, b"bytes")]


async def test_a_broadcast_reaches_those_it_names(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        clients = [await gateway.opened() for _ in range(3)]
        numbers = (clients[0].number, 10**8, clients[2].number)
        gateway.link.send(Fanout(numbers, False), payload=b"all")
        await gateway.link.sync()
        assert [client.messages() for client in clients] == [[b"all"], [], [b"all"]]


async def test_frames_for_a_client_that_is_gone_are_ignored(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        number = 10**8
        gateway.link.send(
            Deliver(number, 0, True),
            Ack(number, 0),
            Suspended(number, ""),
            CloseConnection(number, 1000, ""),
        )
        assert await gateway.link.sync() == []


async def test_an_unknown_connection_is_not_taken_back(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        gateway.link.send(Revive(10**8, "conn-x"))
        assert await gateway.link.frames() == [ClientGone(10**8, 1006, "")]


async def test_another_connection_of_the_same_number_is_not_taken_back(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(Revive(client.number, "of another gateway"))
        assert await gateway.link.frames() == [ClientGone(client.number, 1006, "")]
        assert client.phase == "open"


@pytest.mark.parametrize("ending", ["leave", "drop"])
async def test_a_worker_hears_that_a_client_left(short_tmp: Path, ending: str) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("last words")
        client.leave(4000, "bye") if ending == "leave" else client.drop()
        code, reason = (4000, "bye") if ending == "leave" else (1006, "")
        frames = await gateway.link.frames()
        assert frames == [
            Message(client.number, 0, True),
            ClientGone(client.number, code, reason),
        ]
        assert gateway.switchboard.connections == {}


async def test_an_actor_closes(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(Deliver(client.number, -1, True), payload=b"last")
        gateway.link.send(CloseConnection(client.number, 4321, "bye.now"))
        await gateway.link.sync()
        assert client.messages() == [b"last"]
        assert client.ending() == (4321, "bye.now")
        assert await gateway.link.sync() == []


async def test_a_client_that_answers_a_close_is_not_told_of_again(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        gateway.link.send(CloseConnection(client.number, 1000, ""))
        await gateway.link.sync()
        client.say("too late")
        client.leave()
        client.drop()
        assert await gateway.link.sync() == []


async def test_a_worker_lost_ends_what_cannot_hibernate(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened(ConnectionKind.RAW)
        gateway.link.close()
        await gateway.new_link()
        assert client.ending() == (1011, "actor.restarting")
        assert await gateway.link.sync() == []
