"""Clients that send faster than their actors work, and clients that read slower than they send."""

from __future__ import annotations

from pathlib import Path

import pytest

from stator.http import switchboard
from stator.http.web_socket_frames import make_frame
from stator.runtime.link.frames import (
    Ack,
    AnyFrame,
    ClientGone,
    CloseConnection,
    ConnectionKind,
    Credit,
    Deliver,
    Fanout,
    Opened,
)
from tests.fakes.held_clients import ACTOR, HeldClient, HeldClients, held_clients, messages_in

# ------------------------------------------------------------- messages that are not answered


async def test_reading_pauses_at_the_bound_in_messages(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_messages=3) as gateway:
        client = await gateway.opened()
        client.say("0", "1")
        assert client.is_read
        client.say("2")
        assert not client.is_read


async def test_reading_pauses_above_the_bound_in_bytes(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_bytes=10) as gateway:
        client = await gateway.opened()
        client.say(bytes(10))
        assert client.is_read
        client.say(b"x")
        assert not client.is_read


async def test_a_single_message_may_exceed_the_bound(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_bytes=10) as gateway:
        client = await gateway.opened()
        client.say(bytes(5000))
        assert messages_in(await gateway.link.sync()) == [(client.number, 0, bytes(5000))]
        gateway.link.send(Ack(client.number, 0))
        await gateway.link.sync()
        assert client.is_read


