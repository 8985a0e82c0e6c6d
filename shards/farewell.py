"""Taking leave: nobody hands this worker anything any more when it begins to drain.

Rule 1. A link is sent Goodbye. Its other end sends it back at once, as the last of what it hands
        over, and again when it waits for no reply any more. Until then all is served as ever.
Rule 2. Gateways come first. Links from other workers follow when gateways were answered, because
        an actor that serves a gateway may have asked one elsewhere that asks one here.
Rule 3. Nobody can make it take longer than its time; an end that does not even send the first
        Goodbye back hangs, and is waited for no longer than ``PATIENCE_S``.

The links are looked at again and again rather than listened to: it happens once in the life of a
process, and a loop is easier to see through than what it would take to be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from typing import TYPE_CHECKING

from stator.runtime.control import Role
from stator.runtime.link.frames import Goodbye

if TYPE_CHECKING:
    from .gateway_link import GatewayLink

PATIENCE_S = 1.0
LOOK_INTERVAL_S = 0.005
_GATEWAY = Role.GATEWAY.name.lower()


class Farewell:
    """One leave-taking, of ``links`` as long as they are in that set, within ``seconds``."""

    def __init__(self, links: Set[GatewayLink], seconds: float) -> None:
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + seconds

    async def take(self, is_idle: Callable[[], bool]) -> None:
        """Part with everybody; return when no reply is owed and ``is_idle`` says so."""
        for link in list(self._links):
            if not link.role:
                link.channel.close()  # it said nothing yet: it connects again, to the successor
        await self._part([link for link in self._links if link.role == _GATEWAY])
        await self._part([link for link in self._links if link.role != _GATEWAY])
        await self._until(is_idle, self._deadline)

    async def _part(self, links: list[GatewayLink]) -> None:
        for link in links:
            link.send(Goodbye())
        patience = min(self._deadline, self._loop.time() + PATIENCE_S)
        await self._until(lambda: self._heard(links, 1), patience)
        alive = [link for link in links if link.goodbyes]
        await self._until(lambda: self._heard(alive, 2), self._deadline)

    def _heard(self, links: list[GatewayLink], goodbyes: int) -> bool:
        return all(link.goodbyes >= goodbyes for link in links if link in self._links)

    async def _until(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition() and self._loop.time() < deadline:  # noqa: ASYNC110 - said above
            await asyncio.sleep(LOOK_INTERVAL_S)
