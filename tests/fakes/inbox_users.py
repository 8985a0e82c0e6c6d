"""The inbox of an actor's workflow, and the words in which tests use it."""

from __future__ import annotations

import asyncio

from stator.runtime.storage import MessageRow
from stator.shards.queues.workflow_inbox import WorkflowInbox
from tests.fakes.engine_in_process import turns
from tests.fakes.queue_users import Office

JOBS = ("jobs",)


async def inbox_of(office: Office, *bodies: str) -> WorkflowInbox:
    """Send messages and return the inbox of the actor's workflow."""
    inbox = WorkflowInbox(office.cell)
    await inbox.load()
    for body in bodies:
        await office.queue.send("jobs", body)
    return inbox


async def waiting(
    inbox: WorkflowInbox, count: int = 1, *, ack: bool = False
) -> asyncio.Task[list[MessageRow]]:
    """Let the workflow wait for jobs."""
    task = asyncio.create_task(inbox.wait(JOBS, count, ack=ack))
    await turns()
    return task


async def left(office: Office) -> list[int]:
    """Receive, as anybody else, what there is."""
    return [message.id for message in await office.queue.try_next_batch("jobs", count=9)]
