"""Opening WebSockets: 101 first, everything else after it (client-protocol, 7.1 and 9.6).

A client is told what is wrong by a close frame with a reason it can parse; the official ones
learn nothing from an HTTP status.
"""

from __future__ import annotations

import uuid

from aiohttp import web

from stator.runtime.config import Config
from stator.runtime.error_views import public_view
from stator.runtime.errors import (
    ActorError,
    MalformedParams,
    MissingHeader,
    NoRoute,
    UnsupportedEncoding,
    WebSocketNotSupported,
)
from stator.runtime.link.frames import ConnectionKind, OpenConnection
from stator.runtime.log import Logger
from stator.runtime.protocol.encoding import Encoding

from .actor_requests import ActorRequests, address_of
from .auth import token_of
from .connections import CLOSE_ERROR, ClientConnection, Phase
from .detaching import hand_over
from .handshake import Offer, check_upgrade, handshake_answer, parse_offer
from .open_sockets import OpenSockets
from .params import check_params
from .request_heads import make_head
from .routes import ActorRoute, Route, resolution_of
from .switchboard import Switchboard
from .web_socket import SocketLimits, WebSocket
from .web_socket_frames import Closing

UNSUPPORTED_DATA = 1003

_ENCODINGS = {
    None: Encoding.JSON,
    "json": Encoding.JSON,
    "cbor": Encoding.CBOR,
    "bare": Encoding.BARE,
}


class Upgrades:
    """Turns requests into connections."""

    def __init__(
        self,
        config: Config,
        actors: ActorRequests,
        switchboard: Switchboard,
        sockets: OpenSockets,
        log: Logger,
    ) -> None:
        limits = config.limits
        self._actors = actors
        self._switchboard = switchboard
        self._sockets = sockets
        self._log = log
        self._max_params_size = limits.max_params_size
        too_long = Closing(CLOSE_ERROR, "message.incoming_too_long")
        self._limits = {
            ConnectionKind.ACTOR: SocketLimits(limits.max_incoming_message_size, too_long),
            ConnectionKind.RAW: SocketLimits(limits.max_websocket_message_size, too_long),
        }

    async def serve(
        self, request: web.BaseRequest, route: Route | ActorError, ray_id: str, head_lines: str
    ) -> web.StreamResponse:
        """Answer 101, then open the connection or close it with what is wrong.

        ``route`` may be what was wrong with the path. Raises only what makes it no upgrade.
        """
        key = check_upgrade(request.method, request.headers)
        offer = parse_offer(request.headers)
        if not isinstance(route, ActorError):
            route = _actor_route(route, offer)
        is_actor = isinstance(route, ActorRoute) and route.inner == "/connect"
        kind = ConnectionKind.ACTOR if is_actor else ConnectionKind.RAW
        connection = ClientConnection(self._switchboard, kind, str(uuid.uuid4()), ray_id)
        connection.socket = WebSocket(connection, self._limits[kind], self._sockets)
        address = address_of(request)
        response = hand_over(request, handshake_answer(offer, key, head_lines), connection.socket)
        try:
            if isinstance(route, ActorError):
                raise route
            await self._open(request, route, offer, connection, address)
        except UnsupportedEncoding as error:
            connection.end(UNSUPPORTED_DATA, f"{error.group}.{error.code}")
        except ActorError as error:
            connection.refuse(error)
        except Exception as error:
            self._log.error("connection failed", ray_id=ray_id, exc_info=error)
            view = public_view(error)
            connection.end(CLOSE_ERROR, f"{view.group}.{view.code}#{ray_id}")
        return response

    async def _open(
        self,
        request: web.BaseRequest,
        route: ActorRoute,
        offer: Offer,
        connection: ClientConnection,
        address: str,
    ) -> None:
        if not offer.has_any:
            raise MissingHeader(metadata={"header": "sec-websocket-protocol"})
        self._actors.check_token(route.token or offer.token or token_of(request.headers))
        encoding = self._encoding(offer, connection.kind)
        params = self._params(offer)
        key, shard = await self._actors.place(request, route)
        if connection.phase is Phase.OVER:
            return  # its client left meanwhile: nobody would say that it no longer counts
        self._actors.admit_connection(address, route, connection)
        opening = OpenConnection(
            connection.number,
            shard,
            resolution_of(route),
            route.namespace,
            route.name,
            key,
            connection.conn_id,
            connection.kind,
            encoding,
            connection.ray_id,
            make_head(request, route),
            route.input,
        )
        connection.open(self._actors.link_to(shard), opening, params)

    def _encoding(self, offer: Offer, kind: ConnectionKind) -> Encoding:
        if kind is ConnectionKind.RAW:
            return Encoding.BARE
        encoding = _ENCODINGS.get(offer.encoding)
        if encoding is None:
            raise UnsupportedEncoding
        return encoding

    def _params(self, offer: Offer) -> bytes:
        if offer.params_malformed:
            raise MalformedParams
        if not offer.params:
            return b""
        check_params(offer.params, self._max_params_size)
        return offer.params


def _actor_route(route: Route, offer: Offer) -> ActorRoute | ActorError:
    """Return the actor's route, which may stand in subprotocols (client-protocol, 3.4)."""
    if isinstance(route, ActorRoute):
        return route
    if offer.target is None:
        return WebSocketNotSupported()
    if offer.target != "actor":
        return NoRoute()
    if not offer.actor_id:
        return MissingHeader(metadata={"header": "rivet_actor"})
    return ActorRoute(route.path, route.query, actor_id=offer.actor_id)
