"""``stator upgrade``: have the running service roll its workers, and tell how that went."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from stator.runtime.config import Config
from stator.runtime.control import ChildState, Role, ServiceState
from stator.runtime.control_block import ControlBlock, Slot
from stator.runtime.exit_codes import ExitCode

from .failure import ServiceFailure
from .plan import title_of
from .running import RunningService, find_running

LOOK_INTERVAL_MS = 50
"""Pause between two looks at the control block."""


def upgrade(config: Config) -> int:
    """Replace the workers and return once all are ready, with an exit code.

    ``CHILD`` if the roll is stopped, ``NOT_RUNNING`` if no service runs on the data directory,
    ``FAILURE`` if it may not be told, or stops meanwhile.
    """
    try:
        with find_running(Path(config.storage.directory)) as service:
            for line in _roll(service):
                print(line, flush=True)
    except ServiceFailure as failure:
        print(f"stator: {failure}", file=sys.stderr)
        return failure.exit_code
    print("upgraded")
    return ExitCode.OK


def _roll(service: RunningService) -> Iterator[str]:
    """Yield a line for each worker that was replaced; return when all were."""
    with closing(_Supervisor(service)) as supervisor:
        while service.block.service_state is ServiceState.STARTING:
            supervisor.wait()
        watch = RollWatch(service.block, why=service.complaint)
        supervisor.hang_up()
        while True:
            yield from watch.look()
            if watch.is_over:
                return
            supervisor.wait()


class RollWatch:
    """A roll as the control block shows it, from before it was asked for."""

    def __init__(self, block: ControlBlock, *, why: Callable[[], str]) -> None:
        """``why`` returns why the last roll was stopped, empty if that cannot be found out."""
        self._block = block
        self._why = why
        self._left = {
            slot.index: slot.generation for slot in block.slots if slot.role is Role.WORKER
        }
        self._stopped = block.rolls_stopped

    @property
    def is_over(self) -> bool:
        """Whether every worker has a successor that is ready."""
        return not self._left

    def look(self) -> Iterator[str]:
        """Yield a line for each worker that has a successor since the last look.

        Raises :class:`ServiceFailure` if the roll will not go on.
        """
        for slot in self._block.slots:
            if slot.role is Role.WORKER and self._is_replaced(slot):
                del self._left[slot.index]
                yield _line_of(slot, self._block)
        if not self._left:
            return
        if self._block.rolls_stopped != self._stopped:
            raise ServiceFailure(ExitCode.CHILD, self._why() or "stopped, the log says why")
        if self._block.service_state is ServiceState.DRAINING:
            raise ServiceFailure(ExitCode.FAILURE, "the service is stopping")

    def _is_replaced(self, slot: Slot) -> bool:
        before = self._left.get(slot.index)
        return before is not None and slot.generation > before and slot.state is ChildState.READY


def _line_of(slot: Slot, block: ControlBlock) -> str:
    owned = [shard for shard in range(block.shards) if block.owner_of(shard) == slot.index]
    title = title_of(slot.role, slot.index, owned)
    return f"{title}  pid {slot.pid}  generation {slot.generation}"


class _Supervisor:
    """The process of the supervisor, held by a pidfd: its number may be another's one day."""

    def __init__(self, service: RunningService) -> None:
        try:
            self._pidfd = os.pidfd_open(service.record.pid)
        except ProcessLookupError:
            raise _gone() from None
        self._poll = select.poll()
        self._poll.register(self._pidfd, select.POLLIN)

    def hang_up(self) -> None:
        """Ask for the roll."""
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGHUP)
        except ProcessLookupError:
            raise _gone() from None
        except PermissionError:
            raise ServiceFailure(ExitCode.FAILURE, "the service belongs to another user") from None

    def wait(self) -> None:
        """Wait until the next look is due. Raises :class:`ServiceFailure` if the process ends."""
        if self._poll.poll(LOOK_INTERVAL_MS):
            raise _gone()

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._pidfd)


def _gone() -> ServiceFailure:
    return ServiceFailure(ExitCode.FAILURE, "the service ended")
