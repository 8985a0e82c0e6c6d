"""Running an action: decode, validate, call, capture, answer.

A plain action runs to its end inside the link's read callback: no task, no timer, no future.
An ``async`` one gets a task and a timer. Actions of one actor run concurrently; there is no lock
(semantics page, section 5.1). One that exceeds its time is answered ``actor.action_timed_out``
and left running, as section 5.2 wants it: killing it could leave the actor's data half-made.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from stator.runtime.awaiting import result_of
from stator.runtime.control import Counter
from stator.runtime.definition import ActionDefinition
from stator.runtime.error_views import public_view
from stator.runtime.errors import (
    ActionNotFound,
    ActionTimedOut,
    ActorError,
    ActorRestarting,
    OutgoingTooLong,
)
from stator.runtime.link.frames import Answer, Call
from stator.runtime.protocol.actions import decode_action_request, encode_action_response
from stator.runtime.protocol.envelope import answer_version
from stator.runtime.protocol.error_bodies import ActorSpecifier, encode_error

from .batch import ReplyPort
from .cell import Cell
from .lifecycle import Status
from .refusals import refuse

EAGER_TASKS = sys.version_info >= (3, 12)
"""From 3.12 a task can run to its first suspension at once, which most actions never reach."""


class ActionRunner:
    """Runs the actions of one worker."""

    def __init__(self, counters: list[int], *, max_response_bytes: int, expose: bool) -> None:
        """``expose`` shows callers the text of unexpected errors, for development."""
        self._counters = counters
        self._max_response_bytes = max_response_bytes
        self._expose = expose
        self._loop = asyncio.get_running_loop()

    def run(self, cell: Cell, call: Call, body: bytes, port: ReplyPort) -> None:
        """Run one action of a ready actor; its answer goes to ``port``."""
        self._counters[Counter.ACTIONS] += 1
        version = 0
        try:
            action = cell.definition.actions.get(call.action)
            if action is None:
                raise ActionNotFound(f"{cell.name} has no action '{call.action}'")
            arguments, version = decode_action_request(call.encoding, body)
            output = action.method(cell.actor, *action.parameters.bind(arguments))
        except BaseException as error:
            self.fail(cell, call, version or answer_version(call.encoding, body), port, error)
            return
        if (
            action.is_async
            or "on_before_action_response" in cell.definition.hooks
            or hasattr(output, "__await__")
        ):
            _RunningAction(self, cell, call, version, port, action).start(arguments, output)
        else:
            self.finish(cell, call, version, port, output)

    def finish(self, cell: Cell, call: Call, version: int, port: ReplyPort, output: object) -> None:
        """Answer with the output of an action that ended well."""
        if cell.status is Status.GONE:
            refuse(port, call.id, ActorRestarting(metadata={"retryable": True}))
            return
        try:
            cell.shard.capture(cell)
            body = encode_action_response(call.encoding, version, output)
            if len(body) > self._max_response_bytes:
                raise OutgoingTooLong(
                    f"the answer has {len(body)} bytes, "
                    f"limits.max_outgoing_message_size allows {self._max_response_bytes}"
                )
        except Exception as error:
            self.fail(cell, call, version, port, error)
            return
        row = cell.row
        answer = Answer(call.id, 200, row.actor_id, row.generation, row.key)
        cell.shard.answer(cell, port, answer, body)

    def fail(
        self, cell: Cell, call: Call, version: int, port: ReplyPort, error: BaseException
    ) -> None:
        """Answer with what the caller may see of ``error``; log it if it is nobody's intent."""
        self._counters[Counter.ERRORS] += 1
        if cell.status is Status.GONE:
            refuse(port, call.id, ActorRestarting(metadata={"retryable": True}))
            return
        try:
            cell.shard.capture(cell)
        except Exception as capture_error:
            error = capture_error
        if not isinstance(error, ActorError) or error.status >= 500:
            cell.log.error("action failed", action=call.action, ray_id=call.ray_id, exc_info=error)
        view = public_view(error, expose=self._expose)
        row = cell.row
        specifier = ActorSpecifier(row.actor_id, row.generation, row.key)
        body = encode_error(call.encoding, version, view, specifier)
        answer = Answer(call.id, view.status, row.actor_id, row.generation, row.key)
        cell.shard.answer(cell, port, answer, body)


class _RunningAction:
    """An action that is awaited."""

    __slots__ = (
        "_action",
        "_answered",
        "_call",
        "_cell",
        "_port",
        "_runner",
        "_task",
        "_timer",
        "_version",
    )

    def __init__(
        self,
        runner: ActionRunner,
        cell: Cell,
        call: Call,
        version: int,
        port: ReplyPort,
        action: ActionDefinition,
    ) -> None:
        self._runner = runner
        self._cell = cell
        self._call = call
        self._version = version
        self._port = port
        self._action = action
        self._answered = False

    def start(self, arguments: list[Any], output: Any) -> None:
        self._cell.enter()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._action.timeout, self._on_timeout)
        work = self._run(arguments, output)
        if EAGER_TASKS:
            self._task = asyncio.Task(work, loop=loop, eager_start=True)  # type: ignore[call-arg,unused-ignore]
        else:
            self._task = loop.create_task(work)

    async def _run(self, arguments: list[Any], output: Any) -> None:
        try:
            output = await self._outcome(arguments, output)
        except BaseException as error:
            self._settle(error, None)
        else:
            self._settle(None, output)

    async def _outcome(self, arguments: list[Any], output: Any) -> Any:
        output = await result_of(output)
        cell = self._cell
        if "on_before_action_response" in cell.definition.hooks:
            hook: Any = cell.actor
            replaced = hook.on_before_action_response(self._action.name, tuple(arguments), output)
            output = await result_of(replaced)
        return output

    def _settle(self, error: BaseException | None, output: Any) -> None:
        self._timer.cancel()
        cell, call = self._cell, self._call
        cell.leave()
        if self._answered:
            self._settle_late(error)
        elif error is None:
            self._runner.finish(cell, call, self._version, self._port, output)
        else:
            self._runner.fail(cell, call, self._version, self._port, error)

    def _settle_late(self, error: BaseException | None) -> None:
        cell = self._cell
        cell.log.warning(
            "action ended after its time limit; its result was dropped",
            action=self._call.action,
            exc_info=error,
        )
        if cell.status is not Status.GONE:
            cell.shard.capture_quietly(cell)

    def _on_timeout(self) -> None:
        self._answered = True
        error = ActionTimedOut(
            f"{self._action.name} did not finish within {self._action.timeout:g} s"
        )
        self._runner.fail(self._cell, self._call, self._version, self._port, error)
