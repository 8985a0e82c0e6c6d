"""Which namespaces exist, as the gateway knows: asks the shard that keeps them only once each."""

from __future__ import annotations

from functools import partial

import msgspec

from stator.runtime.config import NamespaceName
from stator.runtime.config import Namespaces as NamespacesConfig
from stator.runtime.errors import NamespaceInvalid
from stator.runtime.link.frames import ListNamespaces, NamespaceRecord, ResolveNamespace

from .backends import Backends

HOME_SHARD = 0
"""The shard whose file keeps the namespaces of the service."""


class KnownNamespaces:
    """Resolves namespace names."""

    def __init__(self, config: NamespacesConfig, backends: Backends) -> None:
        self._known = set(config.names)
        self._create_on_use = config.create_on_use
        self._backends = backends

    async def require(self, name: str) -> None:
        """Return if the namespace exists, creating it where that is configured.

        Raises ``namespace.not_found`` or ``namespace.invalid_name``.
        """
        if name not in self._known:
            await self.resolve(name, create=self._create_on_use)

    async def resolve(self, name: str, *, create: bool) -> NamespaceRecord:
        """Return a namespace. Raises like :meth:`require`."""
        try:
            msgspec.convert(name, NamespaceName)
        except msgspec.ValidationError as error:
            raise NamespaceInvalid from error
        payload = await self._backends.ask(
            HOME_SHARD,
            lambda request_id: ResolveNamespace(request_id, HOME_SHARD, name, create),
        )
        self._known.add(name)
        return msgspec.msgpack.decode(payload, type=NamespaceRecord)

    async def all(self) -> list[NamespaceRecord]:
        """Return all namespaces."""
        payload = await self._backends.ask(HOME_SHARD, partial(ListNamespaces, shard=HOME_SHARD))
        return msgspec.msgpack.decode(payload, type=list[NamespaceRecord])
