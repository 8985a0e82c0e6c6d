"""The control block: the one piece of memory that every process of the service maps.

It is a memfd: it has no name, so nothing is left behind by a crash, and children get it by
inheritance. Cells are read and written through a memoryview of 64-bit items, each of which is
one aligned 8-byte load or store. ``struct.pack_into`` would not do: it clears the bytes before
it fills them, and a reader in another process sees the zero in between.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Iterable, Sequence

from . import control
from .control import ChildCell, ChildState, Header, ParentCell, Role, ServiceState

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class LayoutMismatch(Exception):
    """The segment is a control block of another version of stator."""


class Slot:
    """What the control block says about one child.

    ``begin``, ``end`` are called by the supervisor, ``take_over``, ``set_state``, ``beat``,
    ``publish`` by the child of the slot, and by nobody else.
    """

    def __init__(self, cells: memoryview[int]) -> None:
        self._cells = cells

    @property
    def role(self) -> Role:
        """The child's role."""
        return Role(self._cells[ParentCell.ROLE])

    @property
    def index(self) -> int:
        """The child's number among those of its role."""
        return self._cells[ParentCell.INDEX]

    @property
    def pid(self) -> int:
        """The child's process id, 0 while there is none."""
        return self._cells[ParentCell.PID]

    @property
    def generation(self) -> int:
        """How often the child was started."""
        return self._cells[ParentCell.GENERATION]

    @property
    def started_ns(self) -> int:
        """When the child was last started; CLOCK_MONOTONIC."""
        return self._cells[ParentCell.STARTED_NS]

    @property
    def state(self) -> ChildState:
        """How far the child is."""
        cells = self._cells
        return control.current_state(
            ended=cells[ParentCell.ENDED],
            generation=cells[ParentCell.GENERATION],
            child_generation=cells[ChildCell.GENERATION],
            state=cells[ChildCell.STATE],
        )

    @property
    def is_taken_over(self) -> bool:
        """Whether the child's half was written by the present generation of the child."""
        return self._cells[ChildCell.GENERATION] == self._cells[ParentCell.GENERATION]

    @property
    def heartbeat_ns(self) -> int:
        """When the child's loop last ran its heartbeat, 0 if never; CLOCK_MONOTONIC."""
        return self._cells[ChildCell.HEARTBEAT_NS] if self.is_taken_over else 0

    @property
    def loop_lag_us(self) -> int:
        """How late the last heartbeat ran."""
        return self._cells[ChildCell.LOOP_LAG_US]

    @property
    def rss_bytes(self) -> int:
        """Resident memory at the last heartbeat."""
        return self._cells[ChildCell.RSS_BYTES]

    @property
    def counters(self) -> list[int]:
        """All counters as of the last heartbeat, indexed by :class:`control.Counter`."""
        return self._cells[control.FIRST_COUNTER : control.FIRST_BUCKET].tolist()

    @property
    def histogram(self) -> list[int]:
        """Latency buckets as of the last heartbeat; see :func:`control.bucket_limit_us`."""
        return self._cells[control.FIRST_BUCKET : control.SLOT_CELLS].tolist()

    def name(self, role: Role, index: int) -> None:
        """Say whose slot this is; once, by the supervisor."""
        self._cells[ParentCell.ROLE] = role
        self._cells[ParentCell.INDEX] = index

    def begin(self, *, pid: int, generation: int, started_ns: int) -> None:
        """Record that the supervisor started ``generation`` of the child."""
        cells = self._cells
        cells[ParentCell.STARTED_NS] = started_ns
        cells[ParentCell.PID] = pid
        cells[ParentCell.GENERATION] = generation
        cells[ParentCell.ENDED] = 0

    def end(self, state: ChildState) -> None:
        """Record that the child is gone: ``STOPPED`` or ``FAILED``."""
        self._cells[ParentCell.ENDED] = state
        self._cells[ParentCell.PID] = 0

    def take_over(self, generation: int) -> None:
        """Void what an earlier generation left and write as ``generation`` from now on."""
        cells = self._cells
        for cell in range(ChildCell.GENERATION, control.SLOT_CELLS):
            cells[cell] = 0
        cells[ChildCell.GENERATION] = generation

    def set_state(self, state: ChildState) -> None:
        """Record how far the child is: ``STARTING``, ``READY`` or ``DRAINING``."""
        self._cells[ChildCell.STATE] = state

    def beat(self, *, heartbeat_ns: int, loop_lag_us: int, rss_bytes: int) -> None:
        """Record that the loop runs, how late it ran and the memory it has."""
        cells = self._cells
        cells[ChildCell.LOOP_LAG_US] = loop_lag_us
        cells[ChildCell.RSS_BYTES] = rss_bytes
        cells[ChildCell.HEARTBEAT_NS] = heartbeat_ns

    def publish(self, counters: Sequence[int], histogram: Sequence[int]) -> None:
        """Record counters and histogram; at most ``COUNTERS`` and ``BUCKETS`` of them."""
        cells = self._cells
        for cell, count in enumerate(counters[: control.COUNTERS], control.FIRST_COUNTER):
            cells[cell] = count
        for cell, count in enumerate(histogram[: control.BUCKETS], control.FIRST_BUCKET):
            cells[cell] = count

    def release(self) -> None:
        """Let go of the memory; the slot cannot be read afterwards."""
        self._cells.release()


