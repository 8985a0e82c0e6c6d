"""Turning an error into a :class:`~stator.runtime.link.frames.Refusal`."""

from __future__ import annotations

from stator.runtime.error_views import public_view
from stator.runtime.link.frames import Refusal

from .batch import ReplyPort


def refuse(port: ReplyPort, request_id: int, error: BaseException) -> None:
    """Answer a request that no actor took with what a caller may see of ``error``."""
    view = public_view(error)
    port.send(Refusal(request_id, view.group, view.code, view.message, view.status, view.metadata))
