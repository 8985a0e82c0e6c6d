"""The gateway process, from its boot record to its exit code."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl

import uvloop
from aiohttp import web

from stator.runtime.boot import Boot
from stator.runtime.child import Child
from stator.runtime.config import Config, Server
from stator.runtime.control import Counter
from stator.runtime.control_block import ControlBlock
from stator.runtime.exit_codes import ExitCode
from stator.runtime.garbage import settle_collector
from stator.runtime.log import Logger, get_logger

from .backends import Backends
from .connections import Bounds
from .gateway import Gateway
from .open_sockets import OpenSockets
from .roll_call import RollCall
from .server import make_server
from .switchboard import Switchboard
from .web_socket_frames import GOING_AWAY

LINKS_TIMEOUT_S = 5.0
"""How long a starting gateway waits for its links before it serves without; requests wait then."""


def run_gateway(boot: Boot) -> int:
    """Serve the public port of ``boot`` until asked to stop; return the exit code."""
    log = get_logger("stator.gateway")
    block = ControlBlock.attach(boot.control_fd)
    child = Child(boot, block)
    try:
        tls = make_tls(boot.config.server)
    except (OSError, ssl.SSLError) as error:
        log.critical("TLS files unusable", problem=str(error))
        return ExitCode.CONFIG
    return uvloop.run(_serve(boot, block, child, tls, log))


async def _serve(
    boot: Boot, block: ControlBlock, child: Child, tls: ssl.SSLContext | None, log: Logger
) -> int:
    child.start(asyncio.get_running_loop())
    numbers = itertools.count(1)
    switchboard = Switchboard(_bounds(boot.config), lambda: next(numbers))
    backends = Backends(boot, block, switchboard, numbers)
    switchboard.attach(backends)
    backends.start()
    sockets = OpenSockets()
    roll_call = RollCall(
        sockets,
        interval_s=boot.config.server.ping_interval,
        timeout_s=boot.config.server.ping_timeout,
    )
    roll_call.start()
    gateway = Gateway(boot.config, backends, switchboard, sockets, child, log)
    server = make_server(gateway, boot.config)
    runner = web.ServerRunner(
        server, handle_signals=False, shutdown_timeout=boot.config.workers.grace_period / 2
    )
    await runner.setup()
    child.gauges[Counter.CONNECTIONS] = lambda: len(server.connections) + len(sockets)
    child.gauges[Counter.IN_FLIGHT] = lambda: backends.in_flight
    child.gauges[Counter.LINKS] = lambda: backends.links_up
    for fd in boot.listen_fds:
        listener = socket.socket(fileno=fd)
        is_public = listener.family != socket.AF_UNIX
        site = web.SockSite(
            runner,
            listener,
            ssl_context=tls if is_public else None,
            backlog=boot.config.server.backlog,
        )
        await site.start()
    await backends.wait_connected(LINKS_TIMEOUT_S)
    settle_collector()
    child.ready()
    await child.wait_stopping()
    roll_call.stop()
    sockets.close_all(GOING_AWAY, "ws.going_away")
    await runner.cleanup()
    await sockets.wait_empty()
    backends.close()
    child.publish()
    return child.exit_code()


def _bounds(config: Config) -> Bounds:
    limits, server = config.limits, config.server
    return Bounds(
        unanswered_messages=limits.max_unanswered_messages,
        unanswered_bytes=limits.max_unanswered_size,
        backlog_bytes=limits.max_connection_backlog,
        drops_events=limits.slow_client == "drop_events",
        open_timeout_s=server.open_timeout,
        wake_timeout_s=server.wake_timeout,
    )


def make_tls(server: Server) -> ssl.SSLContext | None:
    """Return the TLS context of the public port. Raises ``OSError`` or ``ssl.SSLError``."""
    if not server.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server.tls_certificate, server.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context
