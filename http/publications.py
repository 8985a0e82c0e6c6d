"""Messages for queues of actors (client-protocol, 6): requests whose answer may take long.

A publication that waits for its consumer is answered when the message is completed, which the
actor's own time limits bound, no time limit of the gateway. So it is given up as soon as its client
leaves; the message itself stays in its queue.
"""

from __future__ import annotations

from aiohttp import web

from stator.runtime.link.dialer import Dialer, Outcome
from stator.runtime.link.frames import ExchangeAborted, Publish

from .deadlines import TimedConnection


async def publish(
    request: web.BaseRequest, link: Dialer, publication: Publish, body: bytes
) -> Outcome:
    """Hand a message over and return the reply.

    Raises what :meth:`.Dialer.request` does, and ``ConnectionResetError`` when the client leaves
    first; the worker is told of that and nothing is kept here.
    """
    connection = request.protocol
    assert isinstance(connection, TimedConnection)
    if connection.transport is None:
        raise ConnectionResetError("the client left before its message was handed over")
    reply = link.request(publication, body)

    def client_left() -> None:
        if not reply.done():
            reply.set_exception(ConnectionResetError("the client left"))
            link.post(ExchangeAborted(publication.id))
            link.forget(publication.id)

    connection.on_lost = client_left
    try:
        return await reply
    finally:
        connection.on_lost = None
