"""Where the time of an answer goes: CPU per process and a sampled profile of each kind of child.

``python -m benchmarks.profile_service [--load actions]`` loads a service with actions over HTTP, by
64 connections and to 1,000 actors; ``--load connection`` with actions over one WebSocket, 64 in
flight; ``--load broadcast`` with events to 1,000 WebSockets. Each once undisturbed for the CPU
figures and once under py-spy. What C code does counts for the Python line that called it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from stator.runtime.control import Role

from .http_actions import warm_up
from .load import Job, Running
from .plaza import NEWS_SIZE
from .realtime import Pair, gather, hold_both, raise_descriptor_limit
from .realtime_bare import ECHO, SQUARE
from .realtime_client import WARM_UP
from .realtime_load import Call, Load, Open, Shout
from .sampling import print_profile, record
from .subjects import Bare, Server, Service, cpu_seconds, data_directory

CONNECTIONS = {"actions": 64, "connection": 1, "broadcast": 1_000}
"""Of each load, unless told."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A load that is under way."""

    pid: int
    """Of its generator."""
    finish: Callable[[], float]
    """Waits for its end and returns how much it did per second."""


Begin = Callable[[], Begun]


@dataclass(frozen=True, slots=True)
class Stage:
    """Two servers and what loads each."""

    service: Service
    bare: Server
    load_service: Begin
    load_bare: Begin


@contextmanager
def actions(given: argparse.Namespace) -> Generator[Stage, None, None]:
    """Set up for actions over HTTP."""

    def begin(server: Server) -> Begun:
        job = Job(
            port=server.port,
            action=given.action,
            argument=1 if given.action == "increment" else None,
            actors=given.actors,
            connections=given.connections,
            seconds=given.seconds,
            warm_up=WARM_UP,
        )
        running = Running(job)
        return Begun(running.pid, lambda: running.result().per_second)

    with (
        data_directory() as data,
        Service(data, settings=given.settings) as service,
        Bare() as bare,
    ):
        service.wait_first_answer()
        bare.wait_first_answer()
        warm_up(service)
        yield Stage(service, bare, lambda: begin(service), lambda: begin(bare))


@contextmanager
def connections(given: argparse.Namespace) -> Generator[Stage, None, None]:
    """Set up for actions over WebSockets, or for events to them."""
    is_broadcast = given.load == "broadcast"

    def begin(load: Load, *, echo: bool) -> Begun:
        if is_broadcast:
            order: Shout | Call = Shout(size=NEWS_SIZE, seconds=given.seconds)
        else:
            order = Call(
                action=given.action, in_flight=given.in_flight, seconds=given.seconds, echo=echo
            )
        wait = load.begin(order)
        return Begun(load.pid, lambda: wait().per_second)

    raise_descriptor_limit()
    with ExitStack() as stack:
        pair = stack.enter_context(Pair(given.settings))
        ours, limit = map(stack.enter_context, hold_both(pair, SQUARE if is_broadcast else ECHO))
        for load in (ours, limit):
            if is_broadcast:
                gather(load, given.connections)
            else:
                load.ask(Open(count=given.connections))
        yield Stage(
            pair.service,
            pair.bare,
            lambda: begin(ours, echo=False),
            lambda: begin(limit, echo=True),
        )


def print_cpu(pids: dict[str, int], begin: Begin, seconds: float) -> dict[str, float]:
    """Run a load and print what each process spent on an answer; return their seconds."""
    load = begin()
    time.sleep(WARM_UP)
    watched = {**pids, "load generator": load.pid}
    before = {name: cpu_seconds(pid) for name, pid in watched.items()}
    time.sleep(seconds * 0.9)
    spent = {name: cpu_seconds(pid) - before[name] for name, pid in watched.items()}
    per_second = load.finish()
    print(f"{per_second:,.0f} per second; CPU per answer or delivery:")
    for name, used in spent.items():
        share = used / (seconds * 0.9)
        print(f"  {1e6 * share / per_second:6.1f} us  {name} ({share:.0%} of a core)")
    return spent


def profile(stage: Stage, seconds: float) -> None:
    """Measure the bare server's CPU, the service's CPU, then the service's stacks."""
    print("bare aiohttp: ", end="")
    print_cpu({"bare": stage.bare.pid}, stage.load_bare, seconds)
    gateways = {f"gateway {n}": pid for n, pid in enumerate(stage.service.pids(Role.GATEWAY))}
    workers = {f"worker {n}": pid for n, pid in enumerate(stage.service.pids(Role.WORKER))}
    print("stator: ", end="")
    spent = print_cpu(gateways | workers, stage.load_service, seconds)
    busiest = [max(children, key=lambda name: spent[name]) for children in (gateways, workers)]
    load = stage.load_service()
    time.sleep(0.5)
    chosen = {name: (gateways | workers)[name] for name in busiest}
    samples = record(chosen, max(1.0, seconds - 1.0))
    load.finish()
    for name, found in samples.items():
        print_profile(name, found)


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.profile_service", description=__doc__)
    parser.add_argument("--load", choices=CONNECTIONS, default="actions")
    parser.add_argument("--action", choices=("increment", "get"), default="increment")
    parser.add_argument("--connections", type=int)
    parser.add_argument("--in-flight", type=int, default=64, help="of --load connection")
    parser.add_argument("--actors", type=int, default=1_000, help="of --load actions")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    given = parser.parse_args()
    given.settings = dict(setting.split("=", 1) for setting in given.settings)
    given.connections = given.connections or CONNECTIONS[given.load]
    set_up = actions if given.load == "actions" else connections
    with set_up(given) as stage:
        profile(stage, given.seconds)


if __name__ == "__main__":
    main()
