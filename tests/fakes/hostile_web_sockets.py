"""Attacks over WebSockets, like those of hostile_clients.py.

Some wait for the service to drop a client that answers no pings: they are for a service with a
small ``server.ping_interval`` and ``server.ping_timeout``.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any

from tests.fakes.hostile_clients import CROWD, Attack, Door, push, read_to_end, reset
from tests.fakes.open_connection import connect_path
from tests.fakes.wire_frames import CONTINUATION, KEY, PING, TEXT, client_frame


def upgrade(key: str, inner: str = "/connect") -> bytes:
    """Return the head that opens a connection to the actor ``echo``."""
    lines = [
        f"GET {connect_path('echo', key, inner)} HTTP/1.1",
        "host: x",
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {KEY}",
        "sec-websocket-protocol: rivet, rivet_encoding.json",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def question(number: int, action: str, *args: Any) -> bytes:
    """Return the frame that calls an action."""
    value = {"id": ["$BigInt", str(number)], "name": action, "args": args}
    message = {"body": {"tag": "ActionRequest", "val": value}}
    return client_frame(TEXT, json.dumps(message).encode())


def enter(door: Door, key: str, *, receive_buffer: int = 0) -> socket.socket:
    """Return a WebSocket, opened as a good client opens it."""
    raw = door.open(upgrade(key), receive_buffer=receive_buffer)
    assert raw.recv(4096).startswith(b"HTTP/1.1 101 ")
    return raw


def say_goodbye(raw: socket.socket) -> None:
    """End the stream, so that the service has read all of it when the connection is over."""
    with suppress(OSError):
        raw.shutdown(socket.SHUT_WR)
    read_to_end(raw)


def leave_half_upgrades(door: Door) -> None:
    """Stop in the middle of an upgrade, or say nothing at all after it: pings included."""
    halves = [door.open(upgrade("quiet")[:-9]) for _ in range(CROWD)]
    wholes = [enter(door, "quiet") for _ in range(CROWD)]
    for raw in [*halves, *wholes]:
        read_to_end(raw)


def open_and_reset(door: Door) -> None:
    """Come and go as fast as possible, at every stage of a connection."""
    head, frame = upgrade("hasty"), question(0, "echo", "x" * 500)
    for said in (b"", frame[:1], frame[:100], frame, frame * 20, client_frame(PING)):
        for _ in range(CROWD):
            reset(door.open(head + said))
    for _ in range(CROWD):
        reset(enter(door, "hasty"))


def flood_with_pings(door: Door) -> None:
    """Ping without end and read no pong."""
    raw = enter(door, "pinged", receive_buffer=4096)
    push(raw, client_frame(PING, b"x" * 125) * 100, at_most=2_000_000)
    say_goodbye(raw)


def flood_with_fragments(door: Door) -> None:
    """Send a message that never ends, in pieces of every size."""
    for piece in (b"", b"x", b"x" * 50_000):
        raw = enter(door, "fragments")
        raw.sendall(client_frame(TEXT, b"x", is_last=False))
        push(raw, client_frame(CONTINUATION, piece, is_last=False) * 10, at_most=500_000)
        say_goodbye(raw)


def announce_huge_frames(door: Door) -> None:
    """Announce a frame of 2**62 bytes and send a little of it."""
    for _ in range(CROWD):
        raw = enter(door, "huge")
        raw.sendall(b"\x82\xff" + (1 << 62).to_bytes(8) + b"mask" + b"x" * 1000)
        read_to_end(raw)


def call_without_reading(door: Door) -> None:
    """Ask for more large answers than anybody would keep for a client, and read none."""
    reset(be_deaf(door))


def be_deaf(door: Door) -> socket.socket:
    """Return a WebSocket that asked for 2 GB and read nothing of it so far."""
    raw = enter(door, "deaf", receive_buffer=4096)
    push(raw, question(0, "big", 100_000), at_most=2_000_000)
    return raw


def call_without_waiting(door: Door) -> None:
    """Call and call, more than may be under way, without reading an answer."""
    raw = enter(door, "pushy", receive_buffer=4096)
    push(raw, question(0, "echo", "x" * 60_000), at_most=64_000_000)
    reset(raw)


WEB_SOCKET_ATTACKS: list[Attack] = [
    leave_half_upgrades,
    open_and_reset,
    flood_with_pings,
    flood_with_fragments,
    announce_huge_frames,
    call_without_reading,
    call_without_waiting,
]
