"""The client without ``await`` (python-api, section 11): the same calls, and they block.

Many threads may use one client; each waits for its own calls alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast, overload

from stator.runtime.actor import Actor
from stator.runtime.declarations import Queue
from stator.runtime.handles import KeyLike
from stator.runtime.publication import QueueOutcome, Seconds

from .client import Client as AsyncClient
from .client import EncodingName
from .fetches import Headers
from .handle import Handle as AsyncHandle
from .loop_thread import LoopThread
from .sync_connection import Action, Connection, Events, public_name
from .sync_raw import FetchAnswer, RawSocket
from .sync_workflow import WorkflowHandle

__all__ = [
    "Action",
    "Client",
    "Connection",
    "Events",
    "FetchAnswer",
    "Handle",
    "RawSocket",
    "WorkflowHandle",
]

P = ParamSpec("P")
T = TypeVar("T")
Body = TypeVar("Body")
Reply = TypeVar("Reply")


class Handle:
    """One actor, addressed by key or id. Any attribute is an action."""

    __slots__ = ("_handle", "_thread")

    def __init__(self, thread: LoopThread, handle: AsyncHandle) -> None:
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

    @overload
    def enqueue(
        self,
        queue: Queue[Body, Reply],
        body: Body,
        *,
        wait: Literal[True],
        timeout: Seconds | None = None,
    ) -> QueueOutcome[Reply]: ...
    @overload
    def enqueue(
        self, queue: str, body: Any, *, wait: Literal[True], timeout: Seconds | None = None
    ) -> QueueOutcome[Any]: ...
    @overload
    def enqueue(
        self, queue: Queue[Body, Any], body: Body, *, wait: Literal[False] = False
    ) -> None: ...
    @overload
    def enqueue(self, queue: str, body: Any, *, wait: Literal[False] = False) -> None: ...
    def enqueue(
        self, queue: Any, body: Any, *, wait: bool = False, timeout: Seconds | None = None
    ) -> QueueOutcome[Any] | None:
        """Put a message into a queue of the actor; see the asynchronous handle.

        ``timeout`` is in seconds. Raises ``ActorError``.
        """
        sending: Any = self._handle.enqueue
        return cast(
            QueueOutcome[Any] | None,
            self._thread.run(sending(queue, body, wait=wait, timeout=timeout)),
        )

    @property
    def workflow(self) -> WorkflowHandle:
        """The actor's workflow: its status, history and output, and how to control it."""
        return WorkflowHandle(self._thread, self._handle.workflow)

    def resolve(self) -> str:
        """Return the actor's id. Raises ``actor.not_found``."""
        return self._thread.run(self._handle.resolve())

    def gateway_url(self) -> str:
        """Return the actor's base URL, for raw HTTP access."""
        return self._handle.gateway_url()

    def connect(self, params: Any = None) -> Connection:
        """Begin to connect to the actor; to be closed, best by ``with``.

        ``params`` may be a function; it is called on the client's thread for each attempt.
        """
        return Connection(self._thread, self._thread.do(lambda: self._handle.connect(params)))

    def fetch(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Headers | None = None,
        body: bytes | str | None = None,
        params: Any = None,
    ) -> FetchAnswer:
        """Send a request to the actor's ``on_request`` and read the whole answer.

        Raises ``rivetkit.internal_error`` if there is none.
        """
        return self._thread.run(
            FetchAnswer.of(
                self._handle.fetch(path, method=method, headers=headers, body=body, params=params)
            )
        )

    def websocket(self, path: str = "/", *, params: Any = None) -> RawSocket:
        """Open a WebSocket to the actor's ``on_websocket``."""
        socket = self._thread.run(self._handle.websocket(path, params=params))
        return RawSocket(self._thread, socket)

    def __getattr__(self, name: str) -> Action:
        return Action(self._thread, getattr(self._handle, public_name(name)))

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
