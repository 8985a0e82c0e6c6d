"""Handles: how code calls actors, from outside over HTTP and from inside another actor.

A handle is an address, not a connection: making one costs nothing and asks nobody
(semantics page, section 4.4). What carries the calls is a :class:`Transport`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

import msgspec

from .actor import Actor
from .declarations import ACTION_NAMES
from .definition import wire_names_of
from .keys import Key, normalize_key
from .signature import convert_result, result_type_of

P = ParamSpec("P")
T = TypeVar("T")

KeyLike = str | Sequence[str] | None


class Address(msgspec.Struct, frozen=True):
    """Which actor a handle means."""

    name: str
    key: Key = ()
    actor_id: str | None = None
    """Set for handles pinned to one actor; ``key`` is empty then."""
    create: bool = False
    input: Any = None
    """What the actor is created with, if it is."""
    params: Any = None
    """Connection parameters, seen by the actor's connection hooks."""


class Transport(Protocol):
    """Carries calls to actors. Every method raises ``ActorError`` as the actor raised it."""

    async def call(self, address: Address, action: str, arguments: Sequence[Any]) -> Any:
        """Run an action and return its output."""
        ...

    async def create(self, address: Address) -> str:
        """Create the actor and return its id. Raises ``actor.duplicate_key``."""
        ...

    async def resolve(self, address: Address) -> str:
        """Return the actor's id, creating it if the address says so."""
        ...

    def gateway_url(self, address: Address) -> str:
        """Return the base URL of the actor."""
        ...


class ActionCaller:
    """An action of a handle, ready to be called; attributes go on to nested names."""

    __slots__ = ("_handle", "_name")

    def __init__(self, handle: ActorHandle, name: str) -> None:
        self._handle = handle
        self._name = name

    async def __call__(self, *arguments: Any) -> Any:
        """Call the action. Raises ``ActorError``."""
        return await self._handle.call(self._name, *arguments)

    def __getattr__(self, name: str) -> ActionCaller:
        _refuse_private(name)
        return ActionCaller(self._handle, f"{self._name}.{name}")


class ActorHandle:
    """One actor, addressed by key or id. Any attribute is an action."""

    def __init__(
        self, transport: Transport, address: Address, wire_names: dict[str, str] | None = None
    ) -> None:
        """``wire_names`` maps Python names of actions; without it attributes are wire names."""
        self._transport = transport
        self._address = address
        self._wire_names = wire_names

    @overload
    async def call(
        self,
        action: Callable[Concatenate[Any, P], Awaitable[T]],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T: ...
    @overload
    async def call(
        self, action: Callable[Concatenate[Any, P], T], *arguments: P.args, **keywords: P.kwargs
    ) -> T: ...
    @overload
    async def call(self, action: str, *arguments: Any) -> Any: ...
    async def call(self, action: Any, *arguments: Any, **keywords: Any) -> Any:
        """Call an action by its method (type-checked) or its wire name. Raises ``ActorError``.

        Called by its method, the output arrives as the type the method returns.
        """
        if keywords:
            raise TypeError("an action takes its arguments by position")
        if isinstance(action, str):
            return await self._transport.call(self._address, action, arguments)
        name = self._wire_name_of(action)
        output = await self._transport.call(self._address, name, arguments)
        return convert_result(output, result_type_of(action), name)

    async def resolve(self) -> str:
        """Return the actor's id. Raises ``actor.not_found``."""
        return await self._transport.resolve(self._address)

    def gateway_url(self) -> str:
        """Return the actor's base URL, for raw HTTP access."""
        return self._transport.gateway_url(self._address)

    def __getattr__(self, name: str) -> ActionCaller:
        _refuse_private(name)
        if self._wire_names is None:
            return ActionCaller(self, name)
        wire_name = self._wire_names.get(name)
        if wire_name is None:
            raise AttributeError(f"{self._address.name} has no action {name!r}")
        return ActionCaller(self, wire_name)

    def __repr__(self) -> str:
        address = self._address
        return f"<actor {address.name} {address.actor_id or list(address.key)}>"

    def _wire_name_of(self, method: Callable[..., Any]) -> str:
        names: tuple[str, str] | None = getattr(method, ACTION_NAMES, None)
        if names is None:
            raise TypeError(f"{method!r} is not an action")
        python, wire = names
        return (self._wire_names or {}).get(python, wire)


class ActorClient:
    """Makes handles. ``actor`` is a class of a registry or a name on the wire."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(
        self, actor: str | type[Actor], key: KeyLike = None, *, params: Any = None
    ) -> ActorHandle:
        """Return a handle on an actor that exists; calls raise ``actor.not_found`` otherwise."""
        return self._handle(actor, key=normalize_key(key), params=params)

    def get_or_create(
        self,
        actor: str | type[Actor],
        key: KeyLike = None,
        *,
        input: Any = None,  # noqa: A002 - the public name
        params: Any = None,
    ) -> ActorHandle:
        """Return a handle on an actor that is created, with ``input``, by its first call."""
        return self._handle(actor, key=normalize_key(key), create=True, input=input, params=params)

    def get_for_id(
        self, actor: str | type[Actor], actor_id: str, *, params: Any = None
    ) -> ActorHandle:
        """Return a handle pinned to one actor id."""
        return self._handle(actor, actor_id=actor_id, params=params)

    async def create(
        self,
        actor: str | type[Actor],
        key: KeyLike = None,
        *,
        input: Any = None,  # noqa: A002 - the public name
        params: Any = None,
    ) -> ActorHandle:
        """Create an actor and return a handle pinned to it. Raises ``actor.duplicate_key``."""
        address = Address(name=_name_of(actor), key=normalize_key(key), create=True, input=input)
        actor_id = await self._transport.create(address)
        return self._handle(actor, actor_id=actor_id, params=params)

    def _handle(self, actor: str | type[Actor], **parts: Any) -> ActorHandle:
        wire_names = None if isinstance(actor, str) else wire_names_of(actor)
        return ActorHandle(self._transport, Address(name=_name_of(actor), **parts), wire_names)


def _name_of(actor: str | type[Actor]) -> str:
    # Not inherited: a subclass that is in no registry must not pass for its parent.
    name = actor if isinstance(actor, str) else vars(actor).get("__stator_name__")
    if not name:
        raise LookupError(f"{actor!r} is in no registry: pass it to setup() first")
    return name


def _refuse_private(name: str) -> None:
    # So that copying, pickling and debuggers find no action where they look for a protocol.
    if name.startswith("_"):
        raise AttributeError(name)
