"""The job workers of the examples: replies, retries, crashes, and the batch that spreads jobs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

import pytest

from examples.jobs import worker as module
from examples.jobs.app import Batch, registry, worker_of
from examples.jobs.worker import MAX_ATTEMPTS, Job, Progress, Result, Worker
from stator.testing import running


@pytest.fixture(autouse=True)
def short_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make work cheap."""
    monkeypatch.setattr(module, "ROUNDS_PER_STEP", 1)


class Work:
    """Work that a test lets end; counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.begins = asyncio.Event()
        self.may_end = asyncio.Event()

    async def do(self, actor: Worker) -> str | None:
        """Do it for an actor, unless that must stop."""
        self.begun += 1
        self.begins.set()
        ends = asyncio.create_task(self.may_end.wait())
        aborts = asyncio.create_task(actor.abort_signal.wait())
        try:
            await asyncio.wait({ends, aborts}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ends.cancel()
            aborts.cancel()
        return "done" if self.may_end.is_set() else None


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """The work of all jobs."""
    work = Work()

    async def do(actor: Worker, job: Job, attempt: int) -> str | None:
        return await work.do(actor)

    monkeypatch.setattr(Worker, "_work", do)
    yield work


async def test_a_sender_that_waits_gets_the_result() -> None:
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])

        outcome = await worker.enqueue(Worker.jobs, Job("a", "hello", steps=1), wait=True)

    digest = hashlib.pbkdf2_hmac("sha256", b"hello", b"a", 1).hex()
    assert (outcome.status, outcome.reply) == ("completed", Result("a", digest, 1))


async def test_progress_is_told_step_by_step() -> None:
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])
        async with worker.connect() as conn:
            progress = conn.events(Worker.progress)
            await worker.enqueue(Worker.jobs, Job("a", "hello", steps=3))
            told = [await anext(progress) for _ in range(3)]

    assert told == [Progress("a", 1, step, 3) for step in (1, 2, 3)]


async def test_a_job_that_fails_is_tried_again() -> None:
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])

        outcome = await worker.enqueue(Worker.jobs, Job("a", "hello", failures=2), wait=True)

    assert outcome.reply and (outcome.reply.attempts, outcome.reply.error) == (3, None)


async def test_a_job_that_fails_for_ever_is_given_up() -> None:
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])

        outcome = await worker.enqueue(Worker.jobs, Job("a", "hello", failures=99), wait=True)
        after = await worker.enqueue(Worker.jobs, Job("b", "hello"), wait=True)

    assert outcome.reply == Result("a", None, MAX_ATTEMPTS, "gave up after 3 attempts")
    assert after.reply and after.reply.error is None


async def test_a_job_that_comes_twice_is_done_once(work: Work) -> None:
    work.may_end.set()
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])

        outcomes = [
            await worker.enqueue(Worker.jobs, Job("a", "hello"), wait=True) for _ in range(2)
        ]

    assert outcomes[0] == outcomes[1]
    assert work.begun == 1


async def test_a_job_outlives_the_crash_of_its_worker(work: Work) -> None:
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])
        await worker.enqueue(Worker.jobs, Job("a", "hello"))
        await work.begins.wait()

        await client.testing.crash()
        work.may_end.set()
        await client.testing.advance(module.RESUME_S)  # nobody calls: the schedule wakes it

        again = await worker.enqueue(Worker.jobs, Job("a", "hello"), wait=True)
    assert again.reply == Result("a", "done", attempts=2)
    assert work.begun == 2


async def test_a_job_that_kills_its_worker_is_given_up(work: Work) -> None:
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])
        await worker.enqueue(Worker.jobs, Job("a", "hello"))
        for _ in range(MAX_ATTEMPTS):
            await work.begins.wait()
            work.begins.clear()
            await client.testing.crash()
            await worker.resolve()
            await worker.resume()

        outcome = await worker.enqueue(Worker.jobs, Job("a", "hello"), wait=True)

    assert outcome.reply and outcome.reply.error == "gave up after 3 attempts"
    assert work.begun == MAX_ATTEMPTS


async def test_a_stop_in_good_order_is_no_failed_attempt(work: Work) -> None:
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])
        await worker.enqueue(Worker.jobs, Job("a", "hello"))
        await work.begins.wait()

        await client.testing.sleep(worker)
        work.may_end.set()
        outcome = await worker.enqueue(Worker.jobs, Job("a", "hello"), wait=True)

    assert outcome.reply == Result("a", "done", attempts=1)


async def test_a_worker_with_nothing_to_do_sleeps_for_good() -> None:
    async with running(registry) as client:
        worker = client.get_or_create(Worker, ["0"])
        await worker.enqueue(Worker.jobs, Job("a", "hello"), wait=True)

        await client.testing.advance(2 * module.RESUME_S)
        first = await client.testing.is_awake(worker)
        await client.testing.advance(100 * module.RESUME_S)

        assert not first
        assert not await client.testing.is_awake(worker)


async def test_a_batch_has_all_its_jobs_done() -> None:
    jobs = [Job(f"job {number}", "hello", failures=number % 2) for number in range(12)]
    async with running(registry) as client:
        batch = client.get_or_create(Batch, ["b"])
        async with batch.connect() as conn:
            done = conn.events(Batch.done)
            outcome = await batch.enqueue(Batch.orders, jobs, wait=True)
            told = [await anext(done) for _ in jobs]

    assert outcome.reply
    assert [result.id for result in outcome.reply] == [job.id for job in jobs]
    assert sorted(result.id for result in told) == sorted(job.id for job in jobs)
    assert {result.error for result in outcome.reply} == {None}


async def test_a_batch_that_crashed_repeats_no_job(work: Work) -> None:
    work.may_end.set()
    jobs = [Job(f"job {number}", "hello") for number in range(8)]
    async with running(registry) as client:
        batch = client.get_or_create(Batch, ["b"])
        await batch.enqueue(Batch.orders, jobs)
        await work.begins.wait()
        await client.testing.crash()

        outcome = await batch.enqueue(Batch.orders, jobs, wait=True)

    assert outcome.reply and len(outcome.reply) == 8
    assert work.begun <= 2 * len(jobs)


def test_jobs_are_spread_over_all_workers() -> None:
    assert {worker_of(f"job {number}") for number in range(50)} == {"0", "1", "2", "3"}
