"""One end of a link: frames in and out of an asyncio transport.

Frames sent during one turn of the event loop leave in one write at its end, or in a few if they
are many, because a system call costs more than everything else a small frame needs.

The serving end of a link takes no more requests while the process has made more output than it
could get rid of (:class:`Backlog`). The calling end always reads: so no two ends wait for each
other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain
from typing import cast

from .frame_codec import FrameDecoder, LinkProtocolError, encode_frame
from .frames import AnyFrame

FRAMES_AT_ONCE = 32
"""When so many frames are queued they leave at once, so that the other end can begin with them:
both then work at the same time, not in turns (docs/performance.md)."""

OnFrame = Callable[[AnyFrame, bytes], None]
OnLost = Callable[["Channel", BaseException | None], None]


class Backlog:
    """The output of a process that waits: for a commit, or for other ends of links to read."""

    __slots__ = ("_waiting", "limit", "size")

    def __init__(self, limit: int = 32 * 1024 * 1024) -> None:
        """``limit`` is in bytes; one request may exceed it by what it is answered."""
        self.limit = limit
        self.size = 0
        self._waiting: list[Callable[[], None]] = []

    def wait(self, go_on: Callable[[], None]) -> None:
        """Have ``go_on`` called once there is room again."""
        self._waiting.append(go_on)

    def add(self, size: int) -> None:
        """Note that so many bytes wait."""
        self.size += size

    def remove(self, size: int) -> None:
        """Note that so many bytes are gone."""
        self.size -= size
        if self._waiting and self.size <= self.limit // 2:
            waiting, self._waiting = self._waiting, []
            for go_on in waiting:
                go_on()


class Channel(asyncio.Protocol):
    """Sends and receives frames over one stream.

    ``on_frame`` is called for every frame, on the event loop and in order; ``on_lost`` once, when
    the stream ends for whatever reason.
    """

    def __init__(
        self,
        on_frame: OnFrame,
        on_lost: OnLost,
        *,
        on_open: OnLost | None = None,
        backlog: Backlog | None = None,
    ) -> None:
        """With a ``backlog``, what is sent counts in it and frames wait while it is full."""
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_open = on_open
        self._decoder = FrameDecoder()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._call_soon = asyncio.get_running_loop().call_soon
        self._backlog = backlog
        self._stalled: Iterator[tuple[AnyFrame, bytes]] | None = None
        """Frames that came and wait for room."""
        self._counted = 0
        """How much of the backlog is of this channel."""
        self._is_congested = False

    @property
    def is_open(self) -> bool:
        """Whether frames can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def transport_info(self, name: str) -> object:
        """Return what the transport knows, e.g. ``socket`` (see asyncio's ``get_extra_info``)."""
        return self._transport.get_extra_info(name) if self._transport is not None else None

    def send(self, header: AnyFrame, payload: bytes = b"") -> None:
        """Queue a frame for the end of this turn; on a closed channel it is dropped."""
        if not self._unsent:
            self._call_soon(self.flush)
        frame = encode_frame(header, payload)
        self._unsent.append(frame)
        if self._backlog is not None:
            self._counted += len(frame)
            self._backlog.size += len(frame)
        if len(self._unsent) >= FRAMES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what is queued now."""
        frames, self._unsent = self._unsent, []
        if frames and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(frames) if len(frames) > 1 else frames[0])
        if not self._is_congested:
            self._count_as_gone()

    def close(self) -> None:
        """Flush and close."""
        if self._transport is not None:
            self.flush()
            self._transport.close()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._on_open is not None:
            self._on_open(self, None)

    def data_received(self, data: bytes) -> None:
        frames = self._decoder.feed(data)
        if self._stalled is None:
            self._take(frames)
        else:
            self._stalled = chain(self._stalled, frames)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self._stalled = None
        self._is_congested = False  # what is still sent is dropped, and must not count
        self._count_as_gone()
        self._on_lost(self, exc)

    def pause_writing(self) -> None:
        self._is_congested = True

    def resume_writing(self) -> None:
        self._is_congested = False
        self._count_as_gone()

    def _take(self, frames: Iterator[tuple[AnyFrame, bytes]]) -> None:
        backlog = self._backlog
        try:
            for header, payload in frames:
                self._on_frame(header, payload)
                if backlog is not None and backlog.size > backlog.limit:
                    self._stall(frames, backlog)
                    return
        except LinkProtocolError as error:
            self._fail(error)

    def _stall(self, frames: Iterator[tuple[AnyFrame, bytes]], backlog: Backlog) -> None:
        self._stalled = frames
        if self.is_open and self._transport is not None:
            self._transport.pause_reading()
        backlog.wait(self._go_on_soon)

    def _go_on_soon(self) -> None:
        self._call_soon(self._go_on)

    def _go_on(self) -> None:
        frames, self._stalled = self._stalled, None
        if frames is not None and self.is_open and self._transport is not None:
            self._transport.resume_reading()
            self._take(frames)

    def _count_as_gone(self) -> None:
        if self._backlog is not None and self._counted:
            counted, self._counted = self._counted, 0
            self._backlog.remove(counted)

    def _fail(self, error: LinkProtocolError) -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a link broke its protocol", "exception": error}
        )
        if self._transport is not None:
            self._transport.abort()
