"""The routes of the control API a client needs: create, get-or-create, find (section 2)."""

from __future__ import annotations

from base64 import b64encode
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from stator.runtime.errors import ActorError, ActorNotFound, InternalError
from stator.runtime.handles import Address
from stator.runtime.keys import serialize_key
from stator.runtime.protocol.encoding import Encoding

from .addressing import CRASH_POLICY, POOL, input_of
from .endpoint import Endpoint
from .exchange import Exchange
from .service_lookup import bearer

T = TypeVar("T")


class Creation(msgspec.Struct, omit_defaults=True):
    """The body of ``PUT`` and ``POST /actors`` (2.2)."""

    name: str
    key: str
    runner_name_selector: str
    crash_policy: str
    input: str | None = None


class ActorFound(msgspec.Struct):
    """The one member of an actor object that is read."""

    actor_id: str


class CreationAnswer(msgspec.Struct):
    """What a creation answers."""

    actor: ActorFound


class ListAnswer(msgspec.Struct):
    """What a look-up answers."""

    actors: list[ActorFound]


class ControlApi:
    """Creates and finds actors; every method returns an actor id."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def create(self, endpoint: Endpoint, address: Address) -> str:
        """Create the actor. Raises ``actor.duplicate_key``."""
        return (await self._make("POST", endpoint, address)).actor.actor_id

    async def get_or_create(self, endpoint: Endpoint, address: Address) -> str:
        """Return the actor's id, creating it if there is none."""
        try:
            return (await self._make("PUT", endpoint, address)).actor.actor_id
        except ActorError as error:
            if (error.group, error.code) != ("actor", "key_reserved_in_different_datacenter"):
                raise
        return await self.find(endpoint, address)

    async def find(self, endpoint: Endpoint, address: Address) -> str:
        """Return the actor's id. Raises ``actor.not_found``."""
        wanted = {"name": address.name, "key": serialize_key(address.key)}
        answer = await self._ask("GET", endpoint, ListAnswer, query=wanted)
        if not answer.actors:
            raise ActorNotFound
        return answer.actors[0].actor_id

    async def _make(self, method: str, endpoint: Endpoint, address: Address) -> CreationAnswer:
        given = input_of(address)
        body = Creation(
            address.name,
            serialize_key(address.key),
            POOL,
            CRASH_POLICY,
            None if given is None else b64encode(given).decode(),
        )
        return await self._ask(method, endpoint, CreationAnswer, body=msgspec.json.encode(body))

    async def _ask(
        self,
        method: str,
        endpoint: Endpoint,
        kind: type[T],
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> T:
        parameters = urlencode({**(query or {}), "namespace": endpoint.namespace})
        headers = bearer(endpoint.token)
        if body is not None:
            headers["content-type"] = "application/json"
        url = f"{endpoint.url}/actors?{parameters}"
        answer = await self._exchange.send(method, url, headers, body)
        if not answer.is_success:
            raise answer.error(Encoding.JSON)
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InternalError(f"Failed to parse response: {error}") from error
