"""An ASGI application as the ``on_request`` of an actor (python-api, section 4).

How one request goes through an application is :mod:`.asgi_exchange`, how an application starts
is :mod:`.asgi_lifespan`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from .asgi_exchange import Exchange
from .asgi_lifespan import Application, Lifespan, Message
from .percent_encoding import percent_decode
from .raw_http import Request, Response

if TYPE_CHECKING:
    from .actor import Actor
    from .log import Logger

_PORTS = {"http": 80, "https": 443}


class AsgiApp:
    """Serve the requests of an actor by an ASGI 3 application: ``on_request = AsgiApp(app)``.

    The application finds the actor in ``scope["state"]["actor"]``. One application serves all
    actors of the class in a worker; its lifespan starts with the first request and has no
    shutdown. A response is streamed as the application sends it, with back-pressure. As an
    attribute of a class it behaves like a method: ``await self.on_request(request)`` works.
    """

    def __init__(self, app: Application) -> None:
        if not callable(app):
            raise TypeError(f"an ASGI application is a callable, not {app!r}")
        self.app = app
        """The application."""
        self._lifespans: dict[asyncio.AbstractEventLoop, Lifespan] = {}

    @overload
    def __get__(self, actor: None, owner: type[Any]) -> AsgiApp: ...
    @overload
    def __get__(
        self, actor: Actor, owner: type[Any]
    ) -> Callable[[Request], Awaitable[Response]]: ...
    def __get__(self, actor: Actor | None, owner: type[Any]) -> Any:
        return self if actor is None else partial(self, actor)

    async def __call__(self, actor: Actor, request: Request) -> Response:
        """Return the response when the application started it.

        Raises what the application raises before that, and ``RuntimeError`` when it ends without
        a response or cannot start. What it raises later is raised by the body of the response.
        """
        lifespan = await self._start(actor.log)
        scope = make_scope(request, {**lifespan.state, "actor": actor})
        return await Exchange(self.app, scope, request, actor).respond()

    async def _start(self, log: Logger) -> Lifespan:
        loop = asyncio.get_running_loop()
        lifespan = self._lifespans.get(loop)
        if lifespan is None or lifespan.has_failed:
            self._lifespans = {
                known: other for known, other in self._lifespans.items() if not known.is_closed()
            }
            lifespan = self._lifespans[loop] = Lifespan(self.app, log)
        await lifespan.started()
        return lifespan


def make_scope(request: Request, state: dict[str, Any]) -> Message:
    """Return the ASGI scope of a request; ``state`` is what the application may read and write.

    The application sees the path after ``/request`` and no prefix (``root_path`` is empty). Which
    client it was is not known here: ``client`` is ``None``.
    """
    scheme, _, rest = request.url.partition("://")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": scheme,
        "path": percent_decode(request.path),
        "raw_path": request.path.encode("utf-8", "surrogateescape"),
        "query_string": request.raw_query.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": None,
        "server": _split_authority(rest.partition("/")[0], _PORTS.get(scheme)),
        "state": state,
        "extensions": {},
    }


def _split_authority(authority: str, default_port: int | None) -> tuple[str, int | None]:
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = authority.removesuffix(":"), ""
    return host.removeprefix("[").removesuffix("]"), int(port) if port else default_port
