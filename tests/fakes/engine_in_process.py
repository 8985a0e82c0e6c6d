"""A worker's engine in this process, with no link: requests go in, replies are recorded."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from stator.runtime.actor import Actor
from stator.runtime.clock import Clock
from stator.runtime.control import Counter
from stator.runtime.errors import ActorError
from stator.runtime.ids import shard_of, shard_of_actor_id
from stator.runtime.keys import normalize_key, serialize_key
from stator.runtime.link.frames import (
    Answer,
    Call,
    CreateActor,
    Created,
    DestroyActor,
    Refusal,
    Reply,
    Request,
    Resolution,
    Result,
)
from stator.runtime.protocol.actions import (
    decode_action_response,
    encode_action_request,
    encode_input,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import decode_error
from stator.runtime.registry import setup
from stator.runtime.storage import ShardStorage
from stator.shards.engine import Engine
from stator.shards.local_calls import Route
from stator.shards.shard import Limits
from tests.fakes.memory_store import MemoryStore
from tests.fakes.recording_log import RecordingLog
from tests.fakes.recording_port import RecordingPort

if TYPE_CHECKING:
    from stator.shards.databases import Databases

Outcome = tuple[Reply, bytes]
KeyLike = str | tuple[str, ...]


class LocalEngine:
    """An engine and the words tests use with it."""

    def __init__(
        self,
        use: Mapping[str, type[Actor]],
        stores: Mapping[int, ShardStorage],
        *,
        total_shards: int | None = None,
        limits: Limits | None = None,
        route: Route | None = None,
        commit_interval: float = 0.0,
        clock: Clock | None = None,
        databases: Databases | None = None,
        **defaults: Any,
    ) -> None:
        self.log = RecordingLog()
        self.port = RecordingPort()
        self.engine = Engine(
            setup(use=use, **defaults),
            stores,
            self.log,
            total_shards=total_shards or len(stores),
            limits=limits,
            route=route,
            commit_interval=commit_interval,
            clock=clock,
            databases=databases,
        )
        self._ids = itertools.count(1)

    def counter(self, counter: Counter) -> int:
        """Return a counter of the worker."""
        return self.engine.counters[counter]

    def actor(self, name: str, key: KeyLike = ()) -> Any:
        """Return the instance of an actor that is in memory."""
        identity = ("default", name, serialize_key(normalize_key(key)))
        shard = self.engine.shards[self._shard_of(name, key)]
        return shard.by_identity[identity].actor

    def is_awake(self, name: str, key: KeyLike = ()) -> bool:
        """Whether an actor is in memory."""
        identity = ("default", name, serialize_key(normalize_key(key)))
        return identity in self.engine.shards[self._shard_of(name, key)].by_identity

    def send(
        self,
        name: str,
        action: str,
        *arguments: Any,
        key: KeyLike = (),
        how: Resolution = Resolution.GET_OR_CREATE,
        given: Any = None,
        encoding: Encoding = Encoding.NATIVE,
    ) -> asyncio.Future[Outcome]:
        """Send a call of an actor by key and return the future of its reply."""
        body = encode_action_request(encoding, 0, arguments)
        data = None if given is None else encode_input(given)
        return self._send(
            lambda number: Call(
                number,
                self._shard_of(name, key),
                how,
                "default",
                name,
                serialize_key(normalize_key(key)),
                action,
                encoding,
                "ray",
                data,
            ),
            body,
        )

    async def call(self, name: str, action: str, *arguments: Any, **options: Any) -> Any:
        """Call an action as :meth:`send` does; return its output or raise its error."""
        return output_of(await self.send(name, action, *arguments, **options))

    async def call_id(self, actor_id: str, action: str, *arguments: Any) -> Any:
        """Call an action of an actor by its id."""
        shard = shard_of_actor_id(actor_id)
        assert shard is not None
        body = encode_action_request(Encoding.NATIVE, 0, arguments)
        outcome = await self._send(
            lambda number: Call(
                number,
                shard,
                Resolution.BY_ID,
                "",
                "",
                actor_id,
                action,
                Encoding.NATIVE,
                "ray",
            ),
            body,
        )
        return output_of(outcome)

    async def ask(self, make: Callable[[int], Request]) -> bytes:
        """Make a control request; return the payload of its result or raise its error."""
        reply, payload = await self._send(make)
        _raise_refusal(reply)
        assert isinstance(reply, Result)
        return payload

    async def create(
        self, name: str, key: KeyLike = (), *, reuse: bool = False, given: Any = None
    ) -> Created:
        """Create an actor through the control API."""
        text = serialize_key(normalize_key(key))
        data = None if given is None else encode_input(given)
        payload = await self.ask(
            lambda number: CreateActor(
                number, self._shard_of(name, key), "default", name, text, data, reuse
            )
        )
        return msgspec.msgpack.decode(payload, type=Created)

    async def destroy(self, actor_id: str, namespace: str = "default") -> None:
        """Destroy an actor through the control API."""
        shard = shard_of_actor_id(actor_id)
        assert shard is not None
        await self.ask(lambda number: DestroyActor(number, shard, namespace, actor_id))

    def _send(self, make: Callable[[int], Request], body: bytes = b"") -> asyncio.Future[Outcome]:
        number = next(self._ids)
        future = self.port.expect(number)
        self.engine.accept(make(number), body, self.port)
        return future

    def _shard_of(self, name: str, key: KeyLike) -> int:
        return shard_of("default", name, normalize_key(key), self.engine.total_shards)


def _raise_refusal(reply: Reply) -> None:
    if isinstance(reply, Refusal):
        raise ActorError(
            reply.message,
            group=reply.group,
            code=reply.code,
            metadata=reply.metadata,
            status=reply.status,
        )


def output_of(outcome: Outcome) -> Any:
    """Return what a native call returned or raise what it raised."""
    reply, payload = outcome
    _raise_refusal(reply)
    assert isinstance(reply, Answer)
    if reply.status >= 400:
        raise decode_error(Encoding.NATIVE, None, reply.status, payload)
    return decode_action_response(Encoding.NATIVE, payload)


@asynccontextmanager
async def running_engine(
    store: ShardStorage | None = None, /, *, use: Mapping[str, type[Actor]], **options: Any
) -> AsyncGenerator[LocalEngine]:
    """Run an engine of one shard until the end of the block; it is closed, not drained."""
    local = LocalEngine(use, {0: MemoryStore() if store is None else store}, **options)
    try:
        yield local
    finally:
        local.engine.close()


async def turns(count: int = 20) -> None:
    """Let the event loop turn: whatever needs no disk, timer or thread has happened then."""
    for _ in range(count):
        await asyncio.sleep(0)


async def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return once ``condition`` holds, which another thread or a timer brings about."""
    deadline = asyncio.get_running_loop().time() + 10
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.001)
