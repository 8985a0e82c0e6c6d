"""Where the actors of a service are: what a request needs to know before it can be sent.

Rule 1. An actor that a query cannot name (:func:`.addressing.by_query`) is resolved through the
        control API before each request, so that a handle never sticks to an actor that is gone.
"""

from __future__ import annotations

from stator.runtime.handles import Address

from .addressing import Place, by_id, by_query
from .control_api import ControlApi
from .endpoint import Endpoint
from .exchange import Exchange
from .service_lookup import Pause, Service, ServiceLookup


class Directory:
    """Finds the service, asking it once, and the actors in it."""

    def __init__(self, exchange: Exchange, endpoint: Endpoint, pause: Pause) -> None:
        self._control = ControlApi(exchange)
        self._lookup = ServiceLookup(exchange, endpoint, pause)
        self.is_stator = False
        """Whether the service said so; ``False`` before it was asked."""

    async def service(self) -> Service:
        """Return the service. Raises ``rivetkit.internal_error`` if it does not answer."""
        service = await self._lookup.service()
        self.is_stator = service.is_stator
        return service

    async def place(self, service: Service, address: Address) -> Place:
        """Return how a URL names the actor (rule 1)."""
        place = _place_without_asking(service.endpoint, address)
        return place or by_id(await self.resolve(address))

    async def create(self, address: Address) -> str:
        """Create the actor and return its id. Raises ``actor.duplicate_key``."""
        service = await self.service()
        return await self._control.create(service.endpoint, address)

    async def resolve(self, address: Address) -> str:
        """Return the actor's id, creating it if the address says so.

        The id of a pinned handle is returned without asking. Raises ``actor.not_found``.
        """
        if address.actor_id is not None:
            return address.actor_id
        service = await self.service()
        if address.create:
            return await self._control.get_or_create(service.endpoint, address)
        return await self._control.find(service.endpoint, address)

    def gateway_url(self, address: Address) -> str:
        """Return the base URL of the actor: of the configured endpoint, before the first call.

        Raises ``ValueError`` for an actor that only its id can name.
        """
        endpoint = self._lookup.endpoint
        place = _place_without_asking(endpoint, address)
        if place is None:
            raise ValueError(
                "no URL can carry this key or input: use get_for_id(actor, await handle.resolve())"
            )
        return endpoint.url + place.path("")

    async def close(self) -> None:
        """End a look-up under way; its callers raise ``RuntimeError``."""
        await self._lookup.close()


def _place_without_asking(endpoint: Endpoint, address: Address) -> Place | None:
    if address.actor_id is not None:
        return by_id(address.actor_id)
    return by_query(endpoint.namespace, address)
