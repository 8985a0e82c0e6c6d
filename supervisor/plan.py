"""The plan: which children a configuration wants, and which shards each worker owns.

Rule 1. There are never more workers than shards.
Rule 2. A worker owns one contiguous range: shard ``s`` belongs to worker ``s * W // N``. Another
        number of workers at the next start moves ownership, never data.
Rule 3. Gateways have the first slots of the control block, workers the rest, each by index.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stator.runtime.config import Config
from stator.runtime.control import Role


class ChildPlan(msgspec.Struct, frozen=True):
    """One child, for as long as the service runs: its processes come and go."""

    role: Role
    index: int
    """Number of the child among those of its role."""
    slot: int
    """Number of its slot in the control block."""
    shards: tuple[int, ...]
    """The shards a worker owns; empty for a gateway."""
    argv: tuple[str, ...]
    """The command that starts it."""

    @property
    def name(self) -> str:
        """What logs call it: ``worker 1``."""
        return f"{self.role.name.lower()} {self.index}"

    @property
    def title(self) -> str:
        """What ``ps`` calls it."""
        return title_of(self.role, self.index, self.shards)


class Plan(msgspec.Struct, frozen=True):
    """All children of a service in the order of their slots."""

    gateways: tuple[ChildPlan, ...]
    workers: tuple[ChildPlan, ...]
    owners: tuple[int, ...]
    """The index of the owning worker, by shard."""
    trial: tuple[str, ...]
    """The command that tries what is on disk."""

    @property
    def children(self) -> tuple[ChildPlan, ...]:
        """Gateways, then workers (rule 3)."""
        return self.gateways + self.workers


def make_plan(config: Config, *, shards: int, cores: int, command: Sequence[str]) -> Plan:
    """Return the plan for data in ``shards`` shards on a machine with ``cores`` cores.

    ``command`` is followed by a role and an index, e.g. ``python -m stator`` ``worker 1``, or by
    ``trial``.
    """
    gateways = config.server.gateways
    workers = worker_count(config, shards, cores)
    owners = tuple(shard * workers // shards for shard in range(shards))

    def child(role: Role, index: int, slot: int) -> ChildPlan:
        is_worker = role is Role.WORKER
        owned = tuple(s for s, owner in enumerate(owners) if is_worker and owner == index)
        return ChildPlan(role, index, slot, owned, (*command, role.name.lower(), str(index)))

    return Plan(
        gateways=tuple(child(Role.GATEWAY, index, index) for index in range(gateways)),
        workers=tuple(child(Role.WORKER, index, gateways + index) for index in range(workers)),
        owners=owners,
        trial=(*command, "trial"),
    )


def worker_count(config: Config, shards: int, cores: int) -> int:
    """Return how many workers ``workers.count`` means here (rule 1)."""
    wanted = cores if config.workers.count == "auto" else config.workers.count
    return min(wanted, shards)


def title_of(role: Role, index: int, shards: Sequence[int]) -> str:
    """Return a process title such as ``stator: worker 1 (shards 4-7)``."""
    title = f"stator: {role.name.lower()} {index}"
    return f"{title} ({range_of(shards)})" if shards else title


def range_of(shards: Sequence[int]) -> str:
    """Return ``shards 4-7`` or ``shard 4`` for one contiguous range."""
    first, last = shards[0], shards[-1]
    return f"shard {first}" if first == last else f"shards {first}-{last}"
