"""An actor with hibernating connections, and what tests do with them."""

from __future__ import annotations

from typing import Any

from stator import Actor, Conn, Event, Options, action
from stator.runtime.link.frames import Result, Revive, Suspended
from stator.runtime.protocol.connection import ActionResponse
from tests.fakes.engine_in_process import LocalEngine, wait_until
from tests.fakes.gateway_clients import Client
from tests.fakes.linked_gateway import Gateway

SEEN: list[Any] = []
"""What the hooks noted, in order."""


class Room(Actor):
    """A room whose hooks note that they ran."""

    state: int = 0
    conn_state = {"name": ""}  # noqa: RUF012 - every connection gets a copy of it
    options = Options(sleep_grace_period=0.05)
    said = Event[str]()
    secret = Event[str]()

    @secret.can_subscribe
    def is_member(self, conn: Conn) -> bool:
        """Let everybody listen."""
        SEEN.append("can_subscribe")
        return True

    def on_before_connect(self, params: Any) -> None:
        """Note it."""
        SEEN.append("on_before_connect")

    def on_connect(self, conn: Conn) -> None:
        """Note it."""
        SEEN.append("on_connect")

    def on_disconnect(self, conn: Conn) -> None:
        """Note it, and change the state."""
        SEEN.append(("on_disconnect", conn.id, self.request is not None))
        self.state += 1

    def on_wake(self) -> None:
        """Note who is there, and tell them."""
        SEEN.append(("on_wake", sorted(self.conns)))
        self.broadcast("waking")

    def on_sleep(self) -> None:
        """Tell who listens."""
        self.broadcast("sleeping")

    @action
    def rename(self, name: str) -> None:
        """Change the state of the caller's connection."""
        assert self.conn is not None
        self.conn.state["name"] = name

    @action
    def describe(self) -> tuple[str, Any, Any]:
        """Return id, parameters and state of the caller's connection."""
        assert self.conn is not None
        return self.conn.id, self.conn.params, self.conn.state["name"]

    @action
    def say(self, text: str) -> None:
        """Tell all who listen."""
        self.broadcast(self.said, text)

    @action
    def add(self) -> int:
        """Change the state."""
        self.state += 1
        return self.state

    @action
    def get(self) -> int:
        """Return the state."""
        return self.state

    @action
    def vanish(self) -> None:
        """Be destroyed."""
        self.destroy()


USE: dict[str, type[Actor]] = {"room": Room}


async def connected(gateway: Gateway, *events: str, **options: Any) -> Client:
    """Open a connection that listens to some events."""
    client = await gateway.connect("room", **options)
    for event in events:
        client.subscribe(event)
    await wait_until(lambda: len(client.acknowledged) == len(events), "all is subscribed")
    return client


async def asleep(local: LocalEngine) -> None:
    """Let the actor sleep."""
    local.actor("room").sleep()
    await wait_until(lambda: not local.is_awake("room"), "it sleeps")


async def suspended(*clients: Client) -> None:
    """Take what the clients get until their actor has left memory."""
    for client in clients:
        while not isinstance((await client.next()).header, Suspended):
            pass


async def woken(gateway: Gateway, *clients: Client) -> None:
    """Wake the clients' actor; take what comes up to the claim of each."""
    answer = gateway.wake(clients[0].actor_id)
    for client in clients:
        while not isinstance((await client.next()).header, Revive):
            pass
    assert isinstance((await answer.next()).header, Result)


async def call(client: Client, name: str, *arguments: object) -> Any:
    """Call an action over a connection and return its output."""
    client.call(1, name, *arguments)
    said = await client.hear()
    assert isinstance(said, ActionResponse), said
    return said.output


def disconnects() -> int:
    """Return how often on_disconnect ran."""
    return sum(1 for each in SEEN if each[0] == "on_disconnect")
