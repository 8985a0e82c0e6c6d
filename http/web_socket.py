"""One client's WebSocket: bytes from and to a transport, messages to and from its owner.

It lives for as long as a client stays, mostly idle, so it is one object: the protocol that the
transport calls is itself the parser, aiohttp's C ``WebSocketReader``, with no queue, no task and
no timer. What aiohttp's reader leaves to its callers, or lets pass, is judged in
:meth:`WebSocket._handle_frame`, which the reader calls with each whole frame:

Rule 1. Client frames are masked (RFC 6455, 5.1). The reader unmasks into a ``bytearray`` and
        leaves an unmasked payload ``bytes``, so the type tells. Not noticed is an unmasked frame
        that came in more than ``max(1024, max_message_bytes // 256)`` reads; nor is a length
        that could have been written shorter (5.2).
Rule 2. After a close frame was sent or received, no message is delivered.
Rule 3. :meth:`Owner.on_closed` is called once, whatever happens, and nothing after it.
Rule 4. A refused client is sent the reason and the end of the stream, and its bytes are read and
        dropped until it leaves: a socket closed over unread bytes would take the reason back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
from aiohttp.http_websocket import WebSocketError, WebSocketReader

if TYPE_CHECKING:
    from aiohttp._websocket.reader_py import WebSocketDataQueue
else:
    from aiohttp._websocket.reader import WebSocketDataQueue

from .open_sockets import OpenSockets
from .web_socket_frames import (
    ABNORMAL,
    BINARY,
    CLOSE,
    CONTINUATION,
    INTERNAL,
    INVALID_TEXT,
    PING,
    PING_FRAME,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    Closing,
    Fragments,
    is_utf8,
    make_close,
    make_pong,
    parse_close,
)

CLOSE_TIMEOUT_S = 5.0
"""How long a client may take to answer a close frame and to read what was sent before it."""

FLUSH_ABOVE_BYTES = 64 * 1024
"""Frames are collected up to this size; then joining them costs more than another write."""

FRAMES_AT_ONCE = 32
"""The same in frames: a client that got a part of its answers can go on meanwhile."""

QUIET_ABOVE_BYTES = 64 * 1024
"""A client that does not read what it was sent gets no pongs and no pings on top."""

_OPEN, _CLOSING, _ENDED = 0, 1, 2
"""Phases: messages pass; our close frame waits for the client's; nothing is read any more."""

_MALFORMED = Closing(PROTOCOL_ERROR, "ws.protocol_error")
_NOT_MASKED = Closing(PROTOCOL_ERROR, "ws.frame_not_masked")
_BAD_CLOSE = Closing(PROTOCOL_ERROR, "ws.invalid_close")
_BAD_TEXT = Closing(INVALID_TEXT, "message.invalid_utf8")
_FAILED = Closing(INTERNAL, "rivetkit.internal_error")
_LOST = Closing(ABNORMAL, "")


class Owner(Protocol):
    """Whom a WebSocket tells what happens; called from the event loop, and never re-entrantly
    from :meth:`WebSocket.close` or :meth:`WebSocket.abort`."""

    def on_message(self, data: bytes, is_text: bool) -> None:
        """Take a whole message; text is valid UTF-8."""
        ...

    def on_closed(self, code: int, reason: str) -> None:
        """Hear the end: what the client's close frame says (1005 if nothing), why the client was
        refused, or 1006 if the connection is gone."""
        ...

    def on_drained(self) -> None:
        """Hear that a client that was behind has read most of what it was sent."""
        ...


class SocketLimits(msgspec.Struct, frozen=True):
    """What the sockets of one kind may receive; one object serves all of them."""

    max_message_bytes: int
    too_long: Closing = Closing(TOO_BIG, "message.incoming_too_long")
    """How a socket ends that got a longer message."""


class _Nobody:
    """The owner of a socket that has told its owner the end."""

    def on_message(self, data: bytes, is_text: bool) -> None: ...

    def on_closed(self, code: int, reason: str) -> None: ...

    def on_drained(self) -> None: ...


