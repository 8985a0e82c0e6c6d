"""Telling the actor of failures: the hook `on_workflow_error` (workflow page, section 9).

A failure is reported once, when it happens: not when it is replayed, and that of a step not again
as that of the run.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .entries import ErrorRecord
from .failures import record_error
from .step import StepScope

if TYPE_CHECKING:
    from collections.abc import Callable

    from .run import WorkflowRun
    from .steps import StepCall


class FailureInfo(msgspec.Struct, frozen=True):
    """An exception, for a report."""

    name: str
    """Of its class."""
    message: str
    stack: str | None = None
    metadata: Any = None


class WorkflowErrorEvent(msgspec.Struct, frozen=True):
    """What ``on_workflow_error`` is told of: an attempt of a step, an undo handler, or the run."""

    kind: Literal["step", "rollback", "workflow"]
    workflow_id: str
    """The actor's id."""
    error: FailureInfo
    step_name: str | None = None
    """Of the step, or of the one whose undo handler failed."""
    attempt: int | None = None
    """Of a step: which attempt failed, from 1."""
    max_retries: int | None = None
    """How many further attempts the step has, as its options say."""
    remaining_retries: int | None = None
    """How many of them were left for this failure: 3, 2, 1, 0 of three."""
    will_retry: bool | None = None
    """Whether there is another attempt."""
    retry_delay: float | None = None
    """Seconds until the next attempt."""
    retry_at: float | None = None
    """When that is, in Unix seconds."""

    @property
    def step(self) -> WorkflowErrorEvent | None:
        """The event itself if it is about a step."""
        return self if self.kind == "step" else None

    @property
    def rollback(self) -> WorkflowErrorEvent | None:
        """The event itself if it is about an undo handler."""
        return self if self.kind == "rollback" else None

    @property
    def workflow(self) -> WorkflowErrorEvent | None:
        """The event itself if it is about the run."""
        return self if self.kind == "workflow" else None


class Reports:
    """Reports what fails in one run."""

    def __init__(self, run: WorkflowRun, hook: Callable[[Any], Any] | None) -> None:
        self._run = run
        self._hook = hook

    async def step_failed(self, call: StepCall, delay: float | None) -> None:
        """Report a failed attempt; ``delay`` is in seconds, ``None`` if it was the last."""
        if self._hook is None:
            return
        entry, retries = call.entry, call.options.retries
        assert entry.error is not None
        event = WorkflowErrorEvent(
            "step",
            self._run.host.actor_id,
            _info(entry.error),
            step_name=call.name,
            attempt=entry.attempts,
            max_retries=retries,
            remaining_retries=max(0, retries - (entry.failures - 1)),
            will_retry=delay is not None,
            retry_delay=delay,
            retry_at=None if entry.due_ms is None else entry.due_ms / 1000,
        )
        was_finishing, call.strand.must_finish = call.strand.must_finish, True
        try:
            await self._tell(event)
        finally:
            call.strand.must_finish = was_finishing

    async def undo_failed(self, step: str, error: ErrorRecord) -> None:
        """Report an undo handler that failed for good."""
        await self._tell(
            WorkflowErrorEvent("rollback", self._run.host.actor_id, _info(error), step_name=step)
        )

    async def run_failed(self, error: BaseException) -> None:
        """Report that the run failed."""
        info = _info(record_error(error))
        await self._tell(WorkflowErrorEvent("workflow", self._run.host.actor_id, info))

    async def _tell(self, event: WorkflowErrorEvent) -> None:
        """Run the hook to its end; what it raises is logged."""
        if self._hook is None:
            return
        host, hook = self._run.host, self._hook
        body = host.begin(lambda: hook(event), StepScope(host.actor), in_thread=False)
        try:
            await body.future
        except asyncio.CancelledError:
            body.cancel()
            raise
        except BaseException as error:  # user code must not end the worker
            host.log.error("hook failed", hook="on_workflow_error", exc_info=error)


def _info(error: ErrorRecord) -> FailureInfo:
    metadata = error.metadata if error.group else (error.attributes or None)
    return FailureInfo(error.name, error.message, error.stack or None, metadata)
