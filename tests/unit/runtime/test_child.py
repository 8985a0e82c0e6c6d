"""A good child: heartbeat, readiness, SIGTERM, and the end of the supervisor."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from stator.runtime.boot import Boot
from stator.runtime.child import Child
from stator.runtime.config import Config, Workers
from stator.runtime.control import ChildState, Counter, Role
from stator.runtime.control_block import ControlBlock, Slot
from stator.runtime.exit_codes import ExitCode

_DEADLINE_OF_A_BLOCKED_CHILD = """
import re
from stator.runtime.child import exit_after
exit_after(0.2)
re.match("(a+)+$", "a" * 60 + "b")  # C code that keeps the GIL for longer than a life
"""
_STACK_DUMP = """
import os, signal
from stator.runtime.child import send_stacks_to
def show_me():
    os.kill(os.getpid(), signal.SIGUSR1)
send_stacks_to(1)
show_me()
"""


class Setup:
    """A child in this process, and what its supervisor would hold."""

    def __init__(self) -> None:
        self.block = ControlBlock.create(owners=[0], children=[(Role.WORKER, 0)])
        self.lifeline_fd, self.supervisor_end = os.pipe()
        self.ready_end, ready_fd = os.pipe()
        self.deadlines: list[float] = []
        config = Config(workers=Workers(heartbeat_interval=0.05, grace_period=7.0))
        self.boot = Boot(
            role=Role.WORKER,
            index=0,
            slot=0,
            generation=1,
            title="",
            config=config,
            shards=(0,),
            total_shards=4,
            workers=(),
            data_directory="",
            run_directory="",
            control_fd=self.block.fd,
            lifeline_fd=self.lifeline_fd,
            ready_fd=ready_fd,
            stack_fd=-1,
            lock_fd=-1,
            listen_fds=(),
        )
        self.slot.begin(pid=os.getpid(), generation=1, started_ns=time.monotonic_ns())
        self.child = Child(self.boot, self.block, deadline=self.deadlines.append)

    @property
    def slot(self) -> Slot:
        return self.block.slot(0)

    def end_supervisor(self) -> None:
        if self.supervisor_end >= 0:
            os.close(self.supervisor_end)
            self.supervisor_end = -1

    def close(self) -> None:
        self.end_supervisor()
        os.close(self.ready_end)
        self.block.close()


@pytest.fixture
def setup() -> Iterator[Setup]:
    sigint = signal.getsignal(signal.SIGINT)
    setup = Setup()
    yield setup
    signal.signal(signal.SIGINT, sigint)
    setup.close()


def _run(main: Callable[[], Awaitable[None]]) -> None:
    async def within_time() -> None:
        await asyncio.wait_for(main(), 10)

    asyncio.run(within_time())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  shared memory has no event to wait for
        await asyncio.sleep(0.001)


def test_a_child_is_starting_until_it_is_ready(setup: Setup) -> None:
    assert setup.slot.is_taken_over
    states = [setup.slot.state]
    setup.child.ready()
    states.append(setup.slot.state)
    assert states == [ChildState.STARTING, ChildState.READY]
    assert os.read(setup.ready_end, 2) == b"\n"
    assert os.read(setup.ready_end, 1) == b""


def test_the_heartbeat_is_written_by_the_loop_again_and_again(setup: Setup) -> None:
    async def main() -> None:
        setup.child.start(asyncio.get_running_loop())
        first = setup.slot.heartbeat_ns
        assert 0 < first <= time.monotonic_ns()
        assert setup.slot.rss_bytes > 1 << 20
        await _until(lambda: setup.slot.heartbeat_ns > first)

    _run(main)


def test_a_blocked_loop_shows_as_lag(setup: Setup) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        lags: list[int] = []

        def look() -> None:  # behind the heartbeat, before the next one says otherwise
            lags.append(setup.slot.loop_lag_us)
            loop.call_soon(look)

        setup.child.start(loop)
        loop.call_soon(look)
        blocked_until = time.monotonic() + 0.2
        while time.monotonic() < blocked_until:
            pass
        await _until(lambda: max(lags, default=0) > 100_000)

    _run(main)


def test_counters_and_latencies_are_published_with_a_heartbeat(setup: Setup) -> None:
    async def main() -> None:
        setup.child.start(asyncio.get_running_loop())
        setup.child.counters[Counter.COMMITS] += 5
        setup.child.record_latency(3)
        assert setup.slot.counters[Counter.COMMITS] == 0
        await _until(lambda: setup.slot.counters[Counter.COMMITS] == 5)
        assert setup.slot.histogram[2] == 1

    _run(main)


def test_sigterm_begins_the_drain(setup: Setup) -> None:
    async def main() -> None:
        setup.child.start(asyncio.get_running_loop())
        setup.child.ready()
        assert not setup.child.stopping
        os.kill(os.getpid(), signal.SIGTERM)
        await setup.child.wait_stopping()
        assert setup.child.stopping
        assert setup.slot.state is ChildState.DRAINING
        assert setup.child.exit_code() is ExitCode.OK

    _run(main)


def test_sigint_is_left_to_the_supervisor(setup: Setup) -> None:
    async def main() -> None:
        setup.child.start(asyncio.get_running_loop())
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        assert not setup.child.stopping

    _run(main)


def test_the_end_of_the_supervisor_begins_the_drain_and_the_deadline(setup: Setup) -> None:
    async def main() -> None:
        setup.child.start(asyncio.get_running_loop())
        assert not setup.child.orphaned
        setup.end_supervisor()
        await setup.child.wait_stopping()
        assert setup.child.exit_code() is ExitCode.ORPHANED
        assert setup.deadlines == [7.0]

    _run(main)


def test_a_supervisor_that_died_before_anyone_looked_is_noticed(setup: Setup) -> None:
    setup.end_supervisor()

    async def main() -> None:
        setup.child.start(asyncio.get_running_loop())
        await setup.child.wait_stopping()
        assert setup.child.orphaned

    _run(main)


def test_the_deadline_starts_while_there_is_no_loop_yet(setup: Setup) -> None:
    setup.end_supervisor()
    give_up = time.monotonic() + 10
    while not setup.deadlines:  # the application is being imported here
        assert time.monotonic() < give_up


def test_the_deadline_starts_while_the_loop_is_blocked(setup: Setup) -> None:
    async def main() -> None:
        setup.child.start(asyncio.get_running_loop())
        setup.end_supervisor()
        give_up = time.monotonic() + 10
        while not setup.deadlines:  # the loop is blocked here
            assert time.monotonic() < give_up

    _run(main)


def test_the_deadline_ends_a_process_that_never_gives_the_gil_back() -> None:
    blocked = subprocess.run(
        [sys.executable, "-c", _DEADLINE_OF_A_BLOCKED_CHILD], capture_output=True, timeout=30
    )
    assert blocked.returncode == ExitCode.FAILURE
    assert b"in match" in blocked.stderr


def test_sigusr1_writes_the_stacks_of_all_threads() -> None:
    dumped = subprocess.run(
        [sys.executable, "-c", _STACK_DUMP], capture_output=True, timeout=30, check=True
    )
    assert b"in show_me" in dumped.stdout
