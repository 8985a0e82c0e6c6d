"""Who may listen to an event: ``can_subscribe`` in all its forms."""

import asyncio
from typing import Any

import pytest

from stator import Actor, Conn, Event, Options, UserError, action
from stator.runtime.protocol.connection import ActionResponse, ErrorMessage
from stator.runtime.protocol.connection import Event as EventMessage
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.linked_gateway import linked_engine
from tests.fakes.memory_store import MemoryStore

SEEN: list[Any] = []
GATES: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    """An asynchronous gate decides at once, unless a test closes it."""
    SEEN.clear()
    GATES["gate"] = asyncio.Event()
    GATES["gate"].set()


def _verdict(conn: Conn) -> Any:
    match conn.params:
        case "raise":
            raise UserError("no", code="refused")
        case "break":
            raise RuntimeError("internal text")
        case verdict:
            return verdict


async def _by_keyword(actor: Any, conn: Conn) -> Any:
    SEEN.append("asked")
    await GATES["gate"].wait()
    return _verdict(conn)


class Room(Actor):
    state: int = 0
    options = Options(sleep_grace_period=0.05)
    slow = Event[int](can_subscribe=_by_keyword)
    secret = Event[int]()
    free = Event[int]()

    @secret.can_subscribe
    def is_member(self, conn: Conn) -> Any:
        SEEN.append((self.conn is conn, self.request))
        return _verdict(conn)

    @action
    def tell(self, name: str) -> int:
        self.broadcast(name, 1)
        self.state += 1
        return self.state

    @action
    def get(self) -> int:
        return self.state


USE: dict[str, type[Actor]] = {"room": Room}
each_event = pytest.mark.parametrize("event", ["secret", "slow"])


def _close_gate() -> asyncio.Event:
    GATES["gate"] = asyncio.Event()
    return GATES["gate"]


