"""One end of a link: frames in and out of an asyncio transport.

Frames sent during one turn of the event loop leave in one write at its end, because a system
call costs more than everything else a small frame needs. When the other end reads too slowly the
transport says so, and :attr:`Channel.congested` tells those who could produce less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from .frame_codec import FrameDecoder, LinkProtocolError, encode_frame
from .frames import AnyFrame

OnFrame = Callable[[AnyFrame, bytes], None]
OnLost = Callable[["Channel", BaseException | None], None]


class Channel(asyncio.Protocol):
    """Sends and receives frames over one stream.

    ``on_frame`` is called for every frame, on the event loop and in order; ``on_lost`` once, when
    the stream ends for whatever reason.
    """

    def __init__(
        self, on_frame: OnFrame, on_lost: OnLost, *, on_open: OnLost | None = None
    ) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_open = on_open
        self._decoder = FrameDecoder()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._call_soon = asyncio.get_running_loop().call_soon
        self.congested = False

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
        self._unsent.append(encode_frame(header, payload))

    def flush(self) -> None:
        """Write what is queued now."""
        frames, self._unsent = self._unsent, []
        if frames and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(frames) if len(frames) > 1 else frames[0])

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
        try:
            for header, payload in self._decoder.feed(data):
                self._on_frame(header, payload)
        except LinkProtocolError as error:
            self._fail(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self._on_lost(self, exc)

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False

    def _fail(self, error: LinkProtocolError) -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a link broke its protocol", "exception": error}
        )
        if self._transport is not None:
            self._transport.abort()
