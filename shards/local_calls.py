"""Calls from one actor to another, without passing the gateway.

Within a worker a call goes straight to the engine, to another worker over a link; either way the
arguments are encoded, so that two actors never share an object. A call is output: it waits for
the commit of the changes its actor made before it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from stator.runtime.errors import ActorError, ActorNotFound
from stator.runtime.handles import Address
from stator.runtime.ids import shard_of, shard_of_actor_id
from stator.runtime.keys import serialize_key
from stator.runtime.link.dialer import Dialer, Outcome
from stator.runtime.link.frames import (
    ActorRecord,
    Answer,
    AnyFrame,
    Call,
    ControlWorkflow,
    CreateActor,
    Created,
    FindActors,
    Publish,
    Refusal,
    Reply,
    Request,
    Resolution,
)
from stator.runtime.protocol.actions import (
    decode_action_response,
    encode_action_request,
    encode_input,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import decode_error
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    decode_queue_response,
    encode_queue_request,
)
from stator.runtime.workflow_control import Verb, VerbArguments

if TYPE_CHECKING:
    from .cell import Cell
    from .engine import Engine

Route = Callable[[int], Dialer]
"""The link to the worker that owns a shard."""


class LocalCaller:
    """A reply port that hands the reply to a future."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[Outcome]) -> None:
        self._future = future

    def send(self, header: AnyFrame, payload: bytes = b"") -> None:
        if isinstance(header, Reply) and not self._future.done():
            self._future.set_result((header, payload))


class WorkerTransport:
    """Carries the calls of one actor; implements ``runtime.handles.Transport``."""

    _ids = itertools.count(1)

    def __init__(self, engine: Engine, cell: Cell, route: Route | None) -> None:
        self._engine = engine
        self._cell = cell
        self._route = route

    async def call(self, address: Address, action: str, arguments: Sequence[Any]) -> Any:
        """Run an action of another actor."""
        body = encode_action_request(Encoding.NATIVE, 0, arguments)
        return decode_action_response(Encoding.NATIVE, await self._ask(Call, address, action, body))

    async def publish(
        self, address: Address, queue: str, message: QueueSendRequest
    ) -> QueueSendResponse:
        """Put a message into a queue of another actor."""
        body = encode_queue_request(Encoding.NATIVE, 0, message)
        return decode_queue_response(
            Encoding.NATIVE, await self._ask(Publish, address, queue, body)
        )

    async def _ask(
        self, kind: type[Call] | type[Publish], address: Address, name: str, body: bytes
    ) -> bytes:
        """Send a call or a message and return the body of the answer. Raises its error."""
        resolution, key = _resolution_of(address)
        given = _input_of(address)
        params = None if address.params is None else _params_of(address.params)
        reply, payload = await self._send(
            lambda request_id, shard: kind(
                request_id,
                shard,
                resolution,
                self._namespace,
                address.name,
                key,
                name,
                Encoding.NATIVE,
                f"from {self._cell.row.actor_id}",
                given,
                params,
            ),
            self._shard_of(address),
            body,
        )
        assert isinstance(reply, Answer)
        if reply.status >= 400:
            raise decode_error(Encoding.NATIVE, "", reply.status, payload)
        return payload

    async def control_workflow(
        self, address: Address, verb: Verb, arguments: VerbArguments
    ) -> bytes:
        """Bring a verb to the workflow of another actor."""
        resolution, key = _resolution_of(address)
        given = _input_of(address)
        _, payload = await self._send(
            lambda request_id, shard: ControlWorkflow(
                request_id,
                shard,
                resolution,
                self._namespace,
                address.name,
                key,
                int(verb),
                given,
            ),
            self._shard_of(address),
            msgspec.msgpack.encode(arguments),
        )
        return payload

    async def create(self, address: Address) -> str:
        """Create another actor."""
        return (await self._create(address, reuse=False)).actor.actor_id

    async def resolve(self, address: Address) -> str:
        """Return the id of another actor."""
        if address.create:
            return (await self._create(address, reuse=True)).actor.actor_id
        shard = self._shard_of(address)
        by_id = (address.actor_id,) if address.actor_id is not None else ()
        key = None if by_id else serialize_key(address.key)
        _, payload = await self._send(
            lambda request_id, number: FindActors(
                request_id, (number,), self._namespace, address.name, key, by_id
            ),
            shard,
        )
        found = msgspec.msgpack.decode(payload, type=list[ActorRecord])
        if not found:
            raise ActorNotFound
        return found[0].actor_id

    def gateway_url(self, address: Address) -> str:
        """Return the actor's path; an actor does not know under which host clients see it."""
        return f"/gateway/{address.actor_id or address.name}"

    @property
    def _namespace(self) -> str:
        return self._cell.identity[0]

    async def _create(self, address: Address, *, reuse: bool) -> Created:
        given = None if address.input is None else encode_input(address.input)
        _, payload = await self._send(
            lambda request_id, shard: CreateActor(
                request_id,
                shard,
                self._namespace,
                address.name,
                serialize_key(address.key),
                given,
                reuse,
            ),
            self._shard_of(address),
        )
        return msgspec.msgpack.decode(payload, type=Created)

    def _shard_of(self, address: Address) -> int:
        total = self._engine.total_shards
        if address.actor_id is None:
            return shard_of(self._namespace, address.name, address.key, total)
        shard = shard_of_actor_id(address.actor_id)
        if shard is None or shard >= total:
            raise ActorNotFound
        return shard

    async def _send(
        self, make: Callable[[int, int], Request], shard: int, payload: bytes = b""
    ) -> Outcome:
        """Send what ``make`` makes of an id and ``shard``. Raises the error of a refusal."""
        self._cell.shard.capture(self._cell, urgent=True)
        await self._cell.wait_committed()
        if shard in self._engine.shards or self._route is None:
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self._engine.accept(make(next(self._ids), shard), payload, LocalCaller(future))
        else:
            dialer = self._route(shard)
            future = dialer.request(make(dialer.next_id(), shard), payload)
        reply, answer = await future
        if isinstance(reply, Refusal):
            raise ActorError(
                reply.message,
                group=reply.group,
                code=reply.code,
                metadata=reply.metadata,
                status=reply.status,
            )
        return reply, answer


def _resolution_of(address: Address) -> tuple[Resolution, str]:
    """Return how a request names the actor of an address."""
    if address.actor_id is not None:
        return Resolution.BY_ID, address.actor_id
    resolution = Resolution.GET_OR_CREATE if address.create else Resolution.GET
    return resolution, serialize_key(address.key)


def _input_of(address: Address) -> bytes | None:
    """Return what a request creates the actor of an address with, if it may."""
    if not address.create or address.input is None or address.actor_id is not None:
        return None
    return encode_input(address.input)


def _params_of(params: Any) -> bytes:
    """Return connection parameters as a client's request carries them."""
    return json.dumps(msgspec.to_builtins(params)).encode()
