"""The connections of the realtime load generator against a server that is told what to send."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import messages
from benchmarks.crowd import Connection, Crowd
from benchmarks.frames import CLOSE, PING, PONG, client_frame, server_frame
from stator.runtime.protocol.encoding import Encoding

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
INIT = server_frame(messages.init(Encoding.BARE))


class Peer:
    """A listener, and a crowd whose one connection it accepts."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        port: int = self._listener.getsockname()[1]
        self.crowd = Crowd(port, "/path", Encoding.BARE, "%7B%7D")
        self.accepted = socket.socket()
        self.request = b""

    def open(self, *pieces: bytes) -> Connection:
        """Have the connection opened and answered with these pieces."""
        with ThreadPoolExecutor(1) as threads:
            threads.submit(self._accept, pieces)
            return self.crowd.open(1, 1)[0]

    def _accept(self, pieces: tuple[bytes, ...]) -> None:
        self.accepted.close()
        self.accepted, _ = self._listener.accept()
        self.request = self.accepted.recv(4096)
        for piece in pieces:
            self.accepted.sendall(piece)

    def close(self) -> None:
        """End everything."""
        self._listener.close()
        self.accepted.close()
        self.crowd.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    listening = Peer()
    yield listening
    listening.close()


@pytest.mark.parametrize("cut", [10, len(ACCEPTED), len(ACCEPTED) + 5])
def test_a_connection_is_open_when_its_first_message_is_there(peer: Peer, cut: int) -> None:
    answer = ACCEPTED + INIT
    assert peer.open(answer[:cut], answer[cut:]).opened


def test_encoding_and_params_are_offered_as_subprotocols(peer: Peer) -> None:
    peer.open(ACCEPTED + INIT)
    offered = b"Sec-WebSocket-Protocol: rivet, rivet_encoding.bare, rivet_conn_params.%7B%7D\r\n"
    assert offered in peer.request


def test_a_refused_upgrade_ends_the_run(peer: Peer) -> None:
    with pytest.raises(ConnectionError, match="503"):
        peer.open(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")


def test_a_ping_is_answered(peer: Peer) -> None:
    peer.open(ACCEPTED + INIT)
    peer.accepted.sendall(server_frame(b"hi", PING))
    peer.crowd.poll(10)
    assert peer.accepted.recv(100) == client_frame(b"hi", PONG)


def test_a_connection_that_the_server_ends_ends_the_run(peer: Peer) -> None:
    peer.open(ACCEPTED + INIT)
    peer.accepted.sendall(server_frame(b"\x03\xf3gone", CLOSE))
    peer.crowd.poll(10)
    peer.accepted.close()
    with pytest.raises(ConnectionError, match="gone"):
        peer.crowd.poll(10)


def test_a_stalled_connection_that_the_server_ended_is_counted(peer: Peer) -> None:
    connection = peer.open(ACCEPTED + INIT)
    peer.crowd.ignore([connection])
    peer.accepted.close()
    assert peer.crowd.drain([connection]) == 1
