"""Handles: how code calls actors, from outside over HTTP and from inside another actor.

A handle is an address, not a connection: making one costs nothing and asks nobody
(semantics page, section 4.4). What carries the calls is a :class:`Transport`.
"""

# ruff: noqa: ASYNC109 - the timeout of a message is the contract's, and counts where the queue is

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

import msgspec

from .actor import Actor
from .declarations import ACTION_NAMES, Event, Queue
from .definition import wire_names_of
from .keys import Key, normalize_key
from .protocol.queue import QueueSendRequest, QueueSendResponse
from .publication import QueueOutcome, Seconds, make_message, outcome_of
from .signature import convert_result, result_type_of

if TYPE_CHECKING:
    from .workflow_control import Verb, VerbArguments
    from .workflow_handle import WorkflowHandle

P = ParamSpec("P")
T = TypeVar("T")
Body = TypeVar("Body")
Reply = TypeVar("Reply")

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

    async def publish(
        self, address: Address, queue: str, message: QueueSendRequest
    ) -> QueueSendResponse:
        """Put a message into a queue; return once it is durable or, if it waits, completed."""
        ...

    async def create(self, address: Address) -> str:
        """Create the actor and return its id. Raises ``actor.duplicate_key``."""
        ...

    async def resolve(self, address: Address) -> str:
        """Return the actor's id, creating it if the address says so."""
        ...

    async def control_workflow(
        self, address: Address, verb: Verb, arguments: VerbArguments
    ) -> bytes:
        """Bring a verb to the actor's workflow; return the record of the answer, as msgpack."""
        ...

    def gateway_url(self, address: Address) -> str:
        """Return the base URL of the actor."""
        ...


class _Control:
    """Brings verbs to the workflow of one actor; implements ``workflow_handle.Asker``."""

    __slots__ = ("_address", "_transport")

    def __init__(self, transport: Transport, address: Address) -> None:
        self._transport = transport
        self._address = address

    async def ask(self, verb: Verb, arguments: VerbArguments) -> bytes:
        return await self._transport.control_workflow(self._address, verb, arguments)


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
        self, transport: Transport, address: Address, actor: type[Actor] | None = None
    ) -> None:
        """With the class ``actor`` attributes are Python names, else wire names."""
        self._transport = transport
        self._address = address
        self._actor = actor
        self._wire_names = None if actor is None else wire_names_of(actor)
        self._turn: asyncio.Lock | None = None
        """Held by the message that is on its way to a queue."""

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

    @overload
    async def enqueue(
        self,
        queue: Queue[Body, Reply],
        body: Body,
        *,
        wait: Literal[True],
        timeout: Seconds | None = None,
    ) -> QueueOutcome[Reply]: ...
    @overload
    async def enqueue(
        self, queue: str, body: Any, *, wait: Literal[True], timeout: Seconds | None = None
    ) -> QueueOutcome[Any]: ...
    @overload
    async def enqueue(
        self, queue: Queue[Body, Any], body: Body, *, wait: Literal[False] = False
    ) -> None: ...
    @overload
    async def enqueue(self, queue: str, body: Any, *, wait: Literal[False] = False) -> None: ...
    async def enqueue(
        self, queue: Any, body: Any, *, wait: bool = False, timeout: Seconds | None = None
    ) -> QueueOutcome[Any] | None:
        """Put a message into a queue of the actor; return once it is durable.

        With ``wait`` return what became of it when it is completed, or when ``timeout`` seconds
        have passed. ``queue`` is a declaration (type-checked) or a wire name. The messages of one
        handle are sent one after the other, so they arrive in order. Raises ``ActorError``.
        """
        message = make_message(body, wait=wait, timeout=timeout)
        name = wire_name_of(queue, self._actor)
        self._turn = self._turn or asyncio.Lock()
        async with self._turn:
            answer = await self._transport.publish(self._address, name, message)
        return outcome_of(answer, queue) if wait else None

    @property
    def workflow(self) -> WorkflowHandle:
        """The actor's workflow: its status, history and output, and how to control it.

        An action that is called so as well is ``call("workflow")``.
        """
        from .workflow_handle import WorkflowHandle  # a worker starts without it

        return WorkflowHandle(_Control(self._transport, self._address))

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


def address_of(handle: ActorHandle) -> Address:
    """Return which actor a handle means; a function, as its attributes are actions."""
    return handle._address  # pyright: ignore[reportPrivateUsage]


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
        address = Address(name=_name_of(actor), **parts)
        return ActorHandle(self._transport, address, None if isinstance(actor, str) else actor)


def wire_name_of(declaration: Event[Any] | Queue[Any, Any] | str, actor: type[Actor] | None) -> str:
    """Return the wire name of an event or queue of ``actor``; a string is one already.

    Raises ``LookupError`` for a declaration that is in no class.
    """
    if isinstance(declaration, str):
        return declaration
    # A subclass with other names for what it inherits has declarations of its own.
    own = getattr(actor, declaration.python_name, declaration) if actor else declaration
    name = own.wire_name if isinstance(own, type(declaration)) else declaration.wire_name
    if not name:
        raise LookupError(f"{declaration!r} is not declared in a class")
    return str(name)


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
