"""A WebSocket seen from its owner: what it sends, hears and is told, on a transport in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stator.http import web_socket
from stator.http.open_sockets import OpenSockets
from stator.http.web_socket import (
    FLUSH_ABOVE_BYTES,
    FRAMES_AT_ONCE,
    QUIET_ABOVE_BYTES,
    SocketLimits,
    WebSocket,
)
from stator.http.web_socket_frames import Closing, make_frame
from tests.fakes.echo_server import MemoryTransport, RecordingOwner, open_in_memory
from tests.fakes.wire_frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    ServerFrame,
    client_close,
    client_frame,
    close_code,
    split_frames,
)

MESSAGE = client_frame(BINARY, b"m")
ENDS: list[Callable[[WebSocket], None]] = [
    lambda socket: socket.close(1000, ""),
    lambda socket: socket.data_received(client_close()),
    lambda socket: socket.data_received(b"\xff\xff"),
]
"""How a socket begins to end: by its owner, by its client, by a broken rule."""


def _ignore(socket: WebSocket, data: bytes, is_text: bool) -> None:
    """Do nothing with a message."""


def _open() -> tuple[RecordingOwner, MemoryTransport]:
    owner = RecordingOwner(_ignore)
    return owner, open_in_memory(owner)


def _written(owner: RecordingOwner, transport: MemoryTransport) -> list[ServerFrame]:
    owner.socket.flush()
    return split_frames(bytes(transport.written))


async def _next_turn() -> None:
    await asyncio.sleep(0)


# ---------------------------------------------------------------------------------- sending


async def test_frames_of_one_turn_leave_in_one_write() -> None:
    owner, transport = _open()
    for i in range(20):
        owner.socket.send_frame(make_frame(b"%d" % i, True))
    assert transport.writes == 0
    await _next_turn()
    assert transport.writes == 1
    assert split_frames(bytes(transport.written)) == [(TEXT, b"%d" % i) for i in range(20)]


async def test_many_frames_do_not_wait_for_the_end_of_the_turn() -> None:
    owner, transport = _open()
    for i in range(2 * FRAMES_AT_ONCE + 1):
        owner.socket.send_frame(make_frame(b"%d" % i, True))
    assert transport.writes == 2
    await _next_turn()
    assert len(split_frames(bytes(transport.written))) == 2 * FRAMES_AT_ONCE + 1


async def test_frames_of_two_turns_leave_in_two_writes() -> None:
    owner, transport = _open()
    owner.socket.send_frame(make_frame(b"a", True))
    await _next_turn()
    owner.socket.send_frame(make_frame(b"b", True))
    await _next_turn()
    assert transport.writes == 2


async def test_much_in_one_turn_is_not_kept_until_its_end() -> None:
    owner, transport = _open()
    owner.socket.send_frame(make_frame(bytes(FLUSH_ABOVE_BYTES), False))
    assert transport.writes == 1


async def test_the_backlog_counts_what_was_not_written_yet() -> None:
    owner, transport = _open()
    transport.unread = 1000
    owner.socket.send_frame(make_frame(b"abc", True))
    assert owner.socket.backlog == 1005


async def test_a_socket_without_a_connection_has_no_backlog() -> None:
    owner, transport = _open()
    transport.unread = 1000
    owner.socket.connection_lost(None)
    assert owner.socket.backlog == 0


async def test_nothing_is_written_to_a_transport_that_closes() -> None:
    owner, transport = _open()
    owner.socket.send_frame(make_frame(b"a", True))
    transport.close()
    await _next_turn()
    assert transport.written == b""


async def test_a_client_that_fell_behind_and_reads_again_is_told() -> None:
    owner, _ = _open()
    owner.socket.pause_writing()
    assert owner.socket.is_behind
    owner.socket.resume_writing()
    assert (owner.drained, owner.socket.is_behind) == (1, False)


async def test_a_closing_socket_tells_nothing_of_its_buffer() -> None:
    owner, _ = _open()
    owner.socket.pause_writing()
    owner.socket.close(1000, "")
    owner.socket.resume_writing()
    assert owner.drained == 0


# -------------------------------------------------------------------------------- receiving


async def test_all_messages_of_one_read_come_at_once() -> None:
    owner, _ = _open()
    owner.socket.data_received(client_frame(TEXT, b"a") + client_frame(BINARY, b"b"))
    assert owner.messages == [(b"a", True), (b"b", False)]


async def test_a_long_message_ends_the_socket_as_its_owner_wishes() -> None:
    owner = RecordingOwner()
    why = Closing(1011, "message.incoming_too_long")
    transport = open_in_memory(owner, SocketLimits(10, too_long=why))
    owner.socket.data_received(client_frame(BINARY, bytes(10)))
    owner.socket.data_received(client_frame(BINARY, bytes(11)))
    assert len(owner.messages) == 1
    assert owner.endings == [why]
    assert _written(owner, transport)[-1].payload == b"\x03\xf3message.incoming_too_long"


async def test_a_long_message_is_refused_before_its_payload_comes() -> None:
    owner = RecordingOwner()
    open_in_memory(owner, SocketLimits(1000))
    owner.socket.data_received(client_frame(BINARY, bytes(1001))[:8])
    assert owner.endings == [(1009, "message.incoming_too_long")]


async def test_an_owner_that_fails_ends_its_socket_and_is_told_of() -> None:
    def fail(socket: WebSocket, data: bytes, is_text: bool) -> None:
        raise LookupError("no")

    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    owner = RecordingOwner(fail)
    transport = open_in_memory(owner)
    owner.socket.data_received(MESSAGE + MESSAGE)
    assert len(owner.messages) == 1
    assert [type(error) for error in told] == [LookupError]
    assert close_code(_written(owner, transport)[-1]) == 1011


async def test_an_owner_that_fails_to_hear_the_end_is_told_of() -> None:
    class Owner(RecordingOwner):
        def on_closed(self, code: int, reason: str) -> None:
            super().on_closed(code, reason)
            raise LookupError("no")

    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    owner = Owner()
    open_in_memory(owner)
    owner.socket.data_received(client_close())
    assert (len(owner.endings), [type(error) for error in told]) == (1, [LookupError])


async def test_reading_pauses_and_resumes_once() -> None:
    owner, transport = _open()
    owner.socket.pause_reading()
    owner.socket.pause_reading()
    assert transport.is_reading_paused
    assert not owner.socket.is_listening
    owner.socket.resume_reading()
    owner.socket.resume_reading()
    assert not transport.is_reading_paused
    assert owner.socket.is_listening


@pytest.mark.parametrize("end", ENDS)
async def test_an_ending_socket_reads_although_its_owner_does_not(
    end: Callable[[WebSocket], None],
) -> None:
    owner, transport = _open()
    owner.socket.pause_reading()
    end(owner.socket)
    owner.socket.pause_reading()
    assert not transport.is_reading_paused


# ------------------------------------------------------------------------------------ pings


async def test_a_ping_is_answered_and_no_message() -> None:
    owner, transport = _open()
    owner.socket.data_received(client_frame(PING, b"now"))
    assert owner.messages == []
    assert _written(owner, transport) == [(PONG, b"now")]


async def test_pings_of_a_client_that_does_not_read_are_not_answered() -> None:
    owner, transport = _open()
    transport.unread = QUIET_ABOVE_BYTES + 1
    owner.socket.data_received(client_frame(PING, b"now"))
    assert _written(owner, transport) == []


async def test_a_flood_of_pings_in_one_turn_has_a_bound() -> None:
    owner, transport = _open()
    ping = client_frame(PING, bytes(125))
    for _ in range(100):
        transport.unread = len(transport.written)
        owner.socket.data_received(ping * 100)
    assert len(transport.written) < 3 * QUIET_ABOVE_BYTES


async def test_a_client_that_does_not_read_is_not_pinged() -> None:
    owner, transport = _open()
    transport.unread = QUIET_ABOVE_BYTES + 1
    owner.socket.ping()
    assert _written(owner, transport) == []


@pytest.mark.parametrize("frame", [MESSAGE, client_frame(PONG), client_frame(PING)])
async def test_whatever_comes_is_a_sign_of_life(frame: bytes) -> None:
    owner, _ = _open()
    owner.socket.was_heard = False
    owner.socket.data_received(frame[:1])
    assert owner.socket.was_heard


# ------------------------------------------------------------------------------------- ends


async def test_a_close_waits_for_the_clients() -> None:
    owner, transport = _open()
    owner.socket.close(4000, "enough")
    assert _written(owner, transport) == [(CLOSE, b"\x0f\xa0enough")]
    assert (owner.endings, transport.is_closed) == ([], False)
    owner.socket.data_received(client_close(4000, "enough"))
    assert (owner.endings, transport.is_closed) == ([(4000, "enough")], True)


async def test_a_close_follows_what_was_sent_before_it() -> None:
    owner, transport = _open()
    owner.socket.send_frame(make_frame(b"last", True))
    owner.socket.close(1000, "")
    assert [frame.opcode for frame in _written(owner, transport)] == [TEXT, CLOSE]


async def test_nothing_is_sent_or_delivered_after_a_close() -> None:
    owner, transport = _open()
    owner.socket.close(1000, "")
    owner.socket.close(1001, "again")
    owner.socket.send_frame(make_frame(b"late", True))
    owner.socket.ping()
    owner.socket.data_received(MESSAGE + client_frame(PING))
    assert owner.messages == []
    assert len(_written(owner, transport)) == 1


async def test_a_client_that_breaks_a_rule_while_closing_is_let_go() -> None:
    owner, transport = _open()
    owner.socket.close(1000, "")
    owner.socket.data_received(b"\xff\xff")
    assert len(_written(owner, transport)) == 1
    assert transport.has_eof


@pytest.mark.parametrize("code", [1005, 1000])
async def test_an_owner_passes_on_how_another_closed(code: int) -> None:
    owner, transport = _open()
    owner.socket.close(code, "")
    assert close_code(_written(owner, transport)[0]) == (None if code == 1005 else code)


async def test_a_code_that_must_not_be_sent_changes_nothing() -> None:
    owner, _ = _open()
    with pytest.raises(ValueError, match="1006"):
        owner.socket.close(1006, "")
    assert owner.socket.is_open


async def test_a_client_that_closes_is_answered_with_the_same() -> None:
    owner, transport = _open()
    owner.socket.data_received(client_close(1000, "Disposed"))
    assert _written(owner, transport) == [(CLOSE, b"\x03\xe8Disposed")]
    assert (owner.endings, transport.is_closed) == ([(1000, "Disposed")], True)


async def test_a_refused_client_is_read_until_it_leaves() -> None:
    owner, transport = _open()
    owner.socket.data_received(b"\xff\xff")
    owner.socket.data_received(MESSAGE)
    assert owner.endings == [(1002, "ws.protocol_error")]
    assert (transport.has_eof, transport.is_closed, owner.messages) == (True, False, [])


async def test_a_connection_that_is_gone_is_1006() -> None:
    owner, _ = _open()
    owner.socket.connection_lost(ConnectionResetError())
    assert owner.endings == [(1006, "")]


async def test_an_abort_is_1006_once_the_connection_is_gone() -> None:
    owner, transport = _open()
    owner.socket.abort()
    assert (transport.is_aborted, owner.endings) == (True, [])
    owner.socket.data_received(MESSAGE)
    owner.socket.connection_lost(None)
    assert (owner.endings, owner.messages) == ([(1006, "")], [])


@pytest.mark.parametrize("data", [client_close(), b"\xff\xff", client_frame(TEXT, b"\xff")])
async def test_the_end_is_told_once(data: bytes) -> None:
    owner, _ = _open()
    owner.socket.data_received(data)
    owner.socket.data_received(data)
    owner.socket.abort()
    owner.socket.connection_lost(None)
    assert len(owner.endings) == 1


@pytest.mark.parametrize("end", ENDS)
async def test_a_client_that_does_not_leave_is_cut_off(
    end: Callable[[WebSocket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_socket, "CLOSE_TIMEOUT_S", 0.0)
    owner, transport = _open()
    end(owner.socket)
    await transport.aborted.wait()


async def test_an_owner_may_close_while_it_takes_a_message() -> None:
    owner = RecordingOwner(lambda socket, data, is_text: socket.close(1000, "done"))
    open_in_memory(owner)
    owner.socket.data_received(MESSAGE + MESSAGE + client_close(1000, "done"))
    assert (len(owner.messages), owner.endings) == (1, [(1000, "done")])


async def test_an_owner_may_abort_while_it_takes_a_message() -> None:
    owner = RecordingOwner(lambda socket, data, is_text: socket.abort())
    open_in_memory(owner)
    owner.socket.data_received(MESSAGE + MESSAGE)
    assert (len(owner.messages), owner.endings) == (1, [])


async def test_a_socket_is_counted_from_its_transport_to_its_end() -> None:
    sockets = OpenSockets()
    owner = RecordingOwner()
    open_in_memory(owner, sockets=sockets)
    assert list(sockets) == [owner.socket]
    owner.socket.data_received(client_close())
    assert len(sockets) == 1
    owner.socket.connection_lost(None)
    assert len(sockets) == 0


async def test_a_socket_has_no_dictionary() -> None:
    owner, _ = _open()
    assert not hasattr(owner.socket, "__dict__")
