"""Bodies of steps that are plain functions run in threads (workflow page, 16.2)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stator.shards.workflows.threads import StepThreads
from tests.fakes.engine_in_process import turns, wait_until

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

SCRIPT = """
import asyncio, contextvars, threading
from stator.shards.workflows.threads import StepThreads

async def main():
    threads, began = StepThreads(), threading.Event()
    threads.run(lambda: (began.set(), threading.Event().wait()), contextvars.copy_context())
    began.wait()
    threads.close()

asyncio.run(main())
"""


class Gate:
    """A body that ends when the test says so."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> str:
        """Wait for the test."""
        self.began.set()
        assert self.may_end.wait(10)
        return "ended"


@asynccontextmanager
async def open_threads(limit: int = 4) -> AsyncGenerator[StepThreads]:
    threads = StepThreads(limit)
    try:
        yield threads
    finally:
        threads.close()


def run(threads: StepThreads, body: Callable[[], Any]) -> asyncio.Future[Any]:
    return threads.run(body, contextvars.copy_context())


async def running(threads: StepThreads) -> tuple[Gate, asyncio.Future[Any]]:
    """Begin a body that ends when the test says so."""
    gate = Gate()
    future = run(threads, gate)
    await wait_until(gate.began.is_set, "the body began")
    return gate, future


async def test_a_body_runs_beside_the_event_loop() -> None:
    async with open_threads() as threads:
        assert await run(threads, threading.get_ident) != threading.get_ident()


async def test_a_body_runs_in_its_context() -> None:
    async with open_threads() as threads:
        context = contextvars.copy_context()
        context.run(WHO.set, "ray")
        assert await threads.run(WHO.get, context) == "ray"


class Unusual(BaseException):
    """Is no ``Exception``."""


@pytest.mark.parametrize("kind", [ValueError, Unusual, SystemExit, KeyboardInterrupt])
async def test_whatever_a_body_raises_is_delivered(kind: type[BaseException]) -> None:
    def body() -> None:
        raise kind("why")

    async with open_threads() as threads:
        future = run(threads, body)
        await asyncio.wait({future})
        assert type(future.exception()) is kind


async def test_a_body_that_raises_stop_iteration_fails() -> None:
    async with open_threads() as threads:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await run(threads, iter(()).__next__)


async def test_a_thread_outlives_what_a_body_raises() -> None:
    async with open_threads(1) as threads:
        await asyncio.wait({failed := run(threads, sys.exit)})
        assert isinstance(failed.exception(), SystemExit)
        assert await run(threads, lambda: 5) == 5


async def test_bodies_run_side_by_side() -> None:
    meeting = threading.Barrier(3)
    async with open_threads() as threads:
        bodies = [run(threads, lambda: meeting.wait(10)) for _ in range(3)]
        assert sorted(await asyncio.gather(*bodies)) == [0, 1, 2]


async def test_an_idle_thread_is_used_again() -> None:
    async with open_threads() as threads:
        idents = {await run(threads, threading.get_ident) for _ in range(5)}
        assert len(idents) == 1


async def test_no_more_bodies_run_than_there_may_be_threads() -> None:
    async with open_threads(1) as threads:
        gate, first = await running(threads)
        second = run(threads, lambda: "second")
        await turns()
        assert not second.done()
        gate.may_end.set()
        assert (await first, await second) == ("ended", "second")


async def test_a_body_that_was_given_up_before_it_began_is_not_run() -> None:
    seen: list[str] = []
    async with open_threads(1) as threads:
        gate, _ = await running(threads)
        run(threads, lambda: seen.append("given up")).cancel()
        last = run(threads, lambda: seen.append("last"))
        gate.may_end.set()
        await last
        assert seen == ["last"]


async def test_nobody_hears_of_a_body_that_was_given_up() -> None:
    async with open_threads(1) as threads:
        gate, future = await running(threads)
        future.cancel()
        gate.may_end.set()
        assert await run(threads, lambda: 5) == 5  # the same thread, after it
        assert future.cancelled()


async def test_the_place_of_a_body_that_was_given_up_and_goes_on_is_taken() -> None:
    async with open_threads(2) as threads:
        gate, future = await running(threads)
        future.cancel()
        assert await run(threads, lambda: 5) == 5
        gate.may_end.set()


async def test_it_is_busy_while_a_body_runs_or_waits() -> None:
    async with open_threads(1) as threads:
        assert not threads.is_busy
        gate, first = await running(threads)
        assert threads.is_busy
        second = run(threads, lambda: None)
        gate.may_end.set()
        await first
        assert threads.is_busy
        await second
        await turns()
        assert not threads.is_busy


async def test_it_is_not_busy_for_a_body_that_was_given_up() -> None:
    async with open_threads() as threads:
        gate, future = await running(threads)
        future.cancel()
        await turns()
        assert not threads.is_busy
        gate.may_end.set()


async def test_to_close_waits_for_no_body() -> None:
    threads = StepThreads()
    gate, future = await running(threads)
    threads.close()
    await turns()
    assert future.cancelled()
    gate.may_end.set()


async def test_what_waits_for_a_thread_is_not_run_after_the_close() -> None:
    threads = StepThreads(1)
    seen: list[str] = []
    thread = await run(threads, threading.current_thread)
    gate, _ = await running(threads)
    waiting = run(threads, lambda: seen.append("ran"))
    threads.close()
    gate.may_end.set()
    await wait_until(lambda: not thread.is_alive(), "the thread has ended")
    assert waiting.cancelled()
    assert seen == []


async def test_nothing_is_run_after_the_close() -> None:
    threads = StepThreads()
    threads.close()
    assert run(threads, lambda: 5).cancelled()


async def test_threads_end_with_the_close() -> None:
    threads = StepThreads()
    thread = await run(threads, threading.current_thread)
    threads.close()
    await wait_until(lambda: not thread.is_alive(), "the thread has ended")


async def test_what_failed_is_freed_without_the_garbage_collector() -> None:
    class Body:
        """Fails."""

        def __call__(self) -> None:
            """Fail."""
            raise ValueError

    async with open_threads() as threads:
        body = Body()
        freed = weakref.ref(body)
        gc.disable()
        try:
            future = run(threads, body)
            await asyncio.wait({future})
            assert isinstance(future.exception(), ValueError)
            await turns()
            del body, future
            await wait_until(lambda: freed() is None, "the body is freed")
        finally:
            gc.enable()


def test_a_body_that_never_ends_does_not_hold_up_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], timeout=20, check=False)
    assert done.returncode == 0
