"""The worker: takes jobs from its durable queue, one after the other, and replies with results."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated

import msgspec

from stator import Actor, Event, Options, Queue, action

MAX_ATTEMPTS = 3
ROUNDS_PER_STEP = 20_000
RESUME_S = 30.0
REMEMBERED = 500
"""How many results a worker keeps for jobs that come twice."""


class Job(msgspec.Struct):
    """Hash a text, slowly: work that takes time and gives the same result every time."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """Chosen by the sender: jobs with one id are one job."""
    text: str
    steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5
    failures: int = 0
    """How many attempts are to fail; to watch the retries."""


class Result(msgspec.Struct):
    """How a job ended."""

    id: str
    digest: str | None
    attempts: int
    error: str | None = None
    """Why it was given up."""


class Progress(msgspec.Struct):
    """So far."""

    id: str
    attempt: int
    step: int
    steps: int


class Ledger(msgspec.Struct):
    """What a worker must know after a crash."""

    attempts: dict[str, int] = {}
    """Of jobs that are not done."""
    results: dict[str, Result] = {}


class JobFailed(Exception):
    """An attempt did not succeed; another one may."""


class Worker(Actor, rename="camel"):
    """Does jobs in the order they came.

    * A job stays in the queue until it is completed: a worker that died gets it again.
    * Attempts are counted on disk before each, so that a job that kills its worker is given up too.
    * Completing a job and remembering its result are one commit, and a job that comes twice is
      answered with what is remembered: once and twice look the same from outside.
    """

    options = Options(name="Job worker", icon="gears", action_timeout=600.0, sleep_timeout=10.0)
    state: Ledger

    jobs = Queue[Job, Result]()
    progress = Event[Progress]()

    async def run(self) -> None:
        """Take jobs until the actor sleeps: then the loop ends. On wake it begins again."""
        async for message in self.queue.iter(self.jobs, completable=True):
            result = self.state.results.get(message.body.id) or await self._do(message.body)
            if result is None:
                return  # not completed: the job is there when the actor is back
            self._remember(result)
            await message.complete(result)

    async def _do(self, job: Job) -> Result | None:
        while (attempt := self.state.attempts.get(job.id, 0) + 1) <= MAX_ATTEMPTS:
            self.state.attempts[job.id] = attempt
            await self._resume_after_a_crash()
            try:
                digest = await self._work(job, attempt)
            except JobFailed as error:
                self.log.warning("job failed", job=job.id, attempt=attempt, reason=str(error))
                continue
            if digest is None:  # stopped in good order, which is no failed attempt
                self.state.attempts[job.id] = attempt - 1
                return None
            return Result(job.id, digest, attempt)
        return Result(job.id, None, MAX_ATTEMPTS, f"gave up after {MAX_ATTEMPTS} attempts")

    async def _work(self, job: Job, attempt: int) -> str | None:
        digest = job.text.encode()
        for step in range(1, job.steps + 1):
            if self.aborted:
                return None
            digest = await asyncio.to_thread(  # never on the event loop: others live there
                hashlib.pbkdf2_hmac, "sha256", digest, job.id.encode(), ROUNDS_PER_STEP
            )
            if attempt <= job.failures:
                raise JobFailed(f"as asked for: {job.failures} failures")
            self.broadcast(self.progress, Progress(job.id, attempt, step, job.steps))
        return digest.hex()

    def _remember(self, result: Result) -> None:
        self.state.attempts.pop(result.id, None)
        self.state.results[result.id] = result
        while len(self.state.results) > REMEMBERED:
            del self.state.results[next(iter(self.state.results))]

    # -- coming back after a crash: a schedule wakes an actor, a message that waits does not

    async def _resume_after_a_crash(self) -> None:
        await self.cron.every(name="resume", interval=RESUME_S, action=self.resume, max_history=0)
        await self.save_state()  # the count of attempts, before the attempt

    @action
    async def resume(self) -> None:
        """Be awake; once all is done, end the schedule that calls this."""
        if not self.state.attempts:
            await self.cron.delete("resume")
