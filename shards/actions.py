"""Running an action: find it, validate, call, capture, answer.

A plain action runs to its end inside the link's read callback: no task, no timer, no future.
An ``async`` one gets a task and a timer. Actions of one actor run concurrently; there is no lock
(semantics page, section 5.1). One that exceeds its time is answered ``actor.action_timed_out``
and left running, as section 5.2 wants it: killing it could leave the actor's data half-made.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER, Caller
from stator.runtime.clock import Clock
from stator.runtime.control import Counter
from stator.runtime.definition import ActionDefinition
from stator.runtime.error_views import ErrorView, public_view
from stator.runtime.errors import (
    ActionNotFound,
    ActionTimedOut,
    ActorError,
    OutgoingTooLong,
)

from .lifecycle import Status

if TYPE_CHECKING:
    from .cell import Cell

EAGER_TASKS = sys.version_info >= (3, 12)
"""From 3.12 a task can run to its first suspension at once, which most actions never reach."""


class ActionCaller(Caller, Protocol):
    """Gets the outcome of one action: one of :meth:`answer`, :meth:`reject`, :meth:`drop`."""

    @property
    def cell(self) -> Cell: ...
    @property
    def ray_id(self) -> str:
        """What the log calls the request by."""
        ...

    def encode(self, output: object) -> bytes:
        """Encode the output. Raises ``actor.output_not_serializable``."""
        ...

    def answer(self, body: bytes) -> None:
        """Send the encoded output, behind the actor's changes."""
        ...

    def reject(self, view: ErrorView) -> None:
        """Send an error, behind the actor's changes."""
        ...

    def drop(self) -> None:
        """Let go of a call whose actor left memory meanwhile."""
        ...


class ActionRunner:
    """Runs the actions of one worker."""

    def __init__(
        self, counters: list[int], clock: Clock, *, max_message_bytes: int, expose: bool
    ) -> None:
        """``expose`` shows callers the text of unexpected errors, for development."""
        self._counters = counters
        self._now = clock.time
        self.late: set[RunningAction] = set()
        """Actions that were answered before their end."""
        self.max_message_bytes = max_message_bytes
        self._expose = expose

    def run(self, caller: ActionCaller, name: str, arguments: Sequence[Any]) -> None:
        """Run one action of a ready actor for ``caller``."""
        self._counters[Counter.ACTIONS] += 1
        cell = caller.cell
        cell.idle_since = self._now()
        token = CALLER.set(caller)
        try:
            action = cell.definition.actions.get(name)
            if action is None:
                raise ActionNotFound(f"{cell.name} has no action '{name}'")
            output = action.method(cell.actor, *action.parameters.bind(arguments))
            if (
                action.is_async
                or "on_before_action_response" in cell.definition.hooks
                or hasattr(output, "__await__")
            ):
                RunningAction(self, caller, action).start(arguments, output)
                return
        except BaseException as error:  # user code must not end the worker
            self.fail(caller, name, error)
            return
        finally:
            CALLER.reset(token)
        self.finish(caller, name, output)

    def finish(self, caller: ActionCaller, name: str, output: object) -> None:
        """Answer with the output of an action that ended well."""
        cell = caller.cell
        if cell.status is Status.GONE:
            caller.drop()
            return
        try:
            cell.shard.capture(cell)
            body = caller.encode(output)
            if len(body) > self.max_message_bytes:
                raise OutgoingTooLong(
                    f"the answer has {len(body)} bytes, "
                    f"limits.max_outgoing_message_size allows {self.max_message_bytes}"
                )
        except Exception as error:
            self.fail(caller, name, error)
            return
        caller.answer(body)

    def fail(self, caller: ActionCaller, name: str, error: BaseException) -> None:
        """Answer with what the caller may see of ``error``; log it if it is nobody's intent."""
        self._counters[Counter.ERRORS] += 1
        cell = caller.cell
        if cell.status is Status.GONE:
            caller.drop()
            return
        try:
            cell.shard.capture(cell)
        except Exception as capture_error:
            error = capture_error
        if not isinstance(error, ActorError) or error.status >= 500:
            cell.log.error("action failed", action=name, ray_id=caller.ray_id, exc_info=error)
        caller.reject(self.view(error))

    def view(self, error: BaseException) -> ErrorView:
        """Return what a client may see of ``error``."""
        return public_view(error, expose=self._expose)


