"""Reading request bodies within a limit of size and time.

A body that has come with its head, as most have, is taken at once. For the rest of any other body
one timer runs: it starts again whenever the client has sent ``PROGRESS_BYTES`` more, so neither a
client that stops nor one that sends a byte now and then holds a request open.
"""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader, web

from stator.runtime.errors import BodyTooLarge, CallerError, IncomingTooLong, RequestTimeout

PATIENCE_S = 30.0
"""The default of ``server.header_timeout``."""
PROGRESS_BYTES = 1024
"""What a client has to send within the time limit to be given the same time again."""


async def read_message(
    request: web.BaseRequest, limit: int, patience_s: float = PATIENCE_S
) -> bytes:
    """Return the body of an action or queue call.

    Raises ``message.incoming_too_long``, and ``guard.request_timeout`` (408) when the client makes
    no progress for ``patience_s`` seconds; the connection is closed after that.
    """
    return await _read(
        request,
        limit,
        patience_s,
        IncomingTooLong(
            f"the body is larger than limits.max_incoming_message_size ({limit} bytes)"
        ),
    )


async def read_control_body(
    request: web.BaseRequest, limit: int, patience_s: float = PATIENCE_S
) -> bytes:
    """Return the body of a control request.

    Raises ``guard.invalid_request_body`` (413), and ``guard.request_timeout`` (408) like
    :func:`read_message`.
    """
    return await _read(
        request, limit, patience_s, BodyTooLarge(f"the body is larger than {limit} bytes")
    )


async def _read(
    request: web.BaseRequest, limit: int, patience_s: float, too_large: CallerError
) -> bytes:
    if (request.content_length or 0) > limit:
        raise too_large
    content = request.content
    body = content.read_nowait()
    if content.at_eof() and len(body) <= limit:
        return body
    try:
        return await _read_rest(content, body, limit, patience_s, too_large)
    except TimeoutError as error:
        request.protocol.close()
        raise RequestTimeout(
            f"no more of the body came for {patience_s:g} seconds (server.header_timeout)"
        ) from error


async def _read_rest(
    content: StreamReader, body: bytes, limit: int, patience_s: float, too_large: CallerError
) -> bytes:
    parts = [body]
    size = counted = len(body)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(patience_s) as patience:
        while size <= limit and not content.at_eof():
            parts.append(await content.readany())
            size += len(parts[-1])
            if size - counted >= PROGRESS_BYTES:
                counted = size
                patience.reschedule(loop.time() + patience_s)
    if size > limit:
        raise too_large
    return b"".join(parts)
