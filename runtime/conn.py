"""A connection as the actor's code sees it (python-api, section 2; semantics page, section 6.2)."""

from __future__ import annotations

from typing import Any, Protocol, cast

from .declarations import Event


class ConnHost(Protocol):
    """What a connection needs of the place its actor lives in."""

    def send_event(self, conn: Conn, event: Event[Any] | str, args: tuple[Any, ...]) -> None: ...
    def read_state(self) -> Any: ...
    def write_state(self, value: Any) -> None: ...
    async def disconnect(self, conn: Conn, reason: str | None) -> None: ...


class Conn:
    """A client's connection to an actor.

    One that ``handle.connect()`` or a WebSocket opened lives until either side closes it; one
    that carries a single call or raw HTTP request lives as long as that.
    """

    __slots__ = ("_host", "_params", "id", "is_hibernatable")

    id: str
    """A UUID; the same across hibernation, a new one after the client connected again."""
    is_hibernatable: bool
    """Whether it stays open while its actor sleeps or its worker restarts."""

    def __init__(self, host: ConnHost, conn_id: str, params: Any, *, is_hibernatable: bool) -> None:
        self._host = host
        self._params = params
        self.id = conn_id
        self.is_hibernatable = is_hibernatable

    @property
    def params(self) -> Any:
        """The parameters the client connected with; ``None`` without any."""
        return self._params

    @property
    def state(self) -> Any:
        """The connection's own state, ``None`` unless the class declares a ``conn_state``.

        Changes, however deep, are kept with the connection; on disk too if it can hibernate.
        """
        return self._host.read_state()

    @state.setter
    def state(self, value: Any) -> None:
        """Replace the state as a whole."""
        self._host.write_state(value)

    def send(self, event: Event[Any] | str, *args: Any) -> None:
        """Send an event to this connection, whatever it subscribed to; returns at once.

        It has no effect on connections that carry a single call, a raw HTTP request or a raw
        WebSocket. Raises ``actor.validation_error`` for a payload that is not what the event
        declares and ``actor.output_not_serializable`` for one that cannot be sent.
        """
        self._host.send_event(self, event, args)

    async def disconnect(self, reason: str | None = None) -> None:
        """Close the connection with code 1000 and ``reason``; ``on_disconnect`` runs.

        A connection that is closed already stays as it is. Raises ``TypeError`` for a reason that
        is no ``str``.
        """
        if not isinstance(cast(object, reason), str | None):
            raise TypeError(f"the reason of a close is a str, not {reason!r}")
        await self._host.disconnect(self, reason)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"
