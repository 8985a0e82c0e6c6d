"""Many actors of a running service: woken, put to sleep, counted, asked one at a time."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from stator.runtime.control import Counter, Role

from .load import Job, Outcome, drive
from .memory import settled_kib
from .subjects import DEADLINE, ROOT, Service

APPLICATION = {
    "application.path": ROOT,
    "application.registry": "benchmarks.workshop:registry",
    "actors.sleep_timeout": 3600,
    "workers.heartbeat_interval": 0.05,
}
"""Settings of the lifecycle benchmark: whoever is to sleep is told. Workers count often."""

LONGEST_S = 300.0
"""Bound of a job that ends by itself."""
PAUSE_S = 0.01


def start_workshop(data: Path, settings: dict[str, object], *, actor: str = "shelf") -> Service:
    """Start the service of :mod:`.workshop`; ``actor`` is who answers first."""
    return Service(data, actor=actor, settings={**APPLICATION, **settings})


def awake(service: Service) -> int:
    """Return how many actors are in memory."""
    return service.counts()[Counter.ACTORS_AWAKE]


def wait_awake(service: Service, count: int) -> None:
    """Wait until so many actors are in memory, or fewer. Raises ``TimeoutError``."""
    deadline = time.monotonic() + DEADLINE
    while (now := awake(service)) > count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{now} actors are awake, {count} should be")
        time.sleep(PAUSE_S)


def call_each(
    service: Service,
    actor: str,
    key: str,
    actors: int,
    *,
    action: str = "get",
    argument: int | None = None,
    connections: int = 64,
) -> Outcome:
    """Call an action of ``actors`` actors, once each; creates or wakes those that are not awake."""
    job = Job(
        port=service.port,
        actor=actor,
        key=key,
        actors=actors,
        action=action,
        argument=argument,
        once=True,
        connections=connections,
        seconds=LONGEST_S,
        warm_up=0.0,
    )
    return drive(job)


def put_to_sleep(service: Service, actor: str, key: str) -> Outcome:
    """Put the actors of :func:`call_each` to sleep by the control API, 64 at a time."""
    paths = [
        f"/actors/{each}/sleep?namespace=default" for each in stored_ids(service.data, actor, key)
    ]
    job = Job(
        port=service.port,
        paths=paths,
        once=True,
        connections=64,
        seconds=LONGEST_S,
        warm_up=0.0,
    )
    return drive(job)


def stored_ids(data: Path, actor: str, key: str) -> list[str]:
    """Return the ids of actors whose key begins with ``key``; read from the shard files."""
    found: list[str] = []
    for path in sorted(data.glob("shard-*.sqlite")):
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            rows = connection.execute(
                "SELECT actor_id FROM actors WHERE name = ? AND key LIKE ?", (actor, key + "/%")
            )
            found += [actor_id for (actor_id,) in rows]
    return found


def ask(service: Service, actor: str, key: str, action: str, *args: object) -> Any:
    """Call one action and return its output. Raises ``RuntimeError`` for anything but success."""
    return _post(service, actor, key, f"action/{action}", {"args": args})["output"]


def send(
    service: Service, actor: str, key: str, queue: str, body: object, *, wait: bool = True
) -> Any:
    """Send one message; return what it was completed with, if that is waited for.

    Raises ``RuntimeError`` for anything but success.
    """
    answer = _post(service, actor, key, f"queue/{queue}", {"body": body, "wait": wait})
    return answer.get("response")


def _post(service: Service, actor: str, key: str, what: str, body: object) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=DEADLINE)
    path = (
        f"/gateway/{actor}/{what}?rvt-namespace=default&rvt-method=getOrCreate"
        f"&rvt-runner=default&rvt-key={quote(key)}&rvt-crash-policy=sleep"
    )
    headers = {"x-rivet-encoding": "json", "content-type": "application/json"}
    with closing(connection):
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"{actor} {what} answered {response.status}: {answer[:400]!r}")
    return json.loads(answer)


def workers_kib(service: Service) -> int:
    """Return what the workers hold once that rests: their private memory."""
    return sum(settled_kib(service.pids(Role.WORKER)))
