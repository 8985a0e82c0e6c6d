"""Events: who gets them, in which order with replies, and only after the changes they speak of."""

import asyncio
from typing import Any

import pytest

from stator import Actor, ActorError, Conn, Event, action
from stator.runtime.link.frames import Deliver, Fanout, Opened
from stator.runtime.protocol.connection import ActionResponse, ErrorMessage
from stator.runtime.protocol.connection import Event as EventMessage
from stator.runtime.protocol.encoding import Encoding
from stator.shards.shard import Limits
from tests.fakes.engine_in_process import turns
from tests.fakes.gateway_clients import Client
from tests.fakes.linked_gateway import Gateway, linked_engine
from tests.fakes.memory_store import MemoryStore


class Room(Actor, rename="camel"):
    state: int = 0
    new_message = Event[str]()
    moved = Event[tuple[int, str]]()
    cleared = Event[None]()
    anything = Event()  # type: ignore[var-annotated]

    @action
    def say(self, text: str) -> int:
        """Change, then tell."""
        self.state += 1
        self.broadcast(self.new_message, text)
        return self.state

    @action
    def tell(self, name: str, *args: object) -> None:
        self.broadcast(name, *args)

    @action
    async def say_and_go_on(self, text: str) -> int:
        self.say(text)
        await asyncio.Event().wait()
        return 0

    @action
    def tell_then_change(self, text: str) -> int:
        self.broadcast("newMessage", text)
        self.state += 1
        return self.state

    @action
    def to_me(self, *args: Any) -> None:
        assert self.conn is not None
        self.conn.send("private", *args)

    @action
    def to_one(self, conn_id: str, text: str) -> None:
        self.conns[conn_id].send(self.new_message, text)

    @action
    def get(self) -> int:
        return self.state

    @action
    def mark(self) -> None:
        assert self.conn is not None
        self.conn.send("first")
        self.broadcast("newMessage", "second")
        self.conn.send("third")


USE: dict[str, type[Actor]] = {"room": Room}


async def _listening(gateway: Gateway, *events: str, **options: Any) -> Client:
    client = await gateway.connect("room", **options)
    for event in events:
        client.subscribe(event)
    while len(client.acknowledged) < len(events):
        await turns(1)
    return client


def _events(client: Client) -> list[tuple[str, list[Any]]]:
    return [(each.name, each.args) for each in client.heard() if isinstance(each, EventMessage)]


# -- who gets them


async def test_a_broadcast_reaches_those_who_subscribed_and_nobody_else() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        one, two = [await _listening(gateway, "newMessage") for _ in range(2)]
        other, none = await _listening(gateway, "moved"), await _listening(gateway)
        await local.call("room", "say", "hi")
        assert [_events(client) for client in (one, two, other, none)] == [
            [("newMessage", ["hi"])],
            [("newMessage", ["hi"])],
            [],
            [],
        ]


async def test_events_of_an_actor_do_not_reach_the_clients_of_another() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage", key="a")
        await local.call("room", "say", "hi", key="b")
        await turns()
        assert client.heard() == []


async def test_an_event_after_unsubscribing_does_not_come() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage")
        client.unsubscribe("newMessage")
        await local.call("room", "say", "hi")
        assert client.heard() == []
        assert client.acknowledged == [0, 1]


async def test_who_comes_and_goes_between_two_broadcasts_gets_what_is_said_meanwhile() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        first = await _listening(gateway, "newMessage")
        await local.call("room", "say", "one")
        second = await _listening(gateway, "newMessage")
        await local.call("room", "say", "two")
        first.leave()
        await local.call("room", "say", "three")
        assert [args for _, args in _events(first)] == [["one"], ["two"]]
        assert [args for _, args in _events(second)] == [["two"], ["three"]]


async def test_who_subscribes_twice_gets_an_event_once() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage", "newMessage")
        await local.call("room", "say", "hi")
        assert _events(client) == [("newMessage", ["hi"])]


async def test_unsubscribing_from_what_one_never_heard_is_harmless() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await _listening(gateway)
        index = client.unsubscribe("never")
        await turns()
        assert client.acknowledged == [index]


async def test_an_event_that_the_class_does_not_declare_may_be_heard_and_told() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "anyName")
        await local.call("room", "tell", "anyName", 1, [2])
        assert _events(client) == [("anyName", [1, [2]])]


async def test_a_declared_event_travels_under_its_wire_name() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage", "new_message")
        await local.call("room", "say", "hi")
        await local.call("room", "tell", "newMessage", "by name")
        assert _events(client) == [("newMessage", ["hi"]), ("newMessage", ["by name"])]


async def test_conn_send_reaches_one_connection_whatever_it_subscribed_to() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        one, two = await _listening(gateway), await _listening(gateway, "newMessage")
        await local.call("room", "toOne", one.conn_id, "psst")
        assert _events(one) == [("newMessage", ["psst"])]
        assert _events(two) == []


