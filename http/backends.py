"""The workers as the gateway sees them: a link to each, the shard table to choose by."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress

from stator.runtime.boot import Boot
from stator.runtime.control_block import ControlBlock
from stator.runtime.errors import ActorError
from stator.runtime.ids import shard_of, shard_of_actor_id
from stator.runtime.keys import Key
from stator.runtime.link.dialer import Dialer, Inbox, Outcome
from stator.runtime.link.frames import Hello, Refusal, Request


class Backends:
    """Sends requests to the worker that owns a shard."""

    def __init__(self, boot: Boot, block: ControlBlock, inbox: Inbox, ids: Iterator[int]) -> None:
        """``ids`` number requests and connections; ``inbox`` gets what nobody asked for."""
        token = f"{boot.index}-{os.urandom(8).hex()}"
        hello = Hello(boot.role.name.lower(), boot.index, boot.generation, token=token)
        timeout = boot.config.server.ready_timeout
        self.shards = boot.total_shards
        self._owner_of = block.owner_of
        self._dialers = [
            Dialer(path, hello, ready_timeout=timeout, ids=ids, inbox=inbox)
            for path in boot.workers
        ]

    def start(self) -> None:
        """Connect to all workers in the background."""
        for dialer in self._dialers:
            dialer.start()

    async def wait_connected(self, seconds: float) -> None:
        """Return once every worker is connected, or after ``seconds``."""
        links = (dialer.on_connected.wait() for dialer in self._dialers)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*links)

    def close(self) -> None:
        """Close all links."""
        for dialer in self._dialers:
            dialer.close()

    @property
    def in_flight(self) -> int:
        """How many requests wait for a worker."""
        return sum(dialer.in_flight for dialer in self._dialers)

    @property
    def links_up(self) -> int:
        """How many workers are connected."""
        return sum(dialer.on_connected.is_set() for dialer in self._dialers)

    @property
    def actor_names(self) -> dict[str, dict[str, str]]:
        """What the workers' registry holds, as far as a worker said so."""
        for dialer in self._dialers:
            if dialer.peer_actors:
                return dialer.peer_actors
        return {}

    def link_to(self, shard: int) -> Dialer:
        """Return the link to the worker that owns ``shard`` now."""
        return self._dialers[self._owner_of(shard)]

    def shard_of_key(self, namespace: str, name: str, key: Key) -> int:
        """Return the shard of an identity."""
        return shard_of(namespace, name, key, self.shards)

    def shard_of_id(self, actor_id: str) -> int | None:
        """Return the shard an actor id carries, ``None`` if it is none of ours."""
        shard = shard_of_actor_id(actor_id)
        return shard if shard is not None and shard < self.shards else None

    async def ask(self, shard: int, make: Callable[[int], Request]) -> bytes:
        """Send a control request to the owner of ``shard`` and return the result's payload.

        Raises the error of a refusal.
        """
        link = self.link_to(shard)
        return payload_of(await link.request(make(link.next_id())))

    def owned_shards(self, shards: range | None = None) -> list[tuple[int, ...]]:
        """Return all shards grouped by the worker that owns them."""
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for shard in shards or range(self.shards):
            groups[self._owner_of(shard)].append(shard)
        return [tuple(group) for group in groups.values()]


def payload_of(outcome: Outcome) -> bytes:
    """Return the payload of a reply. Raises the error of a refusal."""
    reply, payload = outcome
    if isinstance(reply, Refusal):
        raise refused(reply)
    return payload


class RefusedByWorker(ActorError):
    """An error a worker answered with; what it holds may be shown."""


def refused(reply: Refusal) -> RefusedByWorker:
    """Return the error of a refusal."""
    return RefusedByWorker(
        reply.message,
        group=reply.group,
        code=reply.code,
        metadata=reply.metadata,
        status=reply.status,
    )
