"""The gateway put together: from its listening sockets to its links with the workers."""

from __future__ import annotations

import itertools
import socket
import ssl
from collections.abc import Iterable

from aiohttp import web

from stator.runtime.boot import Boot
from stator.runtime.config import Config
from stator.runtime.control_block import ControlBlock
from stator.runtime.log import Logger

from .backends import Backends
from .connections import Bounds
from .gateway import Gateway, Meter
from .open_sockets import OpenSockets
from .roll_call import RollCall
from .server import make_server
from .switchboard import Switchboard
from .web_socket_frames import GOING_AWAY


class Front:
    """Serves clients from :meth:`open` to :meth:`close`; its links connect at once."""

    def __init__(self, boot: Boot, block: ControlBlock, meter: Meter, log: Logger) -> None:
        """``block`` says who owns a shard; ``meter`` counts."""
        config = boot.config
        numbers = itertools.count(1)
        switchboard = Switchboard(bounds_of(config), lambda: next(numbers))
        self.backends = Backends(boot, block, switchboard, numbers)
        """The links."""
        switchboard.attach(self.backends)
        self.backends.start()
        self._sockets = OpenSockets()
        self._roll_call = RollCall(
            self._sockets,
            interval_s=config.server.ping_interval,
            timeout_s=config.server.ping_timeout,
        )
        self._roll_call.start()
        gateway = Gateway(config, self.backends, switchboard, self._sockets, meter, log)
        self._server = make_server(gateway, config)
        self._backlog = config.server.backlog
        self._runner = web.ServerRunner(
            self._server,
            handle_signals=False,
            shutdown_timeout=config.workers.grace_period / 2,
        )

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.connections) + len(self._sockets)

    async def open(
        self, listeners: Iterable[socket.socket], tls: ssl.SSLContext | None = None
    ) -> None:
        """Accept clients from now on; ``tls`` is for those who do not come by a Unix socket."""
        await self._runner.setup()
        for listener in listeners:
            is_public = listener.family != socket.AF_UNIX
            site = web.SockSite(
                self._runner,
                listener,
                ssl_context=tls if is_public else None,
                backlog=self._backlog,
            )
            await site.start()

    async def close(self) -> None:
        """Close all connections, within half the grace period, and then the links."""
        self._roll_call.stop()
        self._sockets.close_all(GOING_AWAY, "ws.going_away")
        await self._runner.cleanup()
        await self._sockets.wait_empty()
        self.backends.close()


def bounds_of(config: Config) -> Bounds:
    """Return what the configuration allows each connection."""
    limits, server = config.limits, config.server
    return Bounds(
        unanswered_messages=limits.max_unanswered_messages,
        unanswered_bytes=limits.max_unanswered_size,
        backlog_bytes=limits.max_connection_backlog,
        drops_events=limits.slow_client == "drop_events",
        open_timeout_s=server.open_timeout,
        wake_timeout_s=server.wake_timeout,
    )
