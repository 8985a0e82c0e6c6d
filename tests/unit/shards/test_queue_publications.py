"""Messages that clients send (semantics page, 7.2 and 7.5; client-protocol, 6)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, Conn, Options, Queue, UserError, action
from stator.runtime.control import Counter
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.queue import QueueSendResponse
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.queue_users import Desk, answer_to, open_office

COMPLETED = QueueSendResponse("completed")
SEEN: list[Any] = []


class Item(msgspec.Struct):
    number: int


class Typed(Actor):
    options = Options(no_sleep=True)
    items = Queue[Item, Item]()

    @action
    def wake(self) -> None:
        """Be in memory from here on."""


class Guarded(Desk):
    """Admits who says so in the connection's parameters."""

    async def on_before_connect(self, params: Any) -> None:
        SEEN.append("on_before_connect")
        await asyncio.sleep(0)
        if params == "refuse":
            raise UserError("no", code="refused")

    def on_connect(self, conn: Conn) -> None:
        SEEN.append("on_connect")

    def on_disconnect(self, conn: Conn) -> None:
        SEEN.append("on_disconnect")


class Gated(Guarded):
    """Its gates say what the parameters tell them to."""

    options = Options(no_sleep=True, action_timeout=10.0)

    mails = Queue[dict[str, int]]()

    @mails.can_publish
    async def may_mail(self, conn: Conn) -> Any:
        SEEN.append(("may_mail", conn is self.conn, list(self.conns) == [conn.id]))
        await asyncio.sleep(0)
        match conn.params:
            case "hang":
                await asyncio.Event().wait()
            case "break":
                raise RuntimeError("internal text")
            case "say":
                raise UserError("tell them", code="told")
            case _:
                pass
        return conn.params

    jobs = Queue[str, int](can_publish=lambda actor, conn: conn.params)


class PlainlyGated(Desk):
    """Has a gate and no connection hooks."""

    def may(self, conn: Conn) -> bool:
        SEEN.append((conn is self.conn, conn.params))
        self.state += 1
        return True

    jobs = Queue[str, int](can_publish=may)


@pytest.fixture(autouse=True)
def forget_what_was_seen() -> None:
    SEEN.clear()


async def error_of(outcome: Any, encoding: Encoding = Encoding.NATIVE) -> ActorError:
    with pytest.raises(ActorError) as caught:
        answer_to(await outcome, encoding)
    return caught.value


async def test_a_message_of_a_client_is_stored() -> None:
    async with open_office() as office:
        assert answer_to(await office.publish("a")) == COMPLETED
        message = await office.queue.next()
        assert message is not None
        assert (message.id, message.name, message.body) == (1, "jobs", "a")


async def test_the_answer_leaves_once_the_message_is_on_disk() -> None:
    async with open_office() as office:
        await office.queue.try_next()
        office.store.hold_commits()
        reply = office.publish("a")
        await turns()
        assert office.store.is_committing
        assert not reply.done()
        office.store.release_commits()
        await reply


async def test_a_message_for_a_loaded_actor_is_stored_within_the_turn() -> None:
    async with open_office() as office:
        await office.queue.try_next()
        tasks = asyncio.all_tasks()
        office.publish("a")
        assert asyncio.all_tasks() == tasks
        assert (await office.queue.next()) is not None


async def test_a_message_goes_to_the_receive_that_waits() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next())
        await turns()
        await office.publish("a")
        assert (await receiving) is not None


async def test_a_message_creates_its_actor() -> None:
    async with open_office() as office:
        office.cell.destroy()
        await wait_until(lambda: not office.local.is_awake("desk"), "the actor is gone")
        assert answer_to(await office.publish("a")) == COMPLETED
        assert office.stored_ids == [1]


async def test_a_message_wakes_its_actor() -> None:
    async with open_office() as office:
        await office.sleep()
        await office.publish("a")
        assert office.local.is_awake("desk")


async def test_messages_in_a_row_keep_their_order() -> None:
    async with open_office() as office:
        replies = [office.publish(str(n)) for n in range(4)]
        await asyncio.gather(*replies)
        received = await office.queue.next_batch(count=9)
        assert [message.body for message in received] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("encoding", "version"),
    [(Encoding.JSON, 0), (Encoding.CBOR, 0), (Encoding.NATIVE, 0)]
    + [(Encoding.BARE, version) for version in (3, 4)],
)
async def test_every_encoding_is_understood(encoding: Encoding, version: int) -> None:
    async with open_office(Typed) as office:
        reply = office.publish({"number": 3}, "items", encoding=encoding, version=version)
        assert answer_to(await reply, encoding) == COMPLETED
        message = await office.queue.next()
        assert message is not None
        assert message.body == Item(3)


async def test_a_missing_body_is_none() -> None:
    async with open_office(Typed) as office:
        reply = office.publish_bytes(b"{}", "items", encoding=Encoding.JSON)
        assert (await error_of(reply, Encoding.JSON)).code == "validation_error"


@pytest.mark.parametrize("encoding", list(Encoding))
async def test_a_malformed_body_is_refused(encoding: Encoding) -> None:
    async with open_office() as office:
        error = await error_of(office.publish_bytes(b"\xff\xff", encoding=encoding), encoding)
        assert (error.group, error.code) == ("actor", "invalid_request")


