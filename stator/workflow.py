"""Durable, replayable runs: what workflows are written with (python-api, section 8)::

from stator.workflow import Step, StepFailed, Workflow, workflow

class Orders(Actor):
    @workflow
    async def run(self, wf: Workflow) -> None:
        await wf.step("greet", self.greet)
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
