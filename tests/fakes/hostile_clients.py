"""Clients that are broken or mean harm: raw sockets that do what no library would do.

An attack is one round of one kind: it returns once every socket it opened is closed, by the
service or by a reset. One that needs the service to close a socket for being slow is for a service
with a small ``server.header_timeout``.
"""

from __future__ import annotations

import json
import select
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Thread
from urllib.parse import urlsplit

from tests.fakes.real_service import RealService, make_path, request_over
from tests.fakes.running_service import DEADLINE, wait_until

Attack = Callable[["Door"], None]

CROWD = 25
"""How many clients do the same at once."""
STUCK_S = 0.25
"""A socket that takes nothing for this long is one whose other end stopped reading. (It may just
be slow: then the attack is a weaker one, and no test fails of it.)"""
LOST = (ConnectionResetError, BrokenPipeError)
REQUEST = b"GET /metadata HTTP/1.1\r\nhost: x\r\n\r\n"


class Door:
    """The public port of a service."""

    def __init__(self, service: RealService) -> None:
        parts = urlsplit(service.endpoint)
        assert parts.hostname and parts.port
        self._address = (parts.hostname, parts.port)

    def open(self, *pieces: bytes, receive_buffer: int = 0) -> socket.socket:
        """Return a connection over which ``pieces`` were sent."""
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        raw.settimeout(DEADLINE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.connect(self._address)
        for piece in pieces:
            raw.sendall(piece)
        return raw


def call_bytes(body: bytes, *, announced: int | None = None) -> bytes:
    """Return a call of the action ``echo`` whose body may be shorter than announced."""
    size = len(body) if announced is None else announced
    path = make_path("echo", "echo")
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode() + body


def read_to_end(raw: socket.socket) -> bytes:
    """Return everything the service sends until it closes or resets the connection."""
    received = b""
    with raw, suppress(*LOST):
        while chunk := raw.recv(65536):
            received += chunk
    return received


def reset(raw: socket.socket) -> None:
    """Close a connection the rude way."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def push(raw: socket.socket, data: bytes, *, at_most: int) -> int:
    """Send ``data`` again and again, reading nothing, until the service stops reading.

    Return how many bytes it took; not many more than ``at_most``.
    """
    raw.setblocking(False)
    sent = 0
    while sent < at_most and select.select([], [raw], [], STUCK_S)[1]:
        try:
            sent += raw.send(data[sent % len(data) :])
        except BlockingIOError:
            continue
        except LOST:
            break
    raw.settimeout(DEADLINE)
    return sent


def drip(crowd: list[socket.socket], data: bytes) -> None:
    """Send ``data`` over and over, a byte at a time, until the service has closed them all."""
    sent = 0
    while crowd:
        readable = select.select(crowd, [], [], 0.02)[0]
        for raw in list(crowd):
            try:
                is_over = raw in readable and not raw.recv(65536)
                raw.send(data[sent % len(data) :][:1])
            except LOST:
                is_over = True
            if is_over:
                raw.close()
                crowd.remove(raw)
        sent += 1


# ------------------------------------------------------------------------------ attacks


def say_nothing(door: Door) -> None:
    """Connect and wait to be thrown out."""
    for raw in [door.open() for _ in range(CROWD)]:
        read_to_end(raw)


def send_half_heads(door: Door) -> None:
    """Stop in the middle of a head, of the first request and of a later one."""
    half = REQUEST[:-5]
    firsts = [door.open(half) for _ in range(CROWD)]
    seconds = [door.open(REQUEST) for _ in range(CROWD)]
    for raw in seconds:
        raw.recv(65536)  # one that sends both at once is idle, which server.keep_alive is for
        raw.sendall(half)
    for raw in [*firsts, *seconds]:
        read_to_end(raw)


def send_heads_slowly(door: Door) -> None:
    """Never end a head: slowloris."""
    drip([door.open(REQUEST[:-2]) for _ in range(CROWD)], b"a: b\r\n")


def send_heads_without_end(door: Door) -> None:
    """Send more header fields, longer ones and longer lines than anybody needs."""
    for endless in (b"a: b\r\n", b"a" * 1000 + b": " + b"b" * 1000 + b"\r\n", b"b" * 1000):
        raw = door.open(REQUEST[:-2])
        push(raw, endless, at_most=4_000_000)
        read_to_end(raw)


def leave_half_bodies(door: Door) -> None:
    """Announce a body, send a part of it and leave."""
    for raw in [door.open(call_bytes(b'{"args":', announced=1000)) for _ in range(CROWD)]:
        reset(raw)


def pipeline_without_reading(door: Door) -> None:
    """Ask for more and more without reading an answer, then leave."""
    call = call_bytes(b'{"args":["' + b"x" * 60_000 + b'"]}')
    raw = door.open(receive_buffer=4096)
    push(raw, call, at_most=64_000_000)
    reset(raw)


def pipeline_little_questions(door: Door) -> None:
    """Ask three thousand little questions at once and leave in the middle of the answers."""
    raw = door.open()
    push(raw, REQUEST * 100, at_most=3_000 * len(REQUEST))
    raw.recv(1)
    reset(raw)


def connect_and_reset(door: Door) -> None:
    """Come and go as fast as possible, at every stage of a request."""
    call = call_bytes(b'{"args":[1]}')
    for said in (b"", b"G", REQUEST[:-2], call[:-5], call, call * 3 + call[:10]):
        for _ in range(4 * CROWD):
            reset(door.open(said))


HTTP_ATTACKS: list[Attack] = [
    say_nothing,
    send_half_heads,
    send_heads_slowly,
    send_heads_without_end,
    leave_half_bodies,
    pipeline_without_reading,
    pipeline_little_questions,
    connect_and_reset,
]


def all_at_once(attacks: list[Attack], door: Door) -> None:
    """Make a round of each attack at the same time."""
    with ThreadPoolExecutor(len(attacks)) as crowd:
        for attacking in [crowd.submit(attack, door) for attack in attacks]:
            attacking.result()


# ------------------------------------------------------------------------ and a decent one


class SteadyClient:
    """Counts with an actor all the time, over one connection, while others do harm."""

    def __init__(self, service: RealService, key: str) -> None:
        self.problems: list[str] = []
        """What went wrong; nothing ever should."""
        self.calls = 0
        self._connection = service.connect()
        self._path = make_path("counter", "increment", key)
        self._stopping = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> SteadyClient:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(DEADLINE)
        self._connection.close()

    def wait_served(self) -> None:
        """Return once some more calls were answered."""
        enough = self.calls + 5
        wait_until(lambda: self.calls >= enough or bool(self.problems), "a well-behaved client")

    def _run(self) -> None:
        while not self._stopping.is_set() and not self.problems:
            try:
                answer = request_over(self._connection, "POST", self._path, b'{"args":[]}')
            except OSError as error:
                self.problems.append(repr(error))
                return
            self.calls += 1
            if (answer.status, json.loads(answer.body)) != (200, {"output": self.calls}):
                self.problems.append(repr(answer))
