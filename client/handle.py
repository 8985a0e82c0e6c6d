"""Handles of clients outside: those of actors among themselves, and what needs a connection."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from stator.runtime.actor import Actor
from stator.runtime.handles import ActorClient, ActorHandle, Address, KeyLike

from .connection import Connection
from .fetches import Body, FetchResponse, Headers
from .http_transport import HttpTransport
from .raw_socket import RawSocket


class Handle(ActorHandle):
    """One actor, addressed by key or id. Any attribute is an action."""

    def __init__(self, http: HttpTransport, plain: ActorHandle, actor: type[Actor] | None) -> None:
        """Mean the actor that ``plain`` means; ``actor`` is the class it was made from, if any."""
        super().__init__(http, plain._address, actor)
        self._http = http

    def connect(self, params: Any = None) -> Connection:
        """Begin to connect to the actor; to be closed, best by ``async with``.

        ``params`` reach its connection hooks instead of those of the handle: a value, or a
        function, async allowed, that gives one for each attempt.
        """
        if params is None:
            params = self._address.params
        session = self._http.connect(self._address, params)
        return Connection(session, self._http, self._address, self._actor)

    async def fetch(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Headers | None = None,
        body: Body = None,
        params: Any = None,
    ) -> FetchResponse:
        """Send a request to the actor's ``on_request``; the answer may have any status.

        ``body`` is ``bytes``, ``str`` (sent as UTF-8) or an async iterable of ``bytes``;
        ``params`` reach the connection hooks instead of those of the handle.
        Raises ``rivetkit.internal_error`` if no answer came.
        """
        return await self._http.fetch(self._with(params), path, method, headers, body)

    async def websocket(self, path: str = "/", *, params: Any = None) -> RawSocket:
        """Open a WebSocket to the actor's ``on_websocket``.

        It is open before the actor is asked: a refusal closes it. Raises
        ``client.connection_open_failed``.
        """
        return await self._http.open_raw(self._with(params), path)

    def _with(self, params: Any) -> Address:
        if params is None:
            return self._address
        return msgspec.structs.replace(self._address, params=params)


class Handles(ActorClient):
    """Makes handles. ``actor`` is a class of a registry or a name on the wire."""

    def __init__(self, http: HttpTransport) -> None:
        super().__init__(http)
        self._http = http

    def get(self, actor: str | type[Actor], key: KeyLike = None, *, params: Any = None) -> Handle:
        """Return a handle on an actor that exists; calls raise ``actor.not_found`` otherwise."""
        return cast(Handle, super().get(actor, key, params=params))

    def get_or_create(
        self,
        actor: str | type[Actor],
        key: KeyLike = None,
        *,
        input: Any = None,  # noqa: A002 - the public name
        params: Any = None,
    ) -> Handle:
        """Return a handle on an actor that is created, with ``input``, by its first call."""
        return cast(Handle, super().get_or_create(actor, key, input=input, params=params))

    def get_for_id(self, actor: str | type[Actor], actor_id: str, *, params: Any = None) -> Handle:
        """Return a handle pinned to one actor id."""
        return cast(Handle, super().get_for_id(actor, actor_id, params=params))

    async def create(
        self,
        actor: str | type[Actor],
        key: KeyLike = None,
        *,
        input: Any = None,  # noqa: A002 - the public name
        params: Any = None,
    ) -> Handle:
        """Create an actor and return a handle pinned to it. Raises ``actor.duplicate_key``."""
        return cast(Handle, await super().create(actor, key, input=input, params=params))

    def _handle(self, actor: str | type[Actor], **parts: Any) -> Handle:
        plain = super()._handle(actor, **parts)
        return Handle(self._http, plain, None if isinstance(actor, str) else actor)
