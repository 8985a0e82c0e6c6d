"""The gateway process, from its boot record to its exit code."""

from __future__ import annotations

import asyncio
import socket
import ssl

import uvloop

from stator.runtime.boot import Boot
from stator.runtime.child import Child
from stator.runtime.config import Server
from stator.runtime.control import Counter
from stator.runtime.control_block import ControlBlock
from stator.runtime.exit_codes import ExitCode
from stator.runtime.garbage import settle_collector
from stator.runtime.log import Logger, get_logger

from .front import Front

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
    front = Front(boot, block, child, log)
    child.gauges[Counter.CONNECTIONS] = lambda: front.connections
    child.gauges[Counter.IN_FLIGHT] = lambda: front.backends.in_flight
    child.gauges[Counter.LINKS] = lambda: front.backends.links_up
    await front.open([socket.socket(fileno=fd) for fd in boot.listen_fds], tls)
    await front.backends.wait_connected(LINKS_TIMEOUT_S)
    settle_collector()
    child.ready()
    await child.wait_stopping()
    await front.close()
    child.publish()
    return child.exit_code()


def make_tls(server: Server) -> ssl.SSLContext | None:
    """Return the TLS context of the public port. Raises ``OSError`` or ``ssl.SSLError``."""
    if not server.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server.tls_certificate, server.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context
