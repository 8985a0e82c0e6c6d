"""What the body of a step is given: ``Step`` (workflow page, sections 2.2 and 16.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..actor import Actor
from ..workflow_errors import OutsideStep
from .loop_calls import call_on_loop
from .values import decode_value, encode_arguments

if TYPE_CHECKING:
    from ..conn import Conn
    from ..database import ActorDatabase, Transaction
    from ..declarations import Event, Queue
    from ..handles import ActorClient
    from ..log import Logger
    from ..pairs import KeyValueStore
    from .host import Draft


class StepScope:
    """On whose behalf the body of one attempt runs; ``guard.py`` asks it (``CALLER``)."""

    conn = None
    request = None

    def __init__(self, actor: Actor, draft: Draft | None = None) -> None:
        """``draft`` is the state of a ``txn``."""
        self.actor = actor
        self.draft = draft
        self.is_open = True
        """Whether the workflow still wants what the body does."""
        self._loop = asyncio.get_running_loop()

    @property
    def workflow_scope(self) -> Any:
        """Itself: it is its own scope."""
        return self

    def on_loop(self, call: Callable[[], Any]) -> Any:
        """Return what ``call`` returns on the loop, also from the thread of a plain body."""
        return call_on_loop(self._loop, call, lambda: self.is_open)


class Step:
    """One attempt of a step, for its body.

    A body gets it if its first parameter is annotated as ``Step``. What it offers of the actor is
    what ``self`` offers there; once the attempt is over it raises ``workflow.outside_step``.
    """

    def __init__(
        self,
        scope: StepScope,
        *,
        name: str,
        attempt: int,
        idempotency_key: str,
        log: Logger,
        progress: bytes | None,
        on_heartbeat: Callable[[bytes | None], None],
        transaction: Transaction | None = None,
    ) -> None:
        self._scope = scope
        self._progress = progress
        self._on_heartbeat = on_heartbeat
        self._loop = asyncio.get_running_loop()
        self._transaction = transaction
        self.name = name
        """Of the step."""
        self.attempt = attempt
        """1, and one more with each attempt, also after a crash."""
        self.idempotency_key = idempotency_key
        """The same in all attempts of this step, and of no other: for services that ask for one."""
        self.log = log
        """The actor's logger."""
        self.cancelled = asyncio.Event()
        """Set when the attempt is given up; ``cancelled.is_set()`` works in threads."""

    @property
    def progress(self) -> Any:
        """What an attempt before said last by :meth:`heartbeat`; ``None`` without."""
        return None if self._progress is None else decode_value(self._progress, loose=True)

    def heartbeat(self, info: Any = None) -> None:
        """Say that the body is alive and how far it is: its time limit begins anew.

        ``info`` is stored with the next commit, shown in the history, and is the
        :attr:`progress` of a later attempt. May be called in a thread.
        """
        image = encode_arguments(info)
        self._check("heartbeat")
        self._loop.call_soon_threadsafe(self._beat, image)

    def _beat(self, image: bytes | None) -> None:
        if self._scope.is_open:
            self._progress = image
            self._on_heartbeat(image)

    # -- the actor, while the attempt goes on

    @property
    def actor(self) -> Actor:
        """The actor."""
        return self._check("actor")

    @property
    def state(self) -> Any:
        """``self.state``; within a ``txn`` that of the transaction."""
        actor = self._check("state")
        return actor.state if self._scope.draft is None else self._scope.draft.value

    @state.setter
    def state(self, value: Any) -> None:
        """Replace the state whole."""
        actor = self._check("state")
        if self._scope.draft is None:
            actor.state = value
        else:
            self._scope.draft.value = value

    @property
    def vars(self) -> Any:
        """``self.vars``."""
        return self._check("vars").vars

    @property
    def db(self) -> ActorDatabase | Transaction:
        """``self.db``; within a ``txn`` its transaction."""
        actor: Any = self._check("db")
        return actor.db if self._transaction is None else self._transaction

    @property
    def kv(self) -> KeyValueStore:
        """``self.kv``."""
        return self._check("kv").kv

    @property
    def conns(self) -> Mapping[str, Conn]:
        """``self.conns``."""
        return self._check("conns").conns

    @property
    def client(self) -> ActorClient:
        """``self.client``."""
        return self._check("client").client

    def broadcast(self, event: Event[Any] | str, *args: Any) -> None:
        """``self.broadcast``."""
        self._check("broadcast").broadcast(event, *args)

    async def send(self, queue: Queue[Any, Any] | str, body: Any) -> int:
        """``self.queue.send``."""
        return await self._check("send").queue.send(queue, body)

    def keep_awake(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
        """``self.keep_awake``."""
        return self._check("keep_awake").keep_awake(awaitable)

    def destroy(self) -> None:
        """``self.destroy``."""
        self._check("destroy").destroy()

    def _check(self, feature: str) -> Actor:
        if not self._scope.is_open:
            raise OutsideStep(
                f"{feature} of step '{self.name}' was used when its attempt was over: a step's "
                "body does all it has to do before it ends"
            )
        return self._scope.actor
