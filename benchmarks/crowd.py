"""Many WebSocket connections in one process, as cheap as Python makes them.

No event loop: one ``epoll`` and system calls, so that what is measured is the server. A call of
:meth:`Crowd.poll` costs two system calls for each connection that has something to read.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import time
from collections.abc import Sequence

from stator.runtime.protocol.connection import Init
from stator.runtime.protocol.encoding import Encoding

from .frames import CLOSE, PONG, FrameCounter, client_frame
from .messages import beginning_of

DEADLINE = 60.0
"""Seconds after which waiting for the server is given up."""
PIECE = 65_536
"""Bytes read at once."""
STALLED_BUFFER = 4_096
"""Receive buffer, in bytes, of a connection that is not going to read."""
STALLED_SEGMENT = 1_460
"""Its segments, as over Ethernet: by those of loopback the server's kernel would buffer 2.5 MiB."""
NORMAL = struct.pack(">H", 1000)


class Connection:
    """One open WebSocket."""

    __slots__ = ("_head", "counter", "opened", "send", "sock")

    def __init__(self, sock: socket.socket, counter: FrameCounter) -> None:
        self.sock = sock
        self.counter = counter
        self.opened = False
        self._head = b""
        self.send = sock.sendall

    def read_head(self, data: bytes) -> bytes:
        """Take the answer to the upgrade; return what follows it. Raises ``ConnectionError``."""
        self._head += data
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            return b""
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(repr(head))
        self.opened, self._head = True, b""
        return rest


class Crowd:
    """The connections of a process to one path of one server."""

    def __init__(self, port: int, path: str, encoding: Encoding, params: str = "") -> None:
        """``params`` is what connections offer as ``rivet_conn_params``, percent-encoded."""
        self._port = port
        self._encoding = encoding
        self._upgrade = upgrade_request(port, path, encoding, params)
        self._source = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.1"
        """An address of this process alone: its ports are not those others left waiting."""
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}

    def fileno(self) -> int:
        """Return a descriptor that is readable when :meth:`poll` has something to do."""
        return self._epoll.fileno()

    def open(self, count: int, at_once: int, *, is_stalled: bool = False) -> list[Connection]:
        """Open connections and wait for the first message of each.

        At most ``at_once`` are on the way. Raises ``TimeoutError``, ``ConnectionError`` and
        :class:`~benchmarks.frames.UnexpectedFrame`.
        """
        opened: list[Connection] = []
        started = 0
        deadline = time.monotonic() + DEADLINE
        while len(opened) < count:
            while started < count and started - len(opened) < at_once:
                self._begin(is_stalled=is_stalled)
                started += 1
            opened += [connection for connection, _ in self.poll(1.0)]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(opened)} of {count} connections opened")
        return opened

    def _begin(self, *, is_stalled: bool) -> None:
        sock = socket.socket()
        if is_stalled:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BUFFER)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, STALLED_SEGMENT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((self._source, 0))
        sock.connect(("127.0.0.1", self._port))
        sock.sendall(self._upgrade)
        counter = FrameCounter(beginning_of(self._encoding, Init))
        self._connections[sock.fileno()] = Connection(sock, counter)
        self._epoll.register(sock, select.EPOLLIN)

    def poll(self, timeout: float | None = None) -> list[tuple[Connection, int]]:
        """Read once what can be read; return which connection got how many data frames.

        Pings are answered. Raises ``ConnectionError`` if the server ended a connection.
        """
        arrived: list[tuple[Connection, int]] = []
        connections = self._connections
        for fd, _ in self._epoll.poll(timeout):
            connection = connections[fd]
            data = connection.sock.recv(PIECE)
            if not data:
                raise ConnectionError(f"a connection was ended: {connection.counter.closed!r}")
            if not connection.opened:
                data = connection.read_head(data)
                if not data:
                    continue
            counter = connection.counter
            count = counter.feed(data)
            if counter.has_pings:
                for payload in counter.take_pings():
                    connection.send(client_frame(payload, PONG))
            if count:
                arrived.append((connection, count))
        return arrived

    def ignore(self, connections: Sequence[Connection]) -> None:
        """Stop reading these."""
        for connection in connections:
            self._epoll.unregister(connection.sock)

    def drain(self, connections: Sequence[Connection]) -> int:
        """Read what ignored connections hold until all is silent for a second.

        Returns how many of them the server has ended.
        """
        left = {connection.sock.fileno(): connection for connection in connections}
        for fd in left:
            self._epoll.register(fd, select.EPOLLIN)
        while left and (readable := self._epoll.poll(1.0)):
            for fd, _ in readable:
                if fd in left and _is_ended(left[fd]):
                    self._epoll.unregister(fd)
                    del left[fd]
        return len(connections) - len(left)

    def close(self) -> None:
        """Close all connections in an orderly way: return when the server has ended each."""
        goodbye = client_frame(NORMAL, CLOSE)
        for connection in self._connections.values():
            try:
                connection.send(goodbye)
            except OSError:
                continue  # the server ended it before
        for connection in self._connections.values():
            _read_to_end(connection)
        self._connections.clear()


def _is_ended(connection: Connection) -> bool:
    """Read once; whether that was the end."""
    try:
        data = connection.sock.recv(PIECE)
    except ConnectionError:
        return True
    if data:
        connection.counter.feed(data)
    return not data


def _read_to_end(connection: Connection) -> None:
    connection.sock.settimeout(DEADLINE)
    try:
        while connection.sock.recv(PIECE):
            pass
    except ConnectionError:
        pass  # reset: as good as ended
    connection.sock.close()


def upgrade_request(port: int, path: str, encoding: Encoding, params: str) -> bytes:
    """Return the opening handshake as the official client sends it."""
    offered = ["rivet", f"rivet_encoding.{encoding.name.lower()}"]
    if params:
        offered.append(f"rivet_conn_params.{params}")
    return (
        f"GET {path} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Connection: Upgrade\r\n"
        "Upgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        f"Sec-WebSocket-Protocol: {', '.join(offered)}\r\n\r\n"
    ).encode()
