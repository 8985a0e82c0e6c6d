"""The client of a test, and what a test can do with the service behind it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec

from stator.client.client import Client, EncodingName
from stator.client.endpoint import Endpoint
from stator.client.handle import Handles
from stator.client.http_transport import HttpTransport
from stator.runtime.config import DEFAULT_NAMESPACE
from stator.runtime.errors import ActorError, ActorNotFound
from stator.runtime.handles import ActorHandle, Address, address_of
from stator.runtime.keys import serialize_key
from stator.runtime.link.frames import (
    ActorRecord,
    AnyFrame,
    FindActors,
    Refusal,
    Reply,
    Request,
    SleepActor,
)
from stator.runtime.protocol.encoding import encoding_of
from stator.runtime.registry import Registry
from stator.shards.cell import Cell
from stator.shards.lifecycle import Status

from .exchange import PatientExchange
from .service import Service
from .timekeeper import Passing

URL = "http://localhost"
"""What actors see of where they were called."""


class TestingClient(Client):
    """The client of a service within a test; :attr:`testing` is what only tests can do."""

    __test__ = False  # pytest: it is no test

    def __init__(self, service: Service, encoding: EncodingName) -> None:
        endpoint = Endpoint(URL, DEFAULT_NAMESPACE)
        exchange = PatientExchange(str(service.public_path), service.timekeeper.wait_still)
        # Not Client's: the environment is about a service outside.
        Handles.__init__(
            self, HttpTransport(endpoint, encoding_of(encoding), {}, exchange=exchange)
        )
        self.testing = Controls(service)
        """The clock, sleep, crash and reload of the service."""


class Controls:
    """What a test can do with its service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    # -- time

    def now(self) -> float:
        """Return the time of the actors, in Unix seconds; only :meth:`advance` moves it."""
        return self._service.clock.now()

    def advance(self, by: float | timedelta) -> Passing:
        """Let time pass for the actors: seconds, or a ``timedelta``.

        It passes from timer to timer, each of which is followed by all that it causes. The next
        call through the client happens after it; to wait for it without a call, await what this
        returns. Several calls add up. Raises ``ValueError`` for time that is negative.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        return self._service.timekeeper.advance(seconds)

    async def settle(self) -> None:
        """Return when all that was caused so far has happened, without letting time pass.

        What waits (for a timer, or for something of the test) is left waiting. Raises
        ``TimeoutError`` if the service does not come to rest within 10 real seconds.
        """
        await self._service.timekeeper.settle()

    # -- lives of actors

    async def is_awake(self, handle: ActorHandle) -> bool:
        """Return whether the actor is in memory; neither creates nor wakes it."""
        await self.settle()
        cell = self._cell_of(address_of(handle))
        return cell is not None and cell.status is not Status.LOADING

    async def sleep(self, handle: ActorHandle) -> None:
        """Put the actor to sleep and return when it does; the next call wakes it.

        If it has work under way that does not end by itself, the clock moves on, at most by its
        ``sleep_grace_period``. Raises ``actor.not_found``; one that sleeps already is left alone.
        """
        await self.settle()
        address = address_of(handle)
        cell = self._cell_of(address)
        grace = 0.0 if cell is None else cell.definition.settings.sleep_grace_period
        falling_asleep = asyncio.create_task(self._put_to_sleep(address))
        await self._service.timekeeper.pass_until(falling_asleep, grace)
        await falling_asleep

    # -- the life of the service

    async def crash(self) -> None:
        """Lose the worker, as by ``kill -9``, and return when another one serves.

        What was not acknowledged may be lost; no hook of a stop is called. Connections that can
        hibernate come back, others are lost.
        """
        await self._service.crash()

    async def reload(self, registry: Registry) -> None:
        """Replace the application: stop all actors in an orderly way and serve ``registry``."""
        await self._service.reload(registry)

    def _cell_of(self, address: Address) -> Cell | None:
        shard = self._service.worker.shard
        if address.actor_id is not None:
            return shard.by_id.get(address.actor_id)
        return shard.by_identity.get((DEFAULT_NAMESPACE, address.name, serialize_key(address.key)))

    async def _put_to_sleep(self, address: Address) -> None:
        actor_id = address.actor_id or await self._find(address)
        await self._ask(SleepActor(2, 0, DEFAULT_NAMESPACE, actor_id))

    async def _find(self, address: Address) -> str:
        key = serialize_key(address.key)
        payload = await self._ask(FindActors(1, (0,), DEFAULT_NAMESPACE, address.name, key))
        records = msgspec.msgpack.decode(payload, type=list[ActorRecord])
        if not records:
            raise ActorNotFound
        return records[0].actor_id

    async def _ask(self, request: Request) -> bytes:
        """Ask the worker as a gateway does. Raises the error of a refusal."""
        answer = _Answer()
        self._service.worker.engine.accept(request, b"", answer)
        reply, payload = await answer.future
        if isinstance(reply, Refusal):
            raise ActorError(
                reply.message,
                group=reply.group,
                code=reply.code,
                metadata=reply.metadata,
                status=reply.status,
            )
        return payload


class _Answer:
    """The port of one question."""

    def __init__(self) -> None:
        self.future: asyncio.Future[tuple[Reply, bytes]]
        self.future = asyncio.get_running_loop().create_future()

    def send(self, header: AnyFrame, payload: bytes = b"") -> None:
        if isinstance(header, Reply) and not self.future.done():
            self.future.set_result((header, payload))
