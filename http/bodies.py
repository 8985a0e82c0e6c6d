"""Reading request bodies within a limit."""

from __future__ import annotations

from aiohttp import web

from stator.runtime.errors import BodyTooLarge, CallerError, IncomingTooLong


async def read_message(request: web.BaseRequest, limit: int) -> bytes:
    """Return the body of an action or queue call. Raises ``message.incoming_too_long``."""
    return await _read(
        request,
        limit,
        IncomingTooLong(
            f"the body is larger than limits.max_incoming_message_size ({limit} bytes)"
        ),
    )


async def read_control_body(request: web.BaseRequest, limit: int) -> bytes:
    """Return the body of a control request. Raises ``guard.invalid_request_body`` (413)."""
    return await _read(request, limit, BodyTooLarge(f"the body is larger than {limit} bytes"))


async def _read(request: web.BaseRequest, limit: int, too_large: CallerError) -> bytes:
    if (request.content_length or 0) > limit:
        raise too_large
    content = request.content
    body = await content.readany()
    if content.at_eof() and len(body) <= limit:
        return body
    parts = [body]
    size = len(body)
    while size <= limit and not content.at_eof():
        parts.append(await content.readany())
        size += len(parts[-1])
    if size > limit:
        raise too_large
    return b"".join(parts)
