"""The group ``workflows``: steps beside actions and by hand, resumes, branches, what waits."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import count
from statistics import median

from stator.runtime.control import Counter, Role

from . import parking, resumption
from .http_actions import Length, alternate
from .lateness import timed
from .load import Job, drive
from .parking import start
from .population import ask, call_each, send
from .report import Row, Target, compare
from .subjects import ROOT, Service, data_directory

STEPS = Target(0.5)
ENGINE_MODULES = Target(0, is_at_most=True)

ACTORS = 100
AT_ONCE = 64
"""Connections of the actions."""
BRANCHES = 1_000
HEAD_START_S = 0.3
"""How long all actors do units before these count."""
REST_S = 0.1
"""How long after the time is over the last unit is done."""
OVERSEERS = 64
"""Keys of those who count; among so many every worker has one."""

FULL, QUICK = Length(7, 1.5), Length(3, 0.8)


def run(
    *, quick: bool, hot: bool = False, settings: Mapping[str, object] | None = None
) -> Iterator[Row]:
    """Yield each row as it is measured; ``hot`` those of steps per second alone."""
    length, chosen = QUICK if quick else FULL, dict(settings or {})
    with data_directory() as data, start(data, chosen) as service:
        service.wait_first_answer()
        yield from rates(service, length)
        if not hot:
            yield from fans(service, length)
            yield from resumption.rows(service, length)
    if hot:
        return
    yield from parking.awake_rows(chosen, quick=quick)
    yield from parking.asleep_rows(chosen, quick=quick)
    yield from imports(length)


# ----------------------------------------------------------------------- units per second


class Works:
    """Units of work a second, by whom the actors are told to do them."""

    def __init__(self, service: Service, length: Length) -> None:
        self._service = service
        self._seconds = length.seconds
        self._fresh = count()
        self._overseers = find_overseers(service)
        self.total = 0
        """How many the last actors did altogether."""

    def rate(self, actor: str, actors: int) -> float:
        """Return how many units a second new actors do."""
        service, key = self._service, f"{actor}{next(self._fresh)}"
        call_each(service, actor, key, actors)
        self._each("reset_odometer")
        orders = Job(
            port=service.port,
            actor=actor,
            key=key,
            actors=actors,
            queue="orders",
            argument=1,
            once=True,
            connections=min(actors, AT_ONCE),
            warm_up=0.0,
        )
        drive(orders)
        begins = time.time() + HEAD_START_S
        until = begins + self._seconds
        self._each("set_time", begins * 1000, until * 1000)
        if time.time() > begins:
            raise RuntimeError("the workers were not told in time")
        time.sleep(until + REST_S - time.time())
        read = self._each("read_odometer")
        self.total = sum(total for _, total in read)
        units: int = sum(units for units, _ in read)
        return units / self._seconds

    def _each(self, action: str, *args: object) -> list[list[int]]:
        return [ask(self._service, "overseer", key, action, *args) for key in self._overseers]


def find_overseers(service: Service) -> list[str]:
    """Return the keys of one overseer in each worker."""
    found: dict[int, str] = {}
    for number in range(OVERSEERS):
        key = f"overseer{number}"
        found.setdefault(ask(service, "overseer", key, "get"), key)
    if len(found) != len(service.pids(Role.WORKER)):
        raise RuntimeError("not every worker has an overseer")
    return list(found.values())


def rates(service: Service, length: Length) -> Iterator[Row]:
    """Yield the rows of steps a second, beside actions and beside a plain run loop."""
    works = Works(service, length)
    call_each(service, "shelf", "acting", ACTORS)
    acting = Job(
        port=service.port,
        actor="shelf",
        key="acting",
        actors=ACTORS,
        connections=AT_ONCE,
        seconds=length.seconds,
    )

    def steps() -> float:
        return works.rate("stepper", ACTORS)

    pairs = alternate(steps, lambda: drive(acting).per_second, length)
    yield compare(f"durable steps / durable actions, {ACTORS} actors: rate", "1/s", pairs, STEPS)
    for actor, what in (("stepper", "durable steps"), ("skipper", "steps, log_start=False")):
        for actors in (ACTORS, 1):
            yield beside_by_hand(works, length, actor, what, actors)
    yield commits(works, service)


def beside_by_hand(works: Works, length: Length, actor: str, what: str, actors: int) -> Row:
    """Return the row of steps a second, beside a run loop that stores its state by hand."""
    pairs = alternate(
        lambda: works.rate(actor, actors), lambda: works.rate("plodder", actors), length
    )
    figure = f"{what} / run loop by hand, {actors} actor{'s' * (actors > 1)}: rate"
    return compare(figure, "1/s", pairs)


def commits(works: Works, service: Service) -> Row:
    """Return the row of the commits of a step, one actor, beside a run loop by hand."""

    def measure(actor: str) -> float:
        before = service.counts()[Counter.COMMITS]
        works.rate(actor, 1)
        return (service.counts()[Counter.COMMITS] - before) / works.total

    pairs = [(measure("stepper"), measure("plodder"))]
    return compare("commits per step / per unit by hand, 1 actor", "", pairs)


# ----------------------------------------------------------------------------- branches


def fans(service: Service, length: Length) -> Iterator[Row]:
    """Yield the rows of a gather of a thousand branches with a step each, beside tasks."""
    spent: dict[str, list[int]] = {"fan": [], "crew": []}

    def order(actor: str) -> float:
        before = service.counts()[Counter.COMMITS]
        seconds: float = send(service, actor, "main", "orders", BRANCHES)
        spent[actor].append(service.counts()[Counter.COMMITS] - before)
        return seconds

    for actor in spent:
        order(actor)
        spent[actor].clear()
    pairs = alternate(lambda: order("fan"), lambda: order("crew"), length)
    figure = f"gather of {BRANCHES:,} branches with a step / tasks by hand"
    yield compare(f"{figure}: time", "s", pairs)
    ours, limit = (median(spent[actor]) for actor in ("fan", "crew"))
    yield Row(f"{figure}: commits, the message's included", "", ours, limit)


# ------------------------------------------------------------------------------- imports

_WORKER = "import stator.__main__, stator.shards.main, benchmarks.workshop, sys"
_ENGINE = "stator.workflow, stator.shards.workflows.loop, stator.runtime.workflow.run"
PARTS = ("context", "run", "steps", "strand", "history", "loop", "values")
"""Modules that only a workflow needs."""


def imports(length: Length) -> Iterator[Row]:
    """Yield the rows of what the engine costs a worker at its start, without and with it."""
    loaded = _run(f"{_WORKER}; print(*sys.modules)").split()
    yield Row(
        "modules of the engine in a worker without a workflow",
        "",
        len(engine_modules(loaded)),
        target=ENGINE_MODULES,
    )
    pairs = alternate(
        lambda: timed(lambda: _run(f"{_WORKER}, {_ENGINE}")), lambda: timed(_import_worker), length
    )
    yield compare("import of a worker with the engine / without", "s", pairs)


def engine_modules(loaded: list[str]) -> list[str]:
    """Return which of these modules are the engine's."""
    homes = ("stator.runtime.workflow.", "stator.shards.workflows.")
    return [each for each in loaded if each.startswith(homes) and each.rpartition(".")[2] in PARTS]


def _import_worker() -> str:
    return _run(_WORKER)


def _run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
