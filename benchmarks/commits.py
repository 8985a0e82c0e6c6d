"""The limit of storage: the same commits with nothing but APSW around them.

As many processes as the service has workers, each with one writing thread for each of its shards,
the same files and pragmas. ``python -m benchmarks.commits`` is one of these processes: it reads a
:class:`Job` as JSON from standard input and prints how many changes it committed per second.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import apsw
import msgspec

from stator.shards.store.database import ShardFile
from stator.shards.store.statements import STATEMENTS, upsert_states

from .subjects import ROOT

SHARDS = 8
"""The default of ``[storage] shards``."""
ACTORS = 1_000
IMAGE = struct.Struct(">8sH")
"""The stored state of a counter in the middle of a run. The number differs each time, for SQLite
leaves a page alone that would not change."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one process commits."""

    directory: str
    shards: list[int]
    rows: int
    """States in each transaction."""
    seconds: float


def measure(directory: Path, *, workers: int, rows: int, seconds: float) -> float:
    """Return the changes per second of ``workers`` processes, ``rows`` in each commit."""
    running: list[subprocess.Popen[bytes]] = []
    for worker in range(workers):
        shards = list(range(worker, SHARDS, workers))
        job = Job(directory=str(directory), shards=shards, rows=rows, seconds=seconds)
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.commits"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin
        process.stdin.write(msgspec.json.encode(job))
        process.stdin.close()
        running.append(process)
    return sum(_rate_of(process) for process in running)


def _rate_of(process: subprocess.Popen[bytes]) -> float:
    assert process.stdout
    with process.stdout as output:
        printed = output.read()
    if process.wait() != 0:
        raise RuntimeError("the committing process failed, see above")
    return float(printed)


def open_shard(directory: str, number: int) -> apsw.Connection:
    """Open a shard as a worker does and make sure that it has actors."""
    connection = ShardFile(Path(directory), number, SHARDS).open_for_writing()
    if connection.execute(STATEMENTS["next_pk"]).get == 1:
        with connection:
            for pk in range(1, ACTORS // SHARDS + 1):
                actor = (pk, f"{number}-{pk}", "default", "counter", str(pk), 0, None)
                connection.execute(STATEMENTS["insert_actor"], actor)
    return connection


def commit_until(deadline: float, connection: apsw.Connection, rows: int, done: list[int]) -> None:
    """Commit ``rows`` states again and again; append how many were committed."""
    statement, changes, actors = upsert_states(rows), 0, ACTORS // SHARDS
    while time.perf_counter() < deadline:
        states = (
            ((changes + row) % actors + 1, IMAGE.pack(b"\x81\xa5count\xcd", changes % 65_536))
            for row in range(rows)
        )
        bindings = [part for state in states for part in state]
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(statement, bindings)
        connection.execute("COMMIT")
        changes += rows
    done.append(changes)


def main() -> None:
    """Do the job on standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    connections = [open_shard(job.directory, number) for number in job.shards]
    done: list[int] = []
    started = time.perf_counter()
    deadline = started + job.seconds
    threads = [
        Thread(target=commit_until, args=(deadline, connection, job.rows, done))
        for connection in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(done) / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
