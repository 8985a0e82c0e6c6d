"""Durable, replayable runs: what workflows are written with (python-api, section 8)::

    from stator.workflow import Step, Workflow, workflow

    class Orders(Actor):
        state: str = ""

        @workflow
        async def run(self, wf: Workflow) -> None:
            await wf.step("charge", self.charge, 5.0, retries=5)

        async def charge(self, step: Step, price: float) -> None:
            self.state = await payments.charge(price, key=step.idempotency_key)

workflow, step                      say that ``run`` is durable; how a function is run as a step
Workflow                            what the code of a workflow is given: everything is asked of it
Step, Backoff                       what a body is given; the pauses between its attempts
Ok, Failed                          what ``wf.attempt`` returns
Loop, Turn, Saga, Message           what ``wf.loop``, ``wf.saga`` and ``wf.receive`` return, for
Promise, Winner                     annotations; so do ``wf.promise`` and ``wf.first``
Fatal, Undo                         raised by a body: do not try again
StepFailed, GatherFailed            raised by ``wf``: something did not go well for good
FirstFailed, UndoFailed
RecordedError                       stands for an exception whose class is not there any more
WorkflowErrorEvent                  what ``on_workflow_error`` is told
WorkflowHandle and the others       a workflow from outside: ``handle.workflow``, ``self.workflow``

The reference is docs/reference/workflows.md, that of the view from outside workflow-control.md.
"""

from stator.runtime.workflow.backoff import Backoff
from stator.runtime.workflow.branches import Winner
from stator.runtime.workflow.context import Failed, Ok, Workflow
from stator.runtime.workflow.declaration import workflow
from stator.runtime.workflow.loops import Loop, Turn
from stator.runtime.workflow.options import step
from stator.runtime.workflow.receives import Message
from stator.runtime.workflow.reports import WorkflowErrorEvent
from stator.runtime.workflow.sagas import Saga
from stator.runtime.workflow.step import Step
from stator.runtime.workflow.waits import Promise
from stator.runtime.workflow_errors import (
    Fatal,
    FirstFailed,
    GatherFailed,
    RecordedError,
    StepFailed,
    Undo,
    UndoFailed,
)
from stator.runtime.workflow_handle import (
    OpenEntry,
    ReceivedMessage,
    WorkflowEntry,
    WorkflowErrorInfo,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowStatus,
    WorkflowUndo,
)

__all__ = [
    "Backoff",
    "Failed",
    "Fatal",
    "FirstFailed",
    "GatherFailed",
    "Loop",
    "Message",
    "Ok",
    "OpenEntry",
    "Promise",
    "ReceivedMessage",
    "RecordedError",
    "Saga",
    "Step",
    "StepFailed",
    "Turn",
    "Undo",
    "UndoFailed",
    "Winner",
    "Workflow",
    "WorkflowEntry",
    "WorkflowErrorEvent",
    "WorkflowErrorInfo",
    "WorkflowHandle",
    "WorkflowHistory",
    "WorkflowStatus",
    "WorkflowUndo",
    "step",
    "workflow",
]
