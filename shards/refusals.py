"""Telling those who wait for an actor that they wait in vain."""

from __future__ import annotations

from stator.runtime.error_views import public_view
from stator.runtime.errors import StorageUnavailable
from stator.runtime.link.frames import BodyPart, ExchangeAborted, Refusal, Reply

from .batch import Output, ReplyPort
from .connections import Connection


def refuse(port: ReplyPort, request_id: int, error: BaseException) -> None:
    """Answer a request that no actor took with what a caller may see of ``error``."""
    port.send(refusal_of(request_id, error))


def refusal_of(request_id: int, error: BaseException) -> Refusal:
    """Return the answer to a request that no actor took; see :func:`refuse`."""
    view = public_view(error)
    return Refusal(request_id, view.group, view.code, view.message, view.status, view.metadata)


def lose(output: Output) -> None:
    """Tell the receiver of an output that what it speaks of could not be stored.

    Events and acknowledgements have no receiver that waits: they are dropped.
    """
    _, port, header, payload = output
    if isinstance(port, Connection):
        port.lose(header, payload)
    elif isinstance(header, BodyPart):
        port.send(ExchangeAborted(header.id))
    elif isinstance(header, Reply):
        refuse(port, header.id, StorageUnavailable())