@pytest.mark.parametrize("bound", [1, 4])
async def test_reading_resumes_at_half_the_bound(short_tmp: Path, bound: int) -> None:
    async with held_clients(short_tmp, unanswered_messages=bound) as gateway:
        client = await gateway.opened()
        client.say(*["m"] * bound)
        was_read: list[bool] = []
        for index in range(bound):
            gateway.link.send(Ack(client.number, index))
            await gateway.link.sync()
            was_read.append(client.is_read)
        assert was_read == [index + 1 >= bound - bound // 2 for index in range(bound)]


async def test_reading_pauses_while_it_is_opened(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_messages=2) as gateway:
        client = gateway.client()
        client.say("0", "1")
        assert not client.is_read
        client.open()
        gateway.link.send(Opened(client.number, ACTOR, True))
        gateway.link.send(Ack(client.number, 0), Ack(client.number, 1))
        await gateway.link.sync()
        assert client.is_read


async def test_what_was_read_already_is_not_lost(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_messages=2) as gateway:
        client = await gateway.opened()
        client.say("0", "1", "2", "3")
        indexes = [index for _, index, _ in messages_in(await gateway.link.sync())]
        assert indexes == [0, 1, 2, 3]


@pytest.mark.parametrize("how", ["ack", "reply"])
async def test_what_is_acknowledged_is_forgotten(short_tmp: Path, how: str) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("0", "1")
        answer = Ack(client.number, 0) if how == "ack" else Deliver(client.number, 0, True)
        gateway.link.send(answer, answer)
        await gateway.link.sync()
        assert client.kept() == {1: b"1"}


async def test_an_acknowledgement_of_what_was_never_sent_changes_nothing(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_messages=1) as gateway:
        client = await gateway.opened()
        client.say("0")
        gateway.link.send(Ack(client.number, 7), Ack(client.number, -5))
        await gateway.link.sync()
        assert (client.kept(), client.is_read) == ({0: b"0"}, False)


async def test_a_client_that_is_not_read_from_is_closed_and_read_again(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_messages=1) as gateway:
        client = await gateway.opened()
        client.say("0")
        gateway.link.send(CloseConnection(client.number, 1000, ""))
        await gateway.link.sync()
        assert client.is_read
        assert client.kept() == {}


# ------------------------------------------------------------------ clients that do not read


def _fill(gateway: HeldClients, client: HeldClient) -> None:
    """Have more wait for a client than the bound allows."""
    client.stop_reading(unread=gateway.switchboard.bounds.backlog_bytes)


async def test_a_backlog_up_to_its_bound_is_held(short_tmp: Path) -> None:
    async with held_clients(short_tmp, backlog_bytes=1000) as gateway:
        client = await gateway.opened()
        client.stop_reading(unread=900)
        gateway.link.send(Deliver(client.number, -1, True), payload=bytes(98))
        await gateway.link.sync()
        assert (client.messages(), client.ending()) == ([bytes(98)], None)


async def test_a_client_that_reads_may_be_sent_more_than_the_bound(short_tmp: Path) -> None:
    async with held_clients(short_tmp, backlog_bytes=100) as gateway:
        client = await gateway.opened()
        gateway.link.send(Deliver(client.number, -1, True), payload=bytes(5000))
        gateway.link.send(Deliver(client.number, -1, True), payload=bytes(5000))
        await gateway.link.sync()
        assert len(client.messages()) == 2


async def test_one_message_above_the_bound_is_sent_when_nothing_waits(short_tmp: Path) -> None:
    async with held_clients(short_tmp, backlog_bytes=100) as gateway:
        client = await gateway.opened()
        client.stop_reading(unread=0)
        gateway.link.send(Deliver(client.number, -1, True), payload=bytes(5000))
        await gateway.link.sync()
        assert client.messages() == [bytes(5000)]


@pytest.mark.parametrize("what", ["event", "broadcast", "reply"])
async def test_a_client_too_slow_is_closed_and_its_worker_told(short_tmp: Path, what: str) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("question")
        await gateway.link.sync()
        _fill(gateway, client)
        frames_by_name: dict[str, AnyFrame] = {
            "event": Deliver(client.number, -1, True),
            "broadcast": Fanout((client.number,), True),
            "reply": Deliver(client.number, 0, True),
        }
        gateway.link.send(frames_by_name[what], payload=b"x")
        frames = await gateway.link.frames()
        assert client.ending() == (1008, "ws.client_too_slow")
        assert frames == [ClientGone(client.number, 1008, "ws.client_too_slow")]
        assert client.messages() == []
        assert gateway.switchboard.slow_clients == 1
        assert gateway.switchboard.connections == {}


async def test_other_clients_do_not_notice_a_slow_one(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        slow, quick = await gateway.opened(), await gateway.opened()
        _fill(gateway, slow)
        gateway.link.send(Fanout((slow.number, quick.number), True), payload=b"1")
        gateway.link.send(Fanout((slow.number, quick.number), True), payload=b"2")
        await gateway.link.sync()
        assert (quick.messages(), quick.ending(), quick.phase) == ([b"1", b"2"], None, "open")


@pytest.mark.parametrize("is_broadcast", [True, False])
async def test_events_are_left_out_where_that_is_wished(
    short_tmp: Path, is_broadcast: bool
) -> None:
    async with held_clients(short_tmp, drops_events=True) as gateway:
        client = await gateway.opened()
        _fill(gateway, client)
        number = client.number
        event: AnyFrame = Fanout((number,), True) if is_broadcast else Deliver(number, -1, True)
        gateway.link.send(event, event, payload=b"lost")
        await gateway.link.sync()
        assert (client.messages(), client.ending()) == ([], None)
        assert gateway.switchboard.dropped_events == 2


async def test_events_come_again_once_a_client_has_read(short_tmp: Path) -> None:
    async with held_clients(short_tmp, drops_events=True) as gateway:
        client = await gateway.opened()
        _fill(gateway, client)
        gateway.link.send(Fanout((client.number,), True), payload=b"lost")
        await gateway.link.sync()
        client.read_again()
        gateway.link.send(Fanout((client.number,), True), payload=b"heard")
        await gateway.link.sync()
        assert client.messages() == [b"heard"]


async def test_replies_are_sent_where_events_are_left_out(short_tmp: Path) -> None:
    async with held_clients(short_tmp, drops_events=True) as gateway:
        client = await gateway.opened()
        client.say("question")
        _fill(gateway, client)
        gateway.link.send(Deliver(client.number, 0, True), payload=b"answer")
        await gateway.link.sync()
        assert (client.messages(), client.ending()) == ([b"answer"], None)


async def test_replies_have_a_bound_too_where_events_are_left_out(short_tmp: Path) -> None:
    async with held_clients(short_tmp, drops_events=True) as gateway:
        client = await gateway.opened()
        client.say("question")
        client.stop_reading(unread=2 * gateway.switchboard.bounds.backlog_bytes)
        gateway.link.send(Deliver(client.number, 0, True), payload=b"answer")
        await gateway.link.sync()
        assert client.ending() == (1008, "ws.client_too_slow")


# ------------------------------------------------------ clients that do not read their answers


async def _answered(gateway: HeldClients, client: HeldClient, *, unread: int) -> None:
    """Have a client ask, and answer it while it leaves so many bytes unread."""
    client.say("question")
    client.stop_reading(unread)
    gateway.link.send(Deliver(client.number, 0, True), payload=b"answer")
    await gateway.link.sync()


async def test_a_client_behind_with_its_answers_is_not_read_from(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        await _answered(gateway, client, unread=1)
        assert not client.is_read
        assert (client.messages(), client.ending()) == ([b"answer"], None)


async def test_a_client_behind_is_read_from_once_it_has_caught_up(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        await _answered(gateway, client, unread=1)
        client.read_again()
        assert client.is_read


async def test_further_answers_do_not_have_a_client_behind_read_from(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.say("0", "1", "2")
        client.stop_reading(unread=1)
        was_read: list[bool] = []
        for frame in (Deliver(client.number, 0, True), Ack(client.number, 1)):
            gateway.link.send(frame)
            await gateway.link.sync()
            was_read.append(client.is_read)
        assert was_read == [False, False]


async def test_a_client_that_caught_up_with_too_much_unanswered_waits_on(short_tmp: Path) -> None:
    async with held_clients(short_tmp, unanswered_messages=3) as gateway:
        client = await gateway.opened()
        client.say("0", "1", "2")
        client.stop_reading(unread=1)
        gateway.link.send(Deliver(client.number, 0, True), payload=b"answer")
        await gateway.link.sync()
        client.read_again()
        assert not client.is_read
        gateway.link.send(Ack(client.number, 1))
        await gateway.link.sync()
        assert client.is_read


async def test_a_client_that_is_behind_with_events_alone_is_read_from(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.stop_reading(unread=1)
        gateway.link.send(Deliver(client.number, -1, True), Fanout((client.number,), True))
        await gateway.link.sync()
        assert client.is_read


async def test_others_are_read_from_while_one_is_behind(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        slow, quick = await gateway.opened(), await gateway.opened()
        await _answered(gateway, slow, unread=1)
        assert quick.is_read


# ------------------------------------------------------------------------------ raw sockets


@pytest.mark.parametrize("drops_events", [True, False])
async def test_messages_of_raw_sockets_are_never_left_out(
    short_tmp: Path, drops_events: bool
) -> None:
    async with held_clients(short_tmp, drops_events=drops_events) as gateway:
        client = await gateway.opened(ConnectionKind.RAW)
        _fill(gateway, client)
        for _ in range(3):
            gateway.link.send(Deliver(client.number, -1, False), payload=bytes(2000))
        await gateway.link.sync()
        assert client.messages() == [bytes(2000)] * 3


async def test_a_broadcast_is_framed_once(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def make(payload: bytes, is_text: bool) -> bytes:
        made.append(payload)
        return make_frame(payload, is_text)

    monkeypatch.setattr(switchboard, "make_frame", make)
    async with held_clients(short_tmp) as gateway:
        clients = [await gateway.opened() for _ in range(5)]
        numbers = tuple(client.number for client in clients)
        gateway.link.send(Fanout(numbers, True), payload=b"once")
        await gateway.link.sync()
        assert made == [b"once"]
        assert all(client.messages() == [b"once"] for client in clients)


# --------------------------------------------------------------------- credits of raw sockets


async def _send_raw(gateway: HeldClients, client: HeldClient, count: int) -> list[Credit]:
    """Send ``count`` times 16 KiB to a raw client; return the credits that come for it."""
    for _ in range(count):
        gateway.link.send(Deliver(client.number, -1, False), payload=bytes(16384))
    return [frame for frame in await gateway.link.frames() if isinstance(frame, Credit)]


async def test_a_client_that_reads_gives_credit_in_parts(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened(ConnectionKind.RAW)
        credits_given = await _send_raw(gateway, client, 5)
        assert credits_given == [Credit(client.number, 32768)] * 2


async def test_a_client_that_does_not_read_gives_no_credit(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened(ConnectionKind.RAW)
        client.stop_reading(unread=1)
        assert await _send_raw(gateway, client, 5) == []


async def test_credit_comes_when_a_client_has_read(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened(ConnectionKind.RAW)
        client.stop_reading(unread=1)
        await _send_raw(gateway, client, 5)
        client.read_again()
        assert await gateway.link.frames() == [Credit(client.number, 5 * 16384)]
        client.read_again()
        assert await gateway.link.frames() == []


async def test_actor_connections_give_no_credit(short_tmp: Path) -> None:
    async with held_clients(short_tmp) as gateway:
        client = await gateway.opened()
        client.stop_reading()
        assert await _send_raw(gateway, client, 5) == []
        client.read_again()
        assert await gateway.link.frames() == []
