"""The listening sockets: opened by the supervisor before anything is spawned, inherited by the
children. They outlive a child, so connections made meanwhile wait in the backlog."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stator.runtime.config import Server
from stator.runtime.exit_codes import ExitCode

from .failure import ServiceFailure

FIRST_ACTIVATED_FD = 3
"""The first descriptor systemd passes (sd_listen_fds(3))."""
WORKER_BACKLOG = 256
"""Links that may wait while a worker restarts; each other process has one."""


def open_public_listeners(
    server: Server, environ: Mapping[str, str], opened: ExitStack
) -> list[socket.socket]:
    """Return the sockets gateways accept from: those systemd passed, else ``host`` and ``port``,
    and ``unix_socket`` in any case. They are closed with ``opened``.

    Raises :class:`ServiceFailure` ``ADDRESS``.
    """
    listeners = activated_listeners(environ, opened) or _tcp_listeners(server, opened)
    if server.unix_socket:
        path = Path(server.unix_socket)
        _remove_stale(path)
        listeners.append(open_unix_listener(path, server.backlog, opened))
    return listeners


def activated_listeners(environ: Mapping[str, str], opened: ExitStack) -> list[socket.socket]:
    """Return the sockets passed by systemd socket activation, none without it."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    fds = range(FIRST_ACTIVATED_FD, FIRST_ACTIVATED_FD + int(environ.get("LISTEN_FDS", "0")))
    return [_activated(fd, opened) for fd in fds]


def _activated(fd: int, opened: ExitStack) -> socket.socket:
    problem = f"descriptor {fd} of LISTEN_FDS is not a listening socket"
    try:
        listener = opened.enter_context(socket.socket(fileno=fd))
        listener.set_inheritable(False)
        is_listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ServiceFailure(ExitCode.ADDRESS, f"{problem}: {error.strerror}") from error
    if not is_listening:
        raise ServiceFailure(ExitCode.ADDRESS, problem)
    return listener


def _tcp_listeners(server: Server, opened: ExitStack) -> list[socket.socket]:
    """A name such as ``localhost`` may have several addresses; all get the same port."""
    listeners: list[socket.socket] = []
    port = server.port
    for family, address in _addresses(server.host, port):
        listener = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
        try:
            _listen(listener, (address[0], port, *address[2:]), server.backlog)
        except OSError as error:
            is_absent = error.errno == errno.EADDRNOTAVAIL  # ::1 of localhost without IPv6
            if not (is_absent and listeners):
                raise _address_failure(server.host, port, error) from error
        else:
            listeners.append(listener)
            port = listener.getsockname()[1]
    return listeners


def _addresses(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    """Return families and addresses, IPv4 first: every machine has that."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _address_failure(host, port, error) from error
    return sorted({(int(family), address) for family, _, _, _, address in found})


def _listen(listener: socket.socket, address: tuple[Any, ...], backlog: int) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6 and address[0] != "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(address)
    listener.listen(backlog)


def _address_failure(host: str, port: int, error: OSError) -> ServiceFailure:
    if error.errno == errno.EADDRINUSE:
        message = f"port {port} on {host} is in use: stop what listens there or set server.port"
    else:
        message = f"cannot listen on {host} port {port}: {error.strerror}"
    return ServiceFailure(ExitCode.ADDRESS, message)


def open_unix_listener(path: Path, backlog: int, opened: ExitStack) -> socket.socket:
    """Return a socket that listens at ``path``, where there is no file; gone with ``opened``.

    Who may connect is up to the umask and the directory. Raises :class:`ServiceFailure`.
    """
    listener = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        listener.bind(str(path))
        opened.callback(path.unlink, missing_ok=True)
        listener.listen(backlog)
    except OSError as error:
        message = f"cannot listen on {path}: {error.strerror}"
        raise ServiceFailure(ExitCode.ADDRESS, message) from error
    return listener


def _remove_stale(path: Path) -> None:
    """Remove a socket nobody listens on; anything else is left for ``bind`` to complain about."""
    if not path.exists() or not stat.S_ISSOCK(path.lstat().st_mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)


def endpoint_of(listener: socket.socket, *, is_tls: bool) -> str:
    """Return the URL of a public socket; ``unix:`` and the path for one without a port."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if is_tls else 'http'}://{shown}:{port}"