class _ParserErrors(WebSocketDataQueue):
    """Where readers report errors: one for all sockets, as each asks at once."""

    __slots__ = ("_last",)

    def __init__(self) -> None:  # without a buffer: nothing is queued here
        self._last: BaseException | None = None

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Keep what a reader raised, without the frames that would keep its socket."""
        self._last = exc.with_traceback(None)

    def take(self) -> BaseException | None:
        """Return the error that was reported last."""
        last, self._last = self._last, None
        return last


_NOBODY: Owner = _Nobody()
_ERRORS = _ParserErrors()


class WebSocket(asyncio.Protocol, WebSocketReader):
    """An open WebSocket, from the answer 101 on. Server side; no extensions.

    :meth:`connection_made` gives it its transport. Frames are made by
    :func:`~stator.http.web_socket_frames.make_frame`, once for however many sockets.
    """

    __slots__ = (
        "_fragments",
        "_is_behind",
        "_is_paused",
        "_limits",
        "_owner",
        "_pending",
        "_pending_bytes",
        "_phase",
        "_sockets",
        "_timer",
        "_transport",
        "was_heard",
    )

    def __init__(self, owner: Owner, limits: SocketLimits, sockets: OpenSockets) -> None:
        # The reader refuses a frame of its maximum; without compression, without decoding text.
        WebSocketReader.__init__(self, _ERRORS, limits.max_message_bytes + 1, False, False)
        self._owner = owner
        self._limits = limits
        self._sockets = sockets
        self._transport: asyncio.Transport | None = None
        self._phase = _ENDED
        self._fragments: Fragments | None = None
        self._pending: list[bytes] | None = None
        self._pending_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._is_behind = False
        self.was_heard = True
        """Whether anything arrived since this was last set to False."""

    # ------------------------------------------------------------------ what the owner does

    @property
    def is_open(self) -> bool:
        """Whether messages still pass: no close frame was sent or received."""
        return self._phase == _OPEN

    @property
    def is_listening(self) -> bool:
        """Whether the client would be heard."""
        return self._phase == _OPEN and not self._is_paused

    @property
    def is_paused(self) -> bool:
        """Whether the owner wants nothing more read."""
        return self._is_paused

    @property
    def is_behind(self) -> bool:
        """Whether :meth:`Owner.on_drained` is to be expected."""
        return self._is_behind

    @property
    def backlog(self) -> int:
        """Bytes that wait for the client to read; those in the kernel are not counted."""
        if self._transport is None:
            return 0
        return self._pending_bytes + self._transport.get_write_buffer_size()

    def send_frame(self, frame: bytes) -> None:
        """Send a frame; without effect once the socket is closing. Nothing limits the backlog."""
        if self._phase != _OPEN:
            return
        if self._pending is None:
            self._pending = [frame]
            self._sockets.flush_soon(self)
        else:
            self._pending.append(frame)
        self._pending_bytes += len(frame)
        if self._pending_bytes > FLUSH_ABOVE_BYTES or len(self._pending) >= FRAMES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        pending = self._pending
        if pending is None:
            return
        self._pending, self._pending_bytes = None, 0
        self._write(pending[0] if len(pending) == 1 else b"".join(pending))

    def ping(self) -> None:
        """Ask for a sign of life; a client that does not read is asked by its backlog already."""
        if self.backlog <= QUIET_ABOVE_BYTES:
            self.send_frame(PING_FRAME)

    def close(self, code: int, reason: str) -> None:
        """Begin to close. Without effect once closing.

        Raises ``ValueError`` for a code that must not be sent; 1005 sends none.
        """
        frame = make_close(code, reason)
        if self._phase == _OPEN:
            self.send_frame(frame)
            self.flush()
            self._phase = _CLOSING
            self._wait_for_client()

    def abort(self) -> None:
        """Drop the connection, and what was not sent."""
        self._phase = _ENDED
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Leave what the client sends in the kernel. Messages read already still come."""
        if self._phase == _OPEN and not self._is_paused and self._transport is not None:
            self._is_paused = True
            if not self._transport.is_closing():
                self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # ------------------------------------------------------------- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        self._phase = _OPEN
        self._sockets.add(self)

    def data_received(self, data: bytes) -> None:
        if self._phase == _ENDED:
            return
        self.was_heard = True
        if self.feed_data(data)[0]:
            self._take_error(_ERRORS.take())

    def pause_writing(self) -> None:
        self._is_behind = True

    def resume_writing(self) -> None:
        self._is_behind = False
        if self._phase == _OPEN:
            self._owner.on_drained()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._phase = _ENDED
        self._transport = None
        self._pending, self._pending_bytes = None, 0
        self._fragments = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sockets.discard(self)
        self._tell(_LOST)

    # ------------------------------------------------------------------ what the reader calls

    def _handle_frame(
        self, fin: bool, opcode: int, payload: bytes | bytearray, compressed: Any
    ) -> None:
        """Judge one frame; called by the C reader, so it must not raise."""
        if self._phase != _OPEN:
            if self._phase == _CLOSING and opcode == CLOSE:
                self._take_close(payload)
        elif type(payload) is bytes:
            self._refuse(_NOT_MASKED)
        elif opcode <= BINARY:
            if fin and opcode and self._fragments is None:
                data = bytes(payload)
                if opcode == TEXT and not is_utf8(data):
                    self._refuse(_BAD_TEXT)
                else:
                    self._deliver(data, opcode == TEXT)
            else:
                self._take_fragment(fin, opcode, payload)
        elif opcode == PING:
            if self.backlog <= QUIET_ABOVE_BYTES:
                self.send_frame(make_pong(bytes(payload)))
        elif opcode == CLOSE:
            self._take_close(payload)

    def _take_fragment(self, fin: bool, opcode: int, payload: bytes | bytearray) -> None:
        fragments = self._fragments
        if (opcode == CONTINUATION) is (fragments is None):
            self._refuse(_MALFORMED)
            return
        if fragments is None:
            fragments = self._fragments = Fragments(is_text=opcode == TEXT)
        if len(fragments) + len(payload) > self._limits.max_message_bytes:
            self._refuse(self._limits.too_long)
        elif not fragments.add(payload, is_last=fin):
            self._refuse(_BAD_TEXT)
        elif fin:
            self._fragments = None
            self._deliver(fragments.joined(), fragments.is_text)

    def _deliver(self, data: bytes, is_text: bool) -> None:
        try:
            self._owner.on_message(data, is_text)
        except Exception as error:
            self._fail(error)

    def _take_error(self, error: BaseException | None) -> None:
        if not isinstance(error, WebSocketError):
            self._fail(error)
        elif error.code == TOO_BIG:
            self._refuse(self._limits.too_long)
        else:
            self._refuse(_MALFORMED)

    def _fail(self, error: BaseException | None) -> None:
        """End a socket over an error of ours: the loop tells it, other sockets notice nothing."""
        self._refuse(_FAILED)
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a WebSocket ended over an error", "exception": error}
        )

    def _take_close(self, payload: bytes | bytearray) -> None:
        try:
            closing = parse_close(payload)
        except UnicodeDecodeError:
            self._refuse(_BAD_TEXT)
            return
        except ValueError:
            self._refuse(_BAD_CLOSE)
            return
        if self._phase == _OPEN:
            self.send_frame(make_close(*closing))
            self.flush()
            self._wait_for_client()
        self._phase = _ENDED
        if self._transport is not None:
            self._transport.close()
        self._tell(closing)

    # --------------------------------------------------------------------------- endings

    def _refuse(self, why: Closing) -> None:
        """End a socket whose client broke a rule (rule 4)."""
        if self._phase == _OPEN:
            self.send_frame(make_close(*why))
            self.flush()
            self._wait_for_client()
        if self._phase != _ENDED:
            self._phase = _ENDED
            self._end_stream()
            self._tell(why)

    def _end_stream(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        else:  # TLS, whose own closing reads on until the client has closed too
            transport.close()

    def _wait_for_client(self) -> None:
        """Read on, whatever the owner wished, and give the client a few seconds to leave."""
        self.resume_reading()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _tell(self, closing: Closing) -> None:
        owner, self._owner = self._owner, _NOBODY
        owner.on_closed(closing.code, closing.reason)