async def test_a_body_that_is_not_what_the_queue_declares_is_refused() -> None:
    async with open_office() as office:
        error = await error_of(office.publish(5))
        assert (error.group, error.code, error.status) == ("actor", "validation_error", 400)
        assert "jobs" in error.message
        assert office.stored_ids == []


async def test_a_message_that_is_too_large_is_refused() -> None:
    async with open_office() as office:
        error = await error_of(office.publish("x" * 300))
        assert (error.code, error.metadata) == ("message_too_large", {"size": 315, "limit": 300})


async def test_a_full_queue_refuses() -> None:
    async with open_office() as office:
        for _ in range(8):
            await office.publish("a")
        error = await error_of(office.publish("a"))
        assert (error.group, error.code, error.metadata) == ("queue", "full", {"limit": 8})
        assert office.stored_ids == list(range(1, 9))


@pytest.mark.parametrize("wait", [True, False])
async def test_a_message_for_an_undeclared_queue_is_dropped(wait: bool) -> None:
    async with open_office() as office:
        assert answer_to(await office.publish("a", "undeclared", wait=wait)) == COMPLETED
        assert office.stored_ids == []
        assert await office.queue.try_next("undeclared") is None


async def test_a_commit_that_fails_refuses_the_message() -> None:
    async with open_office() as office:
        office.store.fail_next_commit()
        error = await error_of(office.publish("a"))
        assert (error.group, error.code) == ("storage", "unavailable")


async def test_a_message_counts_as_an_error_when_it_is_refused() -> None:
    async with open_office() as office:
        await error_of(office.publish(5))
        assert office.local.counter(Counter.ERRORS) == 1


# -- hooks and gates


async def test_connection_hooks_run_around_a_publication() -> None:
    async with open_office(Guarded) as office:
        SEEN.clear()
        await office.publish("a")
        assert SEEN == ["on_before_connect", "on_connect", "on_disconnect"]


async def test_a_refused_visitor_publishes_nothing() -> None:
    async with open_office(Guarded) as office:
        error = await error_of(office.publish("a", params=b'"refuse"'))
        assert (error.group, error.code) == ("user", "refused")
        assert office.stored_ids == []


async def test_a_visitor_leaves_whatever_becomes_of_the_message() -> None:
    async with open_office(Guarded) as office:
        await error_of(office.publish(5))
        assert not office.actor.conns


async def test_a_gate_lets_a_message_in() -> None:
    async with open_office(Gated) as office:
        SEEN.clear()
        assert answer_to(await office.publish({}, "mails", params=b"true")) == COMPLETED
        assert SEEN == [
            "on_before_connect",
            "on_connect",
            ("may_mail", True, True),
            "on_disconnect",
        ]
        assert office.stored_ids == [1]


@pytest.mark.parametrize(("queue", "body"), [("mails", {}), ("jobs", "a")])
async def test_a_gate_keeps_a_message_out(queue: str, body: Any) -> None:
    async with open_office(Gated) as office:
        error = await error_of(office.publish(body, queue, params=b"false"))
        assert (error.group, error.code, error.status) == ("auth", "forbidden", 403)
        assert office.stored_ids == []


@pytest.mark.parametrize("queue", ["mails", "jobs"])
@pytest.mark.parametrize("params", [b"1", b"null", b'"break"'])
async def test_a_gate_that_says_neither_yes_nor_no_is_an_internal_error(
    queue: str, params: bytes
) -> None:
    async with open_office(Gated) as office:
        error = await error_of(office.publish("a", queue, params=params))
        assert (error.code, error.message) == ("internal_error", "An internal error occurred")
        assert office.stored_ids == []


async def test_a_gate_may_say_why() -> None:
    async with open_office(Gated) as office:
        error = await error_of(office.publish({}, "mails", params=b'"say"'))
        assert (error.group, error.code) == ("user", "told")


async def test_a_gate_that_takes_too_long_is_cut_off() -> None:
    async with open_office(Gated) as office:
        reply = office.publish({}, "mails", params=b'"hang"')
        await turns()
        await office.pass_time(10)
        error = await error_of(reply)
        assert (error.group, error.code, error.status) == ("actor", "action_timed_out", 408)
        assert not office.actor.conns


async def test_a_message_let_in_while_its_actor_is_destroyed_is_refused() -> None:
    async with open_office(Gated) as office:
        reply = office.publish({}, "mails", params=b"true")
        office.cell.destroy()
        error = await error_of(reply)
        assert (error.group, error.code) == ("actor", "stopping")


async def test_a_gate_without_connection_hooks_sees_the_connection() -> None:
    async with open_office(PlainlyGated) as office:
        await office.publish("a", params=b'{"a": 1}')
        assert SEEN == [(True, {"a": 1})]


async def test_what_a_gate_changes_is_stored_with_the_message() -> None:
    async with open_office(PlainlyGated) as office:
        await office.publish("a")
        disk = office.store.disk
    async with open_office(PlainlyGated, disk=disk) as office:
        assert office.actor.state == 1


async def test_no_gate_is_asked_about_what_the_actor_sends() -> None:
    async with open_office(PlainlyGated) as office:
        await office.queue.send("jobs", "a")
        assert SEEN == []
