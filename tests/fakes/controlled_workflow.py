"""A workflow that is told what to say, in the place of a real one, and words to control it with."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from stator.runtime.definition import ActorDefinition
from stator.runtime.ids import shard_of_actor_id
from stator.runtime.keys import normalize_key, serialize_key
from stator.runtime.link.frames import ControlWorkflow, Refusal, Reply, Resolution, Result
from stator.runtime.storage import WorkflowRows
from stator.runtime.workflow.entries import RunStatus
from stator.runtime.workflow_control import StatusRecord, Verb, VerbArguments
from stator.shards.cell import Cell
from tests.fakes.engine_in_process import KeyLike, LocalEngine

NAME = "flow"
"""The name under which an actor has a workflow, see :func:`pretend_workflows`."""


_stubs: dict[str, StubWorkflow] = {}
"""The workflows of actors, by their ids."""


def pretend_workflows(patch: pytest.MonkeyPatch) -> None:
    """Let the class that is registered as :data:`NAME` count as one with a workflow."""

    def has_workflow(definition: ActorDefinition) -> bool:
        return definition.name == NAME

    def workflow_of(cell: Cell) -> StubWorkflow | None:
        return _stubs.get(cell.row.actor_id)

    patch.setattr("stator.shards.workflows.looks.has_workflow", has_workflow)
    patch.setattr("stator.shards.workflows.control.workflow_of", workflow_of)


class StubWorkflow:
    """Implements ``shards.workflows.control.ControlledWorkflow``."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        """What was done with it, in order."""
        self.record = StatusRecord(RunStatus.RUNNING, 1, 5, None, None, None, [])
        self.stored = WorkflowRows(None, [])
        self.error: BaseException | None = None
        """What the next verb raises."""
        self.gate: asyncio.Event | None = None
        """What verbs and looks wait for."""

    async def status(self) -> StatusRecord:
        await self._pass()
        return self.record

    async def rows(self) -> WorkflowRows:
        await self._pass()
        return self.stored

    async def cancel(self) -> None:
        await self._do("cancel")

    async def retry(self) -> None:
        await self._do("retry")

    async def fork(self, key: str | None) -> None:
        await self._do("fork", key)

    async def resolve(self, key: str, value: bytes) -> None:
        await self._do("resolve", key, value)

    async def _do(self, *what: Any) -> None:
        self.asked.append(what)
        await self._pass()

    async def _pass(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        error, self.error = self.error, None
        if error is not None:
            raise error


def cell_of(local: LocalEngine, key: KeyLike = ()) -> Cell:
    """Return the cell of an actor that is in memory."""
    identity = ("default", NAME, serialize_key(normalize_key(key)))
    return local.engine.shards[0].by_identity[identity]


def give_workflow(local: LocalEngine, key: KeyLike = ()) -> StubWorkflow:
    """Put a stub in the place of the workflow of an actor that is in memory."""
    return _stubs.setdefault(cell_of(local, key).row.actor_id, StubWorkflow())


def send_verb(
    local: LocalEngine,
    verb: int,
    arguments: VerbArguments | bytes = b"",
    *,
    name: str = NAME,
    key: KeyLike = (),
    actor_id: str | None = None,
    how: Resolution = Resolution.GET,
) -> asyncio.Future[tuple[Reply, bytes]]:
    """Send a verb; return the future of its reply."""
    body = arguments if isinstance(arguments, bytes) else msgspec.msgpack.encode(arguments)
    number = next(local._ids)  # pyright: ignore[reportPrivateUsage]
    reply = local.port.expect(number)
    if actor_id is None:
        text = serialize_key(normalize_key(key))
        frame = ControlWorkflow(number, 0, how, "default", name, text, verb)
    else:
        shard = shard_of_actor_id(actor_id)
        assert shard is not None
        frame = ControlWorkflow(number, shard, Resolution.BY_ID, "", "", actor_id, verb)
    local.engine.accept(frame, body, local.port)
    return reply


async def control(local: LocalEngine, verb: Verb, *args: Any, **options: Any) -> bytes | str:
    """Send a verb; return the payload of its answer, or group and code of its refusal."""
    header, payload = await send_verb(local, verb, *args, **options)
    if isinstance(header, Refusal):
        return f"{header.group}.{header.code}"
    assert isinstance(header, Result)
    return payload
