"""Telling systemd how the service is: the datagrams of sd_notify(3), without libsystemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

READY = "READY=1"
RELOADING = "RELOADING=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


def status(text: str) -> str:
    """Return the line that ``systemctl status`` shows."""
    return f"STATUS={text}"


def clock(monotonic_ns: int) -> str:
    """Return the line that must go with ``RELOADING``: by it systemd tells one from the last."""
    return f"MONOTONIC_USEC={monotonic_ns // 1000}"


class Notifier:
    """The socket named by ``NOTIFY_SOCKET``; without one every message is dropped."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._socket: socket.socket | None = None
        if name:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        self.watchdog_interval = _watchdog_interval(environ) if name else None
        """How often ``WATCHDOG`` is due, in seconds; ``None`` without a watchdog."""

    def send(self, *lines: str) -> None:
        """Send one message; raises ``OSError`` if systemd cannot take it now."""
        if self._socket is not None:
            self._socket.sendto("\n".join(lines).encode(), self._address)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Half of the watchdog's time, as sd_watchdog_enabled(3) recommends."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    is_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if microseconds.isdecimal() and is_for_us else None