class ControlBlock:
    """The mapped control block. Made by ``create`` or ``attach``; ``close`` unmaps it."""

    def __init__(self, memory: mmap.mmap, fd: int) -> None:
        self._memory = memory
        self._cells: memoryview[int] = memoryview(memory).cast("Q")
        self.fd = fd
        """The memfd, owned by whoever created it; -1 in a process that attached."""
        self.shards = self._cells[Header.SHARDS]
        """How many shards the service has."""
        slots_at = control.slot_at(self.shards, 0)
        owners_at, epochs_at = control.owners_at(), control.epochs_at(self.shards)
        self._owners = self._cells[owners_at:epochs_at]
        self._epochs = self._cells[epochs_at : epochs_at + self.shards]
        self.slots = [
            Slot(self._cells[at : at + control.SLOT_CELLS])
            for at in range(slots_at, len(self._cells), control.SLOT_CELLS)
        ]
        """One view per child, gateways and workers in the order of the supervisor's plan."""

    @classmethod
    def create(cls, *, owners: Sequence[int], children: Sequence[tuple[Role, int]]) -> ControlBlock:
        """Make the segment: ``owners[shard]`` is a worker's index, ``children`` name the slots.

        Every epoch starts at 1. The memfd is sealed against resizing, so that no process can
        make another one fault.
        """
        size = control.size_bytes(len(owners), len(children))
        fd = os.memfd_create("stator-control", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        memory = mmap.mmap(fd, size)
        with memoryview(memory) as view, view.cast("Q") as cells:
            cells[Header.VERSION] = control.LAYOUT_VERSION
            cells[Header.SHARDS] = len(owners)
            cells[Header.SLOTS] = len(children)
            cells[Header.SUPERVISOR_PID] = os.getpid()
            cells[Header.STARTED_AT_MS] = time.time_ns() // 1_000_000
        block = cls(memory, fd)
        for shard, worker in enumerate(owners):
            block._owners[shard] = worker
            block._epochs[shard] = 1
        for slot, (role, index) in zip(block.slots, children, strict=True):
            slot.name(role, index)
        block._cells[Header.MAGIC] = control.MAGIC
        return block

    @classmethod
    def attach(cls, fd: int, *, writable: bool = True) -> ControlBlock:
        """Map the segment behind ``fd``, which may be closed afterwards.

        Raises ``ValueError`` if it is no control block, :class:`LayoutMismatch` if it is one that
        this version cannot read.
        """
        size = os.fstat(fd).st_size
        if size < control.HEADER_CELLS * control.CELL_BYTES:
            raise ValueError("this is not a control block")
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        memory = mmap.mmap(fd, size, access=access)
        with memoryview(memory) as view, view.cast("Q") as cells:
            expected = control.size_bytes(cells[Header.SHARDS], cells[Header.SLOTS])
            is_ours = cells[Header.MAGIC] == control.MAGIC
            is_readable = cells[Header.VERSION] == control.LAYOUT_VERSION and size == expected
        if is_ours and is_readable:
            return cls(memory, -1)
        memory.close()
        if is_ours:
            raise LayoutMismatch("this control block is of another version of stator")
        raise ValueError("this is not a control block")

    def close(self) -> None:
        """Unmap the segment and close the memfd if this process made it; twice is once."""
        if self._memory.closed:
            return
        for slot in self.slots:
            slot.release()
        for view in (self._owners, self._epochs, self._cells):
            view.release()
        self._memory.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def supervisor_pid(self) -> int:
        """The supervisor's process id."""
        return self._cells[Header.SUPERVISOR_PID]

    @property
    def started_at_ms(self) -> int:
        """When the service was started; Unix time."""
        return self._cells[Header.STARTED_AT_MS]

    @property
    def service_state(self) -> ServiceState:
        """How far the service is."""
        return ServiceState(self._cells[Header.STATE])

    def set_service_state(self, state: ServiceState) -> None:
        """Record how far the service is; by the supervisor."""
        self._cells[Header.STATE] = state

    @property
    def rolls_stopped(self) -> int:
        """How many rolls of the workers were stopped before all were replaced."""
        return self._cells[Header.ROLLS_STOPPED]

    def count_stopped_roll(self) -> None:
        """Record that a roll was stopped; by the supervisor."""
        self._cells[Header.ROLLS_STOPPED] += 1

    def owner_of(self, shard: int) -> int:
        """Return the index of the worker that owns ``shard``; cheap, once per request."""
        return self._owners[shard]

    def epoch_of(self, shard: int) -> int:
        """Return the epoch of ``shard``: 1, and one more for each owner it has lost."""
        return self._epochs[shard]

    def raise_epochs(self, shards: Iterable[int]) -> None:
        """Record that the owner of ``shards`` is lost; by the supervisor."""
        for shard in shards:
            self._epochs[shard] += 1

    def slot(self, number: int) -> Slot:
        """Return the view of one child's slot."""
        return self.slots[number]
