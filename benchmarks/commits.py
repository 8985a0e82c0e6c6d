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

from stator.runtime.config import Storage
from stator.shards.store.database import ShardFile
from stator.shards.store.statements import STATEMENTS, upsert_states

from .subjects import ROOT

ACTORS = 1_000
CHECKPOINT_PAGES = Storage().checkpoint_pages
IMAGE = struct.Struct(">8sH")
"""The stored state of a counter in the middle of a run. The number differs each time, for SQLite
leaves a page alone that would not change."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one process commits."""

    directory: str
    shards: list[int]
    """Those this process writes."""
    total_shards: int
    rows: int
    """States in each transaction."""
    seconds: float


def measure(directory: Path, *, workers: int, shards: int, rows: int, seconds: float) -> float:
    """Return the changes per second of ``workers`` processes, ``rows`` in each commit."""
    running: list[subprocess.Popen[bytes]] = []
    for worker in range(workers):
        job = Job(
            directory=str(directory),
            shards=list(range(worker, shards, workers)),
            total_shards=shards,
            rows=rows,
            seconds=seconds,
        )
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


def open_shard(job: Job, number: int) -> apsw.Connection:
    """Open a shard as a worker does and make sure that it has actors.

    It checkpoints as often as the service, but as part of a commit.
    """
    connection = ShardFile(Path(job.directory), number, job.total_shards).open_for_writing()
    connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
    if connection.execute(STATEMENTS["next_pk"]).get == 1:
        with connection:
            for pk in range(1, ACTORS // job.total_shards + 1):
                actor = (pk, f"{number}-{pk}", "default", "counter", str(pk), 0, None)
                connection.execute(STATEMENTS["insert_actor"], actor)
    return connection


def commit_until(deadline: float, connection: apsw.Connection, job: Job, done: list[int]) -> None:
    """Commit ``job.rows`` states again and again; append how many were committed."""
    rows, changes, actors = job.rows, 0, ACTORS // job.total_shards
    statement = upsert_states(rows)
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
    connections = [open_shard(job, number) for number in job.shards]
    done: list[int] = []
    started = time.perf_counter()
    deadline = started + job.seconds
    threads = [
        Thread(target=commit_until, args=(deadline, connection, job, done))
        for connection in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(done) / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