async def test_an_event_for_a_single_call_goes_nowhere() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "private")
        await local.call("room", "toMe", 1)
        await turns()
        assert client.heard() == []


async def test_an_event_for_a_connection_that_has_ended_goes_nowhere() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage")
        conn = local.actor("room").conns[client.conn_id]
        client.leave()
        conn.send("newMessage", "late")
        await local.call("room", "say", "later")
        await turns()
        assert client.inbox.take_all() == []


# -- how they travel


@pytest.mark.parametrize("encoding", list(Encoding), ids=lambda each: each.name)
async def test_an_event_comes_in_the_encoding_of_its_client(encoding: Encoding) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage", encoding=encoding)
        await local.call("room", "say", "hi")
        assert await client.hear() == EventMessage("newMessage", ["hi"])


async def test_a_broadcast_crosses_a_link_once_for_each_encoding() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        clients = [
            await _listening(gateway, "newMessage", encoding=encoding)
            for encoding in (Encoding.JSON, Encoding.CBOR, Encoding.BARE) * 3
        ]
        await local.call("room", "say", "hi")
        fanouts = gateway.of(Fanout)
        assert len(fanouts) == 3
        reached = [number for fanout in fanouts for number in fanout.numbers]
        assert sorted(reached) == [client.number for client in clients]


async def test_clients_of_different_bare_versions_each_get_theirs() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        old, new = [
            await _listening(gateway, "newMessage", encoding=Encoding.BARE) for _ in range(2)
        ]
        old.version, new.version = 2, 4
        old.subscribe("moved")
        new.subscribe("moved")
        await turns()
        await local.call("room", "say", "hi")
        versions = [(await client.next()).payload[0] for client in (old, new)]
        assert versions == [2, 4]


async def test_a_client_that_shows_its_version_late_gets_it_from_then_on() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage", encoding=Encoding.BARE)
        await local.call("room", "say", "one")
        before = (await client.next()).payload[0]
        client.version = 4
        client.call(1, "get")
        await client.hear()
        await local.call("room", "say", "two")
        assert (before, (await client.next()).payload[0]) == (3, 4)


async def test_a_broadcast_crosses_every_link_once() -> None:
    async with linked_engine(use=USE) as (local, first):
        second = Gateway(local, "1-second")
        clients = [await _listening(gateway, "newMessage") for gateway in (first, first, second)]
        await local.call("room", "say", "hi")
        assert [len(gateway.of(Fanout)) for gateway in (first, second)] == [1, 1]
        assert [_events(client) for client in clients] == [[("newMessage", ["hi"])]] * 3


async def test_a_broadcast_that_nobody_hears_sends_nothing() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await _listening(gateway)
        await local.call("room", "say", "hi")
        assert gateway.of(Fanout) == []


# -- order and durability


async def test_events_and_replies_of_a_connection_come_in_the_order_they_were_made() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await _listening(gateway, "newMessage")
        client.call(1, "mark")
        client.call(2, "say", "fourth")
        said = [await client.hear() for _ in range(6)]
        assert said == [
            EventMessage("first", []),
            EventMessage("newMessage", ["second"]),
            EventMessage("third", []),
            ActionResponse(1, None),
            EventMessage("newMessage", ["fourth"]),
            ActionResponse(2, 1),
        ]


async def test_a_broadcast_leaves_once_the_change_before_it_is_on_disk() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage")
        store.hold_commits()
        reply = local.send("room", "say", "hi")
        await turns()
        assert client.heard() == []
        store.release_commits()
        await reply
        assert _events(client) == [("newMessage", ["hi"])]


async def test_a_broadcast_from_the_midst_of_an_action_waits_for_its_change_too() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await _listening(gateway, "newMessage")
        store.hold_commits()
        client.call(1, "sayAndGoOn", "still busy")
        await turns()
        assert client.heard() == []
        assert store.is_committing
        store.release_commits()
        assert await client.hear() == EventMessage("newMessage", ["still busy"])


async def test_a_change_made_in_the_same_turn_after_a_broadcast_is_waited_for() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await _listening(gateway, "newMessage")
        store.hold_commits()
        reply = local.send("room", "tellThenChange", "hi")
        await turns()
        assert client.heard() == []
        store.release_commits()
        await reply
        assert _events(client) == [("newMessage", ["hi"])]


async def test_an_event_waits_for_the_changes_of_others_that_it_may_have_seen() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await _listening(gateway, "seen")
        store.hold_commits()
        changing = local.send("room", "say", "x")
        telling = local.send("room", "tell", "seen", 1)
        await turns()
        assert client.heard() == []
        store.release_commits()
        await asyncio.gather(changing, telling)
        assert _events(client) == [("seen", [1])]


