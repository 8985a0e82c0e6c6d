"""Actions over HTTP beside a bare aiohttp handler: how many per second, how long each takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .load import Job, Outcome, drive
from .report import Row, Target, compare
from .subjects import Server, Service


@dataclass(frozen=True, slots=True)
class Length:
    """How long to measure."""

    rounds: int
    seconds: float


FULL = Length(7, 1.5)
QUICK = Length(3, 0.8)


@dataclass(frozen=True, slots=True)
class Case:
    """One combination of what is called and by how many."""

    action: str
    connections: int
    actors: int
    target: Target | None = None

    @property
    def load(self) -> str:
        """By how many."""
        connections = f"{self.connections} connection{'s' * (self.connections > 1)}"
        return f"{connections}, {self.actors:,} actor{'s' * (self.actors > 1)}"

    @property
    def name(self) -> str:
        """What the rows call it."""
        kind = "changing" if self.action == "increment" else "read-only"
        return f"{kind}, {self.load}"

    def job(self, port: int, length: Length) -> Job:
        """Return the load of one round."""
        return Job(
            port=port,
            action=self.action,
            argument=1 if self.action == "increment" else None,
            actors=self.actors,
            connections=self.connections,
            seconds=length.seconds,
        )


DURABLE = Case("increment", 64, 1_000, Target(0.70))
READ_ONLY = Case("get", 64, 1_000, Target(0.75))
OTHERS = (
    READ_ONLY,
    Case("increment", 64, 1),
    Case("get", 64, 1),
    Case("increment", 1, 1_000),
    Case("get", 1, 1_000),
    Case("increment", 1, 1),
    Case("get", 1, 1),
)

Pairs = list[tuple[Outcome, Outcome]]
Measured = TypeVar("Measured")


def alternate(
    ours: Callable[[], Measured], limit: Callable[[], Measured], length: Length
) -> list[tuple[Measured, Measured]]:
    """Measure both by turns, so that what else the machine does hits both.

    Who comes first changes from round to round, so that a drift favours nobody.
    """
    pairs: list[tuple[Measured, Measured]] = []
    for number in range(length.rounds):
        if number % 2:
            value = ours()
            pairs.append((value, limit()))
        else:
            bound = limit()
            pairs.append((ours(), bound))
    return pairs


def beside(service: Server, bare: Server, case: Case, length: Length) -> Pairs:
    """Measure a case on the service and on the bare server."""
    return alternate(
        lambda: drive(case.job(service.port, length)),
        lambda: drive(case.job(bare.port, length)),
        length,
    )


def warm_up(service: Service) -> None:
    """Create the actors, so that no round does."""
    drive(Job(port=service.port, actors=1_000, once=True, connections=16, seconds=60.0))


def rows_of(case: Case, pairs: Pairs) -> Iterator[Row]:
    """Yield the rows of a case: its rate, the median and the slowest of its latencies."""
    rates = [(ours.per_second, limit.per_second) for ours, limit in pairs]
    yield compare(f"{case.name}: rate", "actions/s", rates, case.target)
    for name in ("p50_us", "p99_us"):
        times = [(getattr(ours, name) / 1e3, getattr(limit, name) / 1e3) for ours, limit in pairs]
        yield compare(f"{case.name}: {name[:3]}", "ms", times)
