"""Who is calling: the caller's connection and request, found by the code that serves the call.

Actions of one actor run concurrently, so this is a context variable: each task has its own, and
an action that runs within a callback sets it around itself.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .actor import Actor
    from .conn import Conn
    from .raw_http import Request


class Caller(Protocol):
    """On whose behalf an actor's code runs."""

    @property
    def actor(self) -> Actor:
        """The actor that serves; for others that it calls there is no caller."""
        ...

    @property
    def conn(self) -> Conn | None:
        """The caller's connection, once it has one."""
        ...

    @property
    def request(self) -> Request | None:
        """The request that opened the connection, inside connection hooks."""
        ...


CALLER: ContextVar[Caller | None] = ContextVar("stator_caller", default=None)
"""Set while an action or hook runs."""
