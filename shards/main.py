"""The worker process, from its boot record to its exit code."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from functools import cache
from pathlib import Path

import apsw
import uvloop

from stator.runtime.boot import Boot
from stator.runtime.child import Child
from stator.runtime.clock import Clock
from stator.runtime.control import Counter, ServiceState
from stator.runtime.control_block import ControlBlock
from stator.runtime.exit_codes import ExitCode
from stator.runtime.garbage import settle_collector
from stator.runtime.link.dialer import Dialer
from stator.runtime.link.frames import Hello
from stator.runtime.log import Logger, get_logger
from stator.runtime.registry import Registry
from stator.runtime.storage import InsertNamespace, ShardStorage

from .clock import SystemClock
from .databases import Databases
from .engine import Engine
from .introduction import introduce
from .link_server import LinkServer
from .loader import ApplicationUnusable, load_registry, log_unusable
from .local_calls import Route
from .memory_pressure import MemoryPressure
from .shard import Limits
from .store.database import ShardDamaged, ShardFile
from .store.reader import Reader
from .store.sqlite_store import SqliteStore

SWITCH_INTERVAL_S = 0.00005
"""How long the event loop may keep the interpreter from the writer threads. With the default of
5 ms every step of a transaction can cost that much on a busy worker (docs/storage.md)."""
FAREWELL_PART = 1 / 6
"""Of the grace period, for what was handed over; the rest is for actors that have work to end."""
FLUSH_TIMEOUT_S = 1.0
"""How long the last frames may wait for a gateway to read."""


def run_worker(boot: Boot) -> int:
    """Serve the shards of ``boot`` until asked to stop; return the exit code."""
    log = get_logger("stator.worker")
    block = ControlBlock.attach(boot.control_fd)
    child = Child(boot, block)
    try:
        registry = load_registry(boot.config.application, boot.config.actors)
    except ApplicationUnusable as error:
        log_unusable(log, error)
        return ExitCode.APPLICATION
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return uvloop.run(_serve(boot, block, child, registry, log))


async def _serve(
    boot: Boot, block: ControlBlock, child: Child, registry: Registry, log: Logger
) -> int:
    child.start(asyncio.get_running_loop())
    reader = Reader()
    try:
        stores = _open_stores(boot, reader, log)
    except (apsw.Error, OSError) as error:
        log.critical("cannot open a shard", problem=f"{type(error).__name__}: {error}")
        return ExitCode.STORAGE
    hello = introduce(registry, boot.role.name.lower(), boot.index, boot.generation)
    clock = SystemClock()
    databases = _make_databases(boot, clock, log)
    limits = boot.config.limits
    engine = Engine(
        registry,
        stores,
        log,
        total_shards=boot.total_shards,
        commit_interval=boot.config.storage.commit_interval,
        limits=Limits(
            max_response_bytes=limits.max_outgoing_message_size,
            max_held=limits.max_pending_per_actor,
            max_websocket_message_bytes=limits.max_websocket_message_size,
        ),
        counters=child.counters,
        route=_make_route(boot, block, hello),
        databases=databases,
        clock=clock,
    )
    _ensure_namespaces(engine, boot)
    server = LinkServer(engine, hello)
    await server.start(socket.socket(fileno=boot.listen_fds[0]))
    settle_collector()
    pressure = _watch_memory(boot, child, engine, log)
    child.ready()
    await child.wait_stopping()
    pressure.close()
    has_successor = _has_successor(child, block)
    if has_successor:
        await server.say_goodbye(boot.config.workers.grace_period * FAREWELL_PART)
    await engine.drain(has_successor=has_successor)
    server.close()
    await server.wait_closed(FLUSH_TIMEOUT_S)
    await databases.close()
    reader.close()  # nothing looks anything up any more when the files are closed
    engine.close()
    child.publish()
    return child.exit_code()


def _watch_memory(boot: Boot, child: Child, engine: Engine, log: Logger) -> MemoryPressure:
    limit_mib = boot.config.workers.memory_limit_mib
    pressure = MemoryPressure(
        limit_mib << 20,
        resident_bytes=child.resident_bytes,
        awake=lambda: child.counters[Counter.ACTORS_AWAKE],
        sleep=engine.generations.sleep_longest_idle,
        log=log,
    )
    if limit_mib:
        pressure.start()
    return pressure


def _has_successor(child: Child, block: ControlBlock) -> bool:
    """Whether another process will take over; else whoever asks is better told at once."""
    return not child.orphaned and block.service_state is not ServiceState.DRAINING


def _open_stores(boot: Boot, reader: Reader, log: Logger) -> dict[int, ShardStorage]:
    """Open this worker's shards; a damaged one stays closed, the others serve."""
    settings = boot.config.storage
    stores: dict[int, ShardStorage] = {}
    for number in boot.shards:
        file = ShardFile(
            Path(boot.data_directory),
            number,
            boot.total_shards,
            synchronous=settings.synchronous,
            cache_kib=settings.cache_size_kib,
        )
        try:
            stores[number] = SqliteStore(file, reader, checkpoint_pages=settings.checkpoint_pages)
        except ShardDamaged as error:
            log.critical("shard stays closed", shard=number, problem=str(error))
    return stores


def _make_databases(boot: Boot, clock: Clock, log: Logger) -> Databases:
    storage = boot.config.storage
    return Databases(
        Path(boot.data_directory),
        clock,
        log,
        threads=storage.database_threads,
        max_open=storage.max_open_databases,
    )


def _make_route(boot: Boot, block: ControlBlock, hello: Hello) -> Route:
    @cache
    def dialer(worker: int) -> Dialer:
        path = boot.workers[worker]
        return Dialer(path, hello, ready_timeout=boot.config.server.ready_timeout)

    return lambda shard: dialer(block.owner_of(shard))


def _ensure_namespaces(engine: Engine, boot: Boot) -> None:
    shard = engine.shards.get(0)
    if shard is not None:
        now_ms = time.time_ns() // 1_000_000
        for name in boot.config.namespaces.names:
            shard.write(InsertNamespace(name, now_ms))  # one that exists stays as it is
