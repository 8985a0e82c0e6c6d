"""``handle.workflow`` of the client without ``await``."""

from __future__ import annotations

from typing import Any

from stator.runtime.workflow_handle import WorkflowHandle as AsyncWorkflowHandle
from stator.runtime.workflow_handle import WorkflowHistory, WorkflowStatus

from .loop_thread import LoopThread


class WorkflowHandle:
    """The workflow of one actor; see :class:`stator.runtime.workflow_handle.WorkflowHandle`.

    Every method blocks its own thread alone and raises what the asynchronous one raises.
    """

    __slots__ = ("_thread", "_workflow")

    def __init__(self, thread: LoopThread, workflow: AsyncWorkflowHandle) -> None:
        self._thread = thread
        self._workflow = workflow

    def status(self) -> WorkflowStatus:
        """Return how far the run is: a ``str`` such as ``"sleeping"``, with attributes."""
        return self._thread.run(self._workflow.status())

    def history(self) -> WorkflowHistory:
        """Return all entries that are kept."""
        return self._thread.run(self._workflow.history())

    def output(self) -> Any:
        """Return what the run returned.

        Raises ``workflow.not_finished``, ``workflow.failed`` and ``workflow.cancelled``.
        """
        return self._thread.run(self._workflow.output())

    def cancel(self) -> WorkflowStatus:
        """Ask for the end of the run; its undo handlers run first."""
        return self._thread.run(self._workflow.cancel())

    def retry(self) -> WorkflowStatus:
        """Go on with a run that failed or was cancelled, from where it did."""
        return self._thread.run(self._workflow.retry())

    def fork(self, from_key: str | None = None) -> WorkflowStatus:
        """Begin another run with the history before an entry; without one, from scratch."""
        return self._thread.run(self._workflow.fork(from_key))

    def resolve(self, promise: str, value: Any = None) -> WorkflowStatus:
        """Give a promise its value. Raises ``workflow.output_not_serializable``."""
        return self._thread.run(self._workflow.resolve(promise, value))