class RunningAction:
    """An action that is awaited."""

    __slots__ = ("_action", "_answered", "_caller", "_runner", "_signal", "_task", "_timer")

    def __init__(
        self, runner: ActionRunner, caller: ActionCaller, action: ActionDefinition
    ) -> None:
        self._runner = runner
        self._caller = caller
        self._action = action
        self._answered = False
        self._signal: asyncio.Event | None = None

    @property
    def signal(self) -> asyncio.Event:
        """Set when the action is over its time, when it has ended, or when the actor stops."""
        if self._signal is None:
            self._signal = asyncio.Event()
            if self._answered:
                self._signal.set()
        return self._signal

    @property
    def is_aborted(self) -> bool:
        """Whether it was answered before its end, so that nobody wants its result any more."""
        return self._answered

    def abort(self) -> None:
        """Tell the action's code to come to an end (semantics page, section 2.11)."""
        if self._signal is not None:
            self._signal.set()

    def start(self, arguments: Sequence[Any], output: Any) -> None:
        """Await ``output``, which the action gave for ``arguments``."""
        caller = self._caller
        caller.cell.enter()
        caller.cell.calls[caller] = self
        loop = asyncio.get_running_loop()
        clock = caller.cell.shard.clock
        self._timer = clock.call_later(self._action.timeout, self._on_timeout)
        work = self._run(arguments, output)
        if EAGER_TASKS:
            self._task = asyncio.Task(work, loop=loop, eager_start=True)  # type: ignore[call-arg,unused-ignore]
        else:
            self._task = loop.create_task(work)

    def reject(self, error: ActorError) -> None:
        """Answer now, before the action has ended; its outcome will be dropped."""
        if not self._answered:
            self._answered = True
            self._runner.late.add(self)
            self.abort()
            self._runner.fail(self._caller, self._action.name, error)

    def cancel(self) -> None:
        """Cut its code off: nothing of it can have an effect any more."""
        self._task.cancel()

    async def _run(self, arguments: Sequence[Any], output: Any) -> None:
        try:
            output = await self._outcome(arguments, output)
        except BaseException as error:  # user code must not end the worker
            self._settle(error, None)
        else:
            self._settle(None, output)

    async def _outcome(self, arguments: Sequence[Any], output: Any) -> Any:
        output = await result_of(output)
        cell = self._caller.cell
        if "on_before_action_response" in cell.definition.hooks:
            hook: Any = cell.actor
            replaced = hook.on_before_action_response(self._action.name, tuple(arguments), output)
            output = await result_of(replaced)
        return output

    def _settle(self, error: BaseException | None, output: Any) -> None:
        self._timer.cancel()
        caller = self._caller
        cell = caller.cell
        cell.calls.pop(caller, None)
        if self._answered:
            self._settle_late(error)
        elif error is None:
            self._runner.finish(caller, self._action.name, output)
        else:
            self._runner.fail(caller, self._action.name, error)
        self.abort()
        if cell.queues is not None:
            cell.queues.release(caller)
        cell.leave()

    def _settle_late(self, error: BaseException | None) -> None:
        cell = self._caller.cell
        self._runner.late.discard(self)
        cell.log.warning(
            "action ended after its time limit; its result was dropped",
            action=self._action.name,
            exc_info=error,
        )
        if cell.status is not Status.GONE:
            cell.shard.capture_quietly(cell)

    def _on_timeout(self) -> None:
        self.reject(
            ActionTimedOut(f"{self._action.name} did not finish within {self._action.timeout:g} s")
        )