async def test_an_event_of_an_actor_without_changes_leaves_at_once() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await _listening(gateway, "now")
        store.hold_commits()
        await local.call("room", "tell", "now", 1)
        assert _events(client) == [("now", [1])]


async def test_a_commit_that_fails_drops_the_events_and_answers_the_calls() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        caller, listener = await _listening(gateway), await _listening(gateway, "newMessage")
        store.fail_next_commit()
        caller.call(1, "say", "never happened")
        said = await caller.hear()
        assert isinstance(said, ErrorMessage)
        assert (said.error.group, said.error.code) == ("storage", "unavailable")
        await turns()
        frames = [header for header, _ in listener.inbox.take_all()]
        assert not any(isinstance(header, Fanout | Deliver) for header in frames)


async def test_a_batch_of_several_actors_keeps_the_order_of_each_of_them() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        clients = [await _listening(gateway, "newMessage", key=key) for key in "abc"]
        store.hold_commits()
        for number in range(3):
            for client in clients:
                client.call(number, "say", str(number))
        await turns()
        store.release_commits()
        await turns()
        for client in clients:
            said = client.heard()
            assert [type(each) for each in said] == [EventMessage, ActionResponse] * 3


# -- payloads


@pytest.mark.parametrize(
    ("name", "args"),
    [("newMessage", ["text"]), ("moved", [1, "left"]), ("cleared", []), ("anything", [1, None])],
)
async def test_a_payload_that_fits_is_sent(name: str, args: list[Any]) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, name)
        await local.call("room", "tell", name, *args)
        assert _events(client) == [(name, args)]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("newMessage", [5]),
        ("newMessage", []),
        ("newMessage", ["a", "b"]),
        ("moved", [1]),
        ("moved", ["left", 1]),
        ("cleared", [1]),
    ],
)
async def test_a_payload_that_does_not_fit_raises_where_it_is_sent(
    name: str, args: list[Any]
) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, name)
        with pytest.raises(ActorError) as caught:
            await local.call("room", "tell", name, *args)
        assert (caught.value.group, caught.value.code) == ("actor", "validation_error")
        assert client.heard() == []


async def test_conn_send_validates_as_broadcast_does() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway)
        conn: Conn = local.actor("room").conns[client.conn_id]
        with pytest.raises(ActorError) as caught:
            conn.send("newMessage", 5)
        assert caught.value.code == "validation_error"


@pytest.mark.parametrize("encoding", list(Encoding), ids=lambda each: each.name)
async def test_a_payload_that_cannot_be_encoded_raises_where_it_is_sent(encoding: Encoding) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await _listening(gateway, "anything", encoding=encoding)
        actor = local.actor("room")
        with pytest.raises(ActorError) as caught:
            actor.broadcast("anything", object())
        assert caught.value.code == "output_not_serializable"
        with pytest.raises(ActorError):
            actor.conns[client.conn_id].send("anything", object())
        await turns()
        assert client.heard() == []


async def test_an_event_that_is_too_large_closes_its_receivers() -> None:
    async with linked_engine(use=USE, limits=Limits(max_response_bytes=200)) as (local, gateway):
        receiver, other = await _listening(gateway, "newMessage"), await _listening(gateway)
        await local.call("room", "say", "x" * 300)
        assert await receiver.closed() == (1011, "message.outgoing_too_long")
        assert other.heard() == []
        assert list(local.actor("room").conns) == [other.conn_id]


async def test_a_large_event_for_one_connection_closes_that_one() -> None:
    async with linked_engine(use=USE, limits=Limits(max_response_bytes=200)) as (local, gateway):
        client = await _listening(gateway)
        local.actor("room").conns[client.conn_id].send("private", "x" * 300)
        assert await client.closed() == (1011, "message.outgoing_too_long")


async def test_an_event_may_be_too_large_in_one_encoding_only() -> None:
    async with linked_engine(use=USE, limits=Limits(max_response_bytes=250)) as (local, gateway):
        text, binary = [
            await _listening(gateway, "anything", encoding=encoding)
            for encoding in (Encoding.JSON, Encoding.BARE)
        ]
        await local.call("room", "tell", "anything", b"x" * 180)
        assert await text.closed() == (1011, "message.outgoing_too_long")
        assert _events(binary) == [("anything", [b"x" * 180])]


async def test_a_hook_that_starts_the_actor_may_broadcast_to_nobody() -> None:
    class Eager(Room):
        def on_create(self, given: Any) -> None:
            self.broadcast("anything", "created")

    async with linked_engine(use={"eager": Eager}) as (_, gateway):
        client = await gateway.connect("eager")
        await turns()
        assert client.heard() == []
        assert len(gateway.of(Opened)) == 1