@each_event
async def test_who_may_subscribe_gets_the_event(event: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room", params=True)
        index = client.subscribe(event)
        await wait_until(lambda: client.acknowledged == [index], "it is subscribed")
        await local.call("room", "tell", event)
        assert client.heard() == [EventMessage(event, [1])]


@each_event
async def test_who_may_not_subscribe_is_closed(event: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room", params=False)
        client.subscribe(event)
        assert await client.closed() == (1011, "auth.forbidden")
        await local.call("room", "tell", event)
        assert client.inbox.take_all() == []
        assert list(local.actor("room").conns) == []


@each_event
@pytest.mark.parametrize("verdict", [None, 1, 0, "yes", [True]])
async def test_a_gate_must_give_a_bool(event: str, verdict: object) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room", params=verdict)
        client.subscribe(event)
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert said.action_id is None
        assert await client.closed() == (1011, "rivetkit.internal_error")
        assert "can_subscribe failed" in local.log.events()


@each_event
@pytest.mark.parametrize(
    ("params", "reason"), [("raise", "user.refused"), ("break", "rivetkit.internal_error")]
)
async def test_a_gate_that_raises_closes_the_connection(
    event: str, params: str, reason: str
) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room", params=params)
        client.subscribe(event)
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert "internal text" not in repr(said)
        assert await client.closed() == (1011, reason)


async def test_a_gate_sees_the_connection_that_asks_as_the_caller() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room", params=True)
        client.subscribe("secret")
        assert SEEN == [(True, None)]


async def test_only_new_subscriptions_pass_the_gate() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room", params=True)
        client.subscribe("secret")
        client.subscribe("secret")
        client.unsubscribe("secret")
        client.unsubscribe("secret")
        assert len(SEEN) == 1
        client.subscribe("secret")
        assert len(SEEN) == 2


async def test_other_events_are_free() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room", params=False)
        for event in ("free", "undeclared"):
            client.subscribe(event)
        await turns()
        assert client.acknowledged == [0, 1]
        assert SEEN == []


async def test_messages_behind_an_asynchronous_gate_wait_their_turn() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        gate = _close_gate()
        client = await gateway.connect("room", params=True)
        client.subscribe("slow")
        client.call(1, "tell", "slow")
        client.call(2, "get")
        await turns()
        assert client.acknowledged == []
        gate.set()
        said = [await client.hear() for _ in range(3)]
        assert said == [EventMessage("slow", [1]), ActionResponse(1, 1), ActionResponse(2, 1)]
        assert client.acknowledged == [0, 1, 2]


async def test_several_asynchronous_gates_are_passed_one_after_the_other() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        gate = _close_gate()
        client = await gateway.connect("room", params=True)
        for _ in range(3):
            client.subscribe("slow")
            client.unsubscribe("slow")
        client.call(1, "get")
        await turns()
        assert SEEN == ["asked"]
        gate.set()
        assert await client.hear() == ActionResponse(1, 0)
        assert SEEN == ["asked"] * 3
        assert client.acknowledged == list(range(7))


async def test_a_gate_that_is_deciding_does_not_hold_up_other_connections() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        _close_gate()
        waiting = await gateway.connect("room", params=True)
        other = await gateway.connect("room")
        waiting.subscribe("slow")
        other.call(1, "get")
        assert await other.hear() == ActionResponse(1, 0)


async def test_what_waits_behind_a_gate_that_says_no_is_not_done() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        gate = _close_gate()
        client = await gateway.connect("room", params=False)
        client.subscribe("slow")
        client.call(1, "tell", "free")
        await turns()
        gate.set()
        assert await client.closed() == (1011, "auth.forbidden")
        assert await local.call("room", "get") == 0


async def test_a_client_that_leaves_while_a_gate_decides_is_not_subscribed() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        gate = _close_gate()
        client = await gateway.connect("room", params=True)
        client.subscribe("slow")
        await turns()
        client.leave()
        gate.set()
        await turns()
        await local.call("room", "tell", "slow")
        assert client.inbox.take_all() == []
        assert client.acknowledged == []


async def test_a_subscription_is_acknowledged_once_it_is_stored() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await gateway.connect("room")
        store.hold_commits()
        index = client.subscribe("free")
        await turns()
        assert client.acknowledged == []
        store.release_commits()
        await wait_until(lambda: client.acknowledged == [index], "it is stored")


async def test_a_subscription_whose_row_was_lost_is_not_acknowledged() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await gateway.connect("room")
        store.fail_next_commit()
        client.subscribe("free")
        await wait_until(lambda: not local.is_awake("room"), "the actor leaves memory")
        assert client.acknowledged == []


async def test_a_gate_that_takes_part_in_sleep_is_waited_for() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        gate = _close_gate()
        client = await gateway.connect("room", params=True)
        index = client.subscribe("slow")
        await turns()
        local.actor("room").sleep()
        await turns()
        gate.set()
        await wait_until(lambda: not local.is_awake("room"), "it sleeps")
        assert client.acknowledged == [index]


class Hasty(Room):
    options = Options(on_before_connect_timeout=0.01)


async def test_a_gate_that_does_not_decide_in_time_closes_the_connection() -> None:
    async with linked_engine(use={"room": Hasty}) as (local, gateway):
        _close_gate()
        client = await gateway.connect("room", params=True)
        client.subscribe("slow")
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert said.action_id is None
        assert await client.closed() == (1011, f"{said.error.group}.{said.error.code}")
        assert list(local.actor("room").conns) == []
        assert "can_subscribe failed" in local.log.events()


async def test_what_waits_behind_a_gate_that_does_not_decide_is_not_done() -> None:
    async with linked_engine(use={"room": Hasty}) as (local, gateway):
        _close_gate()
        client = await gateway.connect("room", params=True)
        client.subscribe("slow")
        client.call(1, "tell", "free")
        await client.hear()
        await client.closed()
        assert client.inbox.take_all() == []
        assert client.acknowledged == []
        assert await local.call("room", "get") == 0


async def test_a_gate_that_does_not_decide_no_longer_keeps_its_actor_busy() -> None:
    async with linked_engine(use={"room": Hasty}) as (local, gateway):
        _close_gate()
        client = await gateway.connect("room", params=True)
        client.subscribe("slow")
        await client.hear()
        host: Any = local.actor("room")._host
        assert host.running == 0
