"""The client without ``await`` (python-api, section 11): the same calls, and they block.

Many threads may use one client; each waits for its own calls alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from stator.runtime.actor import Actor
from stator.runtime.handles import ActionCaller, ActorHandle, KeyLike

from .client import Client as AsyncClient
from .client import EncodingName
from .loop_thread import LoopThread

P = ParamSpec("P")
T = TypeVar("T")


class Action:
    """An action of a handle, ready to be called; attributes go on to nested names."""

    __slots__ = ("_caller", "_thread")

    def __init__(self, thread: LoopThread, caller: ActionCaller) -> None:
        self._thread = thread
        self._caller = caller

    def __call__(self, *arguments: Any) -> Any:
        """Call the action. Raises ``ActorError``."""
        return self._thread.run(self._caller(*arguments))

    def __getattr__(self, name: str) -> Action:
        return Action(self._thread, getattr(self._caller, _public(name)))


class Handle:
    """One actor, addressed by key or id. Any attribute is an action."""

    __slots__ = ("_handle", "_thread")

    def __init__(self, thread: LoopThread, handle: ActorHandle) -> None:
        self._thread = thread
        self._handle = handle

    @overload
    def call(
        self,
        action: Callable[Concatenate[Any, P], Awaitable[T]],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T: ...
    @overload
    def call(
        self, action: Callable[Concatenate[Any, P], T], *arguments: P.args, **keywords: P.kwargs
    ) -> T: ...
    @overload
    def call(self, action: str, *arguments: Any) -> Any: ...
    def call(self, action: Any, *arguments: Any, **keywords: Any) -> Any:
        """Call an action by its method (type-checked) or its wire name. Raises ``ActorError``."""
        return self._thread.run(self._handle.call(action, *arguments, **keywords))

    def resolve(self) -> str:
        """Return the actor's id. Raises ``actor.not_found``."""
        return self._thread.run(self._handle.resolve())

    def gateway_url(self) -> str:
        """Return the actor's base URL, for raw HTTP access."""
        return self._handle.gateway_url()

    def __getattr__(self, name: str) -> Action:
        return Action(self._thread, getattr(self._handle, _public(name)))

    def __repr__(self) -> str:
        return repr(self._handle)


class Client:
    """Calls the actors of a service; see :class:`stator.client.Client`."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        namespace: str | None = None,
        encoding: EncodingName = "cbor",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take what the asynchronous client takes. Raises ``ValueError``."""
        self._client = AsyncClient(
            endpoint, token=token, namespace=namespace, encoding=encoding, headers=headers
        )
        self._thread = LoopThread("stator client", self._client.close)

    def get(self, actor: str | type[Actor], key: KeyLike = None, *, params: Any = None) -> Handle:
        """Return a handle on an actor that exists; calls raise ``actor.not_found`` otherwise."""
        return Handle(self._thread, self._client.get(actor, key, params=params))

    def get_or_create(
        self,
        actor: str | type[Actor],
        key: KeyLike = None,
        *,
        input: Any = None,  # noqa: A002 - the public name
        params: Any = None,
    ) -> Handle:
        """Return a handle on an actor that is created, with ``input``, by its first call."""
        handle = self._client.get_or_create(actor, key, input=input, params=params)
        return Handle(self._thread, handle)

    def get_for_id(self, actor: str | type[Actor], actor_id: str, *, params: Any = None) -> Handle:
        """Return a handle pinned to one actor id."""
        return Handle(self._thread, self._client.get_for_id(actor, actor_id, params=params))

    def create(
        self,
        actor: str | type[Actor],
        key: KeyLike = None,
        *,
        input: Any = None,  # noqa: A002 - the public name
        params: Any = None,
    ) -> Handle:
        """Create an actor and return a handle pinned to it. Raises ``actor.duplicate_key``."""
        made = self._thread.run(self._client.create(actor, key, input=input, params=params))
        return Handle(self._thread, made)

    def close(self) -> None:
        """Close all connections and end the thread; calls of other threads fail, later ones
        raise ``RuntimeError``. May be called twice."""
        self._thread.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _public(name: str) -> str:
    # So that copying, pickling and debuggers find no action where they look for a protocol.
    if name.startswith("_"):
        raise AttributeError(name)
    return name
