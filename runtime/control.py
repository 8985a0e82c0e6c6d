"""The layout of the control block: which cell of the shared segment says what, and who writes it.

Rule 1. The segment is an array of unsigned 64-bit cells in native byte order; an offset here is
        the number of a cell, not of a byte.
Rule 2. Every cell has one writer. The header, the shard table and the first half of each slot are
        the supervisor's; the rest of a slot belongs to the child of that slot.
Rule 3. A cell is written by one 8-byte store, so a reader sees the old or the new value. Two
        cells are never read as one fact; what must agree is in one cell.
Rule 4. State and heartbeat in a child's half count only while its generation cell equals the
        supervisor's: what a dead child left is void until its successor takes the half over.
Rule 5. A slot is eight cache lines and shares none: one line is the supervisor's, seven the
        child's.

This file is arithmetic only; :mod:`.control_block` maps the memory.
"""

from __future__ import annotations

from enum import IntEnum

CELL_BYTES = 8
MAGIC = int.from_bytes(b"stator\0c", "little")
LAYOUT_VERSION = 1


class Role(IntEnum):
    """What a child process does."""

    GATEWAY = 0
    """Serves the public port."""
    WORKER = 1
    """Hosts shards and the actors in them."""


class ServiceState(IntEnum):
    """How far the service is."""

    STARTING = 0
    """Not every child was ready yet."""
    SERVING = 1
    """Every child was ready once."""
    DRAINING = 2
    """Asked to stop; the children are leaving."""


class ChildState(IntEnum):
    """How far one child is. The child writes the first three, the supervisor the others."""

    STARTING = 0
    """Spawned, not ready."""
    READY = 1
    """Serving."""
    DRAINING = 2
    """Asked to stop and finishing its work."""
    STOPPED = 3
    """Left when it was asked to; there is no process."""
    FAILED = 4
    """Died; there is no process until it is restarted."""


class Header(IntEnum):
    """The cells at the start of the segment, written by the supervisor."""

    MAGIC = 0
    """Written last: a segment without it is not finished."""
    VERSION = 1
    """Of this layout."""
    SHARDS = 2
    """How many shards the service has."""
    SLOTS = 3
    """How many children the service has."""
    SUPERVISOR_PID = 4
    STARTED_AT_MS = 5
    """Unix time."""
    STATE = 6
    """A :class:`ServiceState`."""
    ROLLS_STOPPED = 7
    """How many rolls of the workers were stopped before all were replaced."""


class ParentCell(IntEnum):
    """The supervisor's half of a slot."""

    ROLE = 0
    """A :class:`Role`."""
    INDEX = 1
    """Number of the child among those of its role."""
    PID = 2
    """0 while there is no process."""
    GENERATION = 3
    """How often the child was started; 0 before the first time."""
    STARTED_NS = 4
    """When this generation was started; CLOCK_MONOTONIC."""
    ENDED = 5
    """0 while the process lives, else ``ChildState.STOPPED`` or ``FAILED``."""


class ChildCell(IntEnum):
    """The first cells of the child's half of a slot; counters and histogram follow."""

    GENERATION = 8
    """The generation this half was written by (rule 4)."""
    STATE = 9
    """A :class:`ChildState`."""
    HEARTBEAT_NS = 10
    """When the event loop last ran the heartbeat; CLOCK_MONOTONIC."""
    LOOP_LAG_US = 11
    """How late the last heartbeat ran: how long a ready callback waits for the loop."""
    RSS_BYTES = 12
    """Resident memory."""


class Counter(IntEnum):
    """Named counters of a child; each only grows, except the four that are levels now."""

    REQUESTS = 0
    """HTTP requests (gateway) or link requests (worker) finished."""
    ERRORS = 1
    """Those of them that failed by no fault of the caller."""
    ACTIONS = 2
    """Actions run."""
    ACTORS_AWAKE = 3
    """Actors in memory now."""
    ACTORS_CREATED = 4
    CHANGES = 5
    """Changes handed to the shard writers."""
    COMMITS = 6
    """Transactions on disk."""
    COMMIT_FAILURES = 7
    """Transactions the disk refused."""
    CONNECTIONS = 8
    """Client connections open now."""
    LINKS = 9
    """Links to other processes open now."""
    IN_FLIGHT = 10
    """Requests being worked on now."""
    STARTS = 11
    """Starts of actors that went well."""
    START_FAILURES = 12
    """Starts of actors that failed."""


COUNTERS = 16
"""Counter cells of a slot; those without a name are spare."""
BUCKETS = 32
"""Histogram cells of a slot."""

HEADER_CELLS = 16
FIRST_COUNTER = 16
FIRST_BUCKET = FIRST_COUNTER + COUNTERS
SLOT_CELLS = FIRST_BUCKET + BUCKETS


def owners_at() -> int:
    """Return the first cell of the owner table: cell ``+ shard`` is the owning worker's index."""
    return HEADER_CELLS


def epochs_at(shards: int) -> int:
    """Return the first cell of the epoch table: cell ``+ shard`` rises when the owner is lost."""
    return HEADER_CELLS + shards


def slot_at(shards: int, slot: int) -> int:
    """Return the first cell of ``slot``; slots start on a cache line (rule 5)."""
    tables_end = HEADER_CELLS + 2 * shards
    return -(-tables_end // 8) * 8 + slot * SLOT_CELLS


def size_bytes(shards: int, slots: int) -> int:
    """Return the size of the whole segment."""
    return slot_at(shards, slots) * CELL_BYTES


def bucket_of(latency_us: int) -> int:
    """Return the histogram bucket of a latency: bucket ``b`` holds those below ``2**b`` us."""
    return min(latency_us.bit_length(), BUCKETS - 1)


def bucket_limit_us(bucket: int) -> int | None:
    """Return the exclusive upper limit of a bucket, ``None`` for the last, which has none."""
    return None if bucket == BUCKETS - 1 else 1 << bucket


def current_state(*, ended: int, generation: int, child_generation: int, state: int) -> ChildState:
    """Return what a slot says about its child, by the cells of both writers (rule 4)."""
    if ended:
        return ChildState(ended)
    return ChildState(state) if child_generation == generation else ChildState.STARTING
