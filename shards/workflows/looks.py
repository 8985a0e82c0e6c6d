"""Requests about the workflow of an actor that is not in memory.

Rule 1. A look is answered from what is stored and wakes nobody.
Rule 2. Neither does anything else wake, or create, an actor whose class has no workflow.
Rule 3. The rest brings the actor into memory, as any request does.
"""

from __future__ import annotations

from collections.abc import Callable

from stator.runtime.errors import (
    ActorError,
    ActorNotConfigured,
    ActorNotFound,
    StorageUnavailable,
)
from stator.runtime.link.frames import ControlWorkflow, Resolution, Result
from stator.runtime.log import Logger
from stator.runtime.registry import Registry
from stator.runtime.storage import ActorRow
from stator.runtime.workflow.status import stored_status
from stator.runtime.workflow_control import LOOKS, HistoryRecord, Verb
from stator.runtime.workflow_errors import NoWorkflow

from ..batch import ReplyPort
from ..refusals import refuse
from ..shard import Shard
from .control import encode_answer, has_workflow, read_arguments

Deliver = Callable[[Shard, ControlWorkflow, bytes, ReplyPort], None]
"""Takes a request that has to find its actor in memory, and brings it there."""


class Looks:
    """Serves a worker's requests about workflows of actors that are not in memory."""

    def __init__(self, registry: Registry, log: Logger, deliver: Deliver) -> None:
        self._registry = registry
        self._log = log
        self._deliver = deliver

    async def serve(
        self, shard: Shard, frame: ControlWorkflow, payload: bytes, port: ReplyPort
    ) -> None:
        """Answer a request or deliver it."""
        try:
            answer = await self._answer(shard, frame, payload)
        except ActorError as error:
            refuse(port, frame.id, error)
        except Exception as error:
            self._log.error("look at a workflow failed", exc_info=error)
            refuse(port, frame.id, StorageUnavailable())
        else:
            if answer is None:
                self._deliver(shard, frame, payload, port)
            else:
                port.send(Result(frame.id), answer)

    async def _answer(self, shard: Shard, frame: ControlWorkflow, payload: bytes) -> bytes | None:
        """Return what answers a look; ``None`` for what its actor has to serve itself."""
        verb, _ = read_arguments(frame, payload)
        row = await _find(shard, frame)
        identity = frame.namespace, frame.name, frame.key
        if row is not None:
            identity = row.namespace, row.name, row.key
        if identity in shard.by_identity:
            return None  # somebody else woke or created it meanwhile
        if row is None and frame.resolution is not Resolution.GET_OR_CREATE:
            raise ActorNotFound
        self._check_workflow(identity[1])
        if row is None or verb not in LOOKS:
            return None
        return await _read(shard, row, verb)

    def _check_workflow(self, name: str) -> None:
        definition = self._registry.get(name)
        if definition is None:
            raise ActorNotConfigured(f"the registry of this service has no actor named '{name}'")
        if not has_workflow(definition):
            raise NoWorkflow


async def _find(shard: Shard, frame: ControlWorkflow) -> ActorRow | None:
    if frame.resolution is Resolution.BY_ID:
        return await shard.store.find_by_id(frame.key)
    return await shard.store.find_by_key(frame.namespace, frame.name, frame.key)


async def _read(shard: Shard, row: ActorRow, verb: Verb) -> bytes:
    rows = await shard.store.load_workflow(row.pk, whole=verb is Verb.HISTORY)
    status = stored_status(rows)
    if verb is Verb.STATUS:
        return encode_answer(status)
    return encode_answer(HistoryRecord(row.actor_id, row.name, row.key, status, rows))
