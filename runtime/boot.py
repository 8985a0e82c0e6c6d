"""The boot record: all that a child is told, in a memfd it inherits from the supervisor.

Only the number of that descriptor is in the environment (``STATOR_BOOT_FD``). Descriptors in the
record have the same numbers in the child as in the supervisor that spawned it; -1 is none.
"""

from __future__ import annotations

import os

import msgspec

from .config import Config
from .control import Role

BOOT_FD_VARIABLE = "STATOR_BOOT_FD"
"""The environment variable that holds the number of the boot record's descriptor."""
REPORT_BYTES = 4096
"""A trial says no more than this about why it failed: a pipe takes it in one piece."""


class Boot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one start of one child needs to know."""

    role: Role
    index: int
    """Number of the child among those of its role."""
    slot: int
    """Number of the child's slot in the control block; -1 for a trial, which has none."""
    generation: int
    """1, and one more for each restart of this child."""
    title: str
    """How the process shall be named in ``ps``."""
    config: Config
    shards: tuple[int, ...]
    """The shards this worker owns; empty for a gateway."""
    total_shards: int
    """How many shards the service has."""
    workers: tuple[str, ...]
    """The path of every worker's Unix socket, by the worker's index."""
    data_directory: str
    run_directory: str
    control_fd: int
    """The control block."""
    lifeline_fd: int
    """A pipe that never holds a byte and ends when the supervisor does."""
    ready_fd: int
    """A pipe that wants one byte once the child serves, or why a trial failed."""
    stack_fd: int
    """A memfd for the stacks of a stalled or crashing child; the supervisor logs them."""
    lock_fd: int
    """The data directory's lock: it stays taken until the last child has left."""
    listen_fds: tuple[int, ...]
    """Listening sockets: the public ones of a gateway, or the one Unix socket of a worker."""

    @property
    def inherited_fds(self) -> tuple[int, ...]:
        """All descriptors the child gets besides the boot record's own."""
        fds = (self.control_fd, self.lifeline_fd, self.ready_fd, self.stack_fd, self.lock_fd)
        return tuple(fd for fd in fds + self.listen_fds if fd >= 0)


def write_boot(boot: Boot) -> int:
    """Return the descriptor of a memfd that holds ``boot``."""
    fd = os.memfd_create("stator-boot", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(msgspec.json.encode(boot))
    return fd


def read_boot(fd: int) -> Boot:
    """Return the boot record behind ``fd`` and close it.

    From here on the child's own children inherit none of its descriptors. Raises
    ``msgspec.ValidationError`` if the record is of another version of stator.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(fd, "rb") as file:
        boot = msgspec.json.decode(file.read(), type=Boot)
    for inherited in boot.inherited_fds:
        os.set_inheritable(inherited, False)
    return boot
