"""Background jobs: a batch spreads them over workers, each with a durable queue of its own."""

from __future__ import annotations

import asyncio
from zlib import crc32

from stator import Actor, ActorError, Event, Options, Queue, setup

from .worker import Job, Result, Worker

WORKERS = 4
PATIENCE_S = 60.0
PAUSE_S = 1.0


class Batch(Actor, rename="camel"):
    """Coordinates: takes lists of jobs, has the workers do them, replies with all the results.

    Nothing of it is kept: an order that a crash interrupted is taken again and spread again, and
    the workers answer what they have done already.
    """

    options = Options(name="Batch of jobs", icon="layer-group", action_timeout=600.0)

    orders = Queue[list[Job], list[Result]]()
    done = Event[Result]()

    async def run(self) -> None:
        """Take one order after the other."""
        async for order in self.queue.iter(self.orders, completable=True):
            self.spreading = asyncio.gather(*(self._give(job) for job in order.body))
            try:
                results = await self.spreading
            except asyncio.CancelledError:
                return  # not completed: the next life takes this order again
            await order.complete(results)

    def on_sleep(self) -> None:
        """Wait for workers no longer: there are no more than a few seconds to stop in."""
        if hasattr(self, "spreading"):
            self.spreading.cancel()

    async def _give(self, job: Job) -> Result:
        worker = self.client.get_or_create(Worker, [worker_of(job.id)])
        while True:
            try:
                outcome = await worker.enqueue(Worker.jobs, job, wait=True, timeout=PATIENCE_S)
            except ActorError as error:  # also when the worker died: asking again wakes it
                self.log.warning("no answer", job=job.id, worker=worker_of(job.id), code=error.code)
                await asyncio.sleep(PAUSE_S)
                continue
            if outcome.reply is not None:  # else it takes long: the same job again is no other job
                self.broadcast(self.done, outcome.reply)
                return outcome.reply


def worker_of(job_id: str) -> str:
    """Return the key of the worker that does a job: always the same one, so it knows its own."""
    return str(crc32(job_id.encode()) % WORKERS)


registry = setup(use={"worker": Worker, "batch": Batch})
