"""``Workflow``, what the code of a workflow is given (python-api, section 8).

Everything here is awaited one after the other, and stored: after a restart the code runs again and
gets from history what it asked for before. So the code between is to be deterministic: what has an
effect, or looks at the world, belongs into a step.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Generator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, overload

import msgspec

from ..declarations import Queue
from ..keys import Key
from ..log import Logger
from ..workflow_errors import StepFailed
from . import gates, waits
from .blocks import ScopeBlock, TimeoutBlock
from .branches import Branch, Winner, first, gather, gather_items
from .entries import Kind
from .loops import Loop, Turn
from .options import GivenOptions, Seconds, make_options, seconds_of
from .receives import Message, receive
from .sagas import Saga
from .steps import perform_step, run_step
from .strand import Strand
from .txns import perform_txn
from .waits import Promise

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    State = TypeVarWithDefault("State", default=None)
else:
    State = TypeVar("State")

T = TypeVar("T")
Item = TypeVar("Item")
Body = TypeVar("Body")
Reply = TypeVar("Reply")


class Ok(msgspec.Struct, Generic[T], frozen=True):
    """A step that went well, as ``wf.attempt`` returns it."""

    value: T


class Failed(msgspec.Struct, frozen=True):
    """A step that failed for good, as ``wf.attempt`` returns it."""

    kind: str
    """``exhausted``, ``timeout``, ``fatal`` or ``undone``."""
    error: BaseException | None
    """What its last attempt raised."""
    attempts: int
    step: str
    """Its name."""


class Workflow:
    """The workflow, for its own code. Names are unique in their scope: they are what is stored."""

    __slots__ = ("_strand",)

    def __init__(self, strand: Strand) -> None:
        self._strand = strand

    # -- who it is of

    @property
    def actor_id(self) -> str:
        """The actor's id."""
        return self._strand.run.host.actor_id

    @property
    def workflow_id(self) -> str:
        """The same: an actor has one workflow."""
        return self.actor_id

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._strand.run.host.actor.name

    @property
    def key(self) -> Key:
        """The actor's key."""
        return self._strand.run.host.actor.key

    @property
    def log(self) -> Logger:
        """The actor's logger. What the code of the workflow logs is logged again by a replay."""
        return self._strand.run.host.log

    # -- steps

    @overload
    async def step(
        self,
        name: str,
        function: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        **options: Unpack[GivenOptions],
    ) -> T: ...
    @overload
    async def step(
        self, name: str, function: Callable[..., T], /, *args: Any, **options: Unpack[GivenOptions]
    ) -> T: ...
    async def step(
        self, name: str, function: Any, /, *args: Any, **options: Unpack[GivenOptions]
    ) -> Any:
        """Run a body with effects, once, and return its output; a replay gets that from history.

        ``function`` is any callable. It gets ``args``, after a :class:`.step.Step` if its first
        parameter is annotated as one. A plain ``def`` runs in a thread of its own, and goes on
        there when its time is over; an ``async def`` is cancelled. What the body did to the state
        is stored in one commit with its outcome; a failed attempt keeps what it did.

        Options: ``retries=3`` further attempts after a failure, with ``backoff=Backoff(first=0.2,
        factor=2, max=30, jitter=0)`` between them; ``timeout=30.0`` seconds for each, ``None`` for
        no limit; ``retry_timeouts=False``; ``retry_on=(Exception,)`` and ``fail_on=()`` say which
        errors are worth a retry; ``undo``, a function that gets the output (and the ``args``, if it
        takes more) and takes the effect back; ``key`` tells steps of one name apart;
        ``log_start=False`` leaves out the commit before an attempt, so that an attempt that ends
        the process is not counted; ``buffered=True`` also leaves the outcome to the next commit.

        Raises :class:`.StepFailed` once it has failed for good.
        """
        chosen = make_options(function, options)
        return await run_step(
            self._strand, name, function, args, chosen, kind=Kind.STEP, perform=perform_step
        )

    @overload
    async def call(self, function: Callable[..., Awaitable[T]], /, *args: Any) -> T: ...
    @overload
    async def call(self, function: Callable[..., T], /, *args: Any) -> T: ...
    async def call(self, function: Any, /, *args: Any) -> Any:
        """Run a function as the step of its own name, with the options that ``@step`` gave it."""
        return await self.step(getattr(function, "__name__", "step"), function, *args)

    @overload
    async def attempt(
        self,
        name: str,
        function: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        **options: Unpack[GivenOptions],
    ) -> Ok[T] | Failed: ...
    @overload
    async def attempt(
        self, name: str, function: Callable[..., T], /, *args: Any, **options: Unpack[GivenOptions]
    ) -> Ok[T] | Failed: ...
    async def attempt(
        self, name: str, function: Any, /, *args: Any, **options: Unpack[GivenOptions]
    ) -> Any:
        """Do what :meth:`step` does, and return how it went instead of raising."""
        try:
            return Ok(await self.step(name, function, *args, **options))
        except StepFailed as error:
            return Failed(error.kind, error.error, error.attempts, error.step)

    @overload
    async def txn(
        self,
        name: str,
        function: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        **options: Unpack[GivenOptions],
    ) -> T: ...
    @overload
    async def txn(
        self, name: str, function: Callable[..., T], /, *args: Any, **options: Unpack[GivenOptions]
    ) -> T: ...
    async def txn(
        self, name: str, function: Any, /, *args: Any, **options: Unpack[GivenOptions]
    ) -> Any:
        """Run a body whose SQL and changes of the state take effect exactly once, or not at all.

        ``self.db`` in the body is one transaction, which ``function`` also gets, before ``args``,
        if it takes one argument more. ``self.state`` is a copy until the transaction is committed;
        the body is run again if somebody else changed the state meanwhile. Other effects (messages,
        key-value pairs, calls) are as those of a step. Options as in :meth:`step`.
        """
        chosen = make_options(function, options)
        return await run_step(
            self._strand, name, function, args, chosen, kind=Kind.TXN, perform=perform_txn
        )

    # -- loops and blocks

    @overload
    def loop(self, name: str, state: None = None, keep: int = 20) -> Loop[Any]: ...
    @overload
    def loop(self, name: str, state: State, keep: int = 20) -> Loop[State]: ...
    def loop(self, name: str, state: Any = None, keep: int = 20) -> Loop[Any]:
        """Return a loop for ``async for turn in ...``, which goes on in its turn after a restart.

        ``turn.state`` begins with ``state`` and is carried from turn to turn; ``turn.index`` counts
        from 0; ``turn.stop(value)`` makes the turn the last one and ``value`` the loop's
        ``result``. Names are unique in each turn. The history keeps the last ``keep`` turns.
        """
        return Loop(self._strand, name, state, keep)

    async def run_loop(
        self,
        name: str,
        fn: Callable[[Workflow, Turn[Any]], Awaitable[Any]],
        state: Any = None,
        keep: int = 20,
    ) -> Any:
        """Run ``fn`` in each turn of a loop; return the loop's result."""
        loop = self.loop(name, state, keep)
        async for turn in loop:
            await fn(self, turn)
        return loop.result

    def scope(self, name: str) -> ScopeBlock:
        """Return an ``async with`` block with names of its own."""
        return ScopeBlock(self._strand, name)

    def saga(self, name: str) -> Saga:
        """Return an ``async with`` block whose steps are undone, in reverse order, if it fails."""
        return Saga(self, self._strand, name)

    def timeout(self, name: str, seconds: Seconds) -> TimeoutBlock:
        """Return an ``async with`` block that raises ``TimeoutError`` when its time is over."""
        return TimeoutBlock(self._strand, name, seconds_of(seconds) or 0.0)

    # -- waiting

    async def sleep(self, name: str, seconds: Seconds) -> None:
        """Wait for so long; the actor may sleep meanwhile. The first deadline counts."""
        due_ms = waits.due_after(self._strand, seconds_of(seconds) or 0.0)
        await waits.sleep_until(self._strand, name, due_ms)

    async def sleep_until(self, name: str, when: float | datetime) -> None:
        """Wait until an instant: Unix seconds or an aware ``datetime``."""
        await waits.sleep_until(self._strand, name, waits.instant_of(when))

    @overload
    async def receive(
        self,
        name: str,
        /,
        *,
        timeout: None = None,  # noqa: ASYNC109 - the contract's, and durable
        ack: bool = False,
    ) -> Message[Any, Any]: ...
    @overload
    async def receive(
        self,
        name: str,
        /,
        *,
        timeout: Seconds | None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> Message[Any, Any] | None: ...
    @overload
    async def receive(
        self,
        name: str,
        /,
        *queues: Queue[Body, Reply],
        timeout: None = None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> Message[Body, Reply]: ...
    @overload
    async def receive(
        self,
        name: str,
        /,
        *queues: Queue[Body, Reply],
        timeout: Seconds,  # noqa: ASYNC109
        ack: bool = False,
    ) -> Message[Body, Reply] | None: ...
    @overload
    async def receive(
        self,
        name: str,
        /,
        *queues: Queue[Any, Any] | str,
        timeout: None = None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> Message[Any, Any]: ...
    @overload
    async def receive(
        self,
        name: str,
        /,
        *queues: Queue[Any, Any] | str,
        timeout: Seconds | None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> Message[Any, Any] | None: ...
    async def receive(
        self,
        name: str,
        /,
        *queues: Queue[Any, Any] | str,
        timeout: Seconds | None = None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> Any:
        """Receive the next message of ``queues``, of all declared ones without any.

        ``None`` when ``timeout`` seconds pass without one. With ``ack`` the message is to be
        completed: by ``await message.complete(reply)`` or at the end of ``async with message``; it
        is there again if the block is left by an exception. Raises
        ``queue.previous_message_not_completed`` while an earlier one is open.
        """
        received = await receive(
            self._strand, name, queues, count=1, seconds=seconds_of(timeout), ack=ack
        )
        return received[0] if received else None

    @overload
    async def receive_many(
        self,
        name: str,
        /,
        *,
        max: int = 1,
        timeout: Seconds | None = None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> list[Message[Any, Any]]: ...
    @overload
    async def receive_many(
        self,
        name: str,
        /,
        *queues: Queue[Body, Reply],
        max: int = 1,
        timeout: Seconds | None = None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> list[Message[Body, Reply]]: ...
    @overload
    async def receive_many(
        self,
        name: str,
        /,
        *queues: Queue[Any, Any] | str,
        max: int = 1,
        timeout: Seconds | None = None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> list[Message[Any, Any]]: ...
    async def receive_many(
        self,
        name: str,
        /,
        *queues: Queue[Any, Any] | str,
        max: int = 1,  # noqa: A002
        timeout: Seconds | None = None,  # noqa: ASYNC109
        ack: bool = False,
    ) -> list[Message[Any, Any]]:
        """Receive up to ``max`` messages, as soon as there is one; none after ``timeout``."""
        if max < 1:
            raise ValueError(f"max is 1 or more, not {max!r}")
        return await receive(
            self._strand, name, queues, count=max, seconds=seconds_of(timeout), ack=ack
        )

    def promise(self, name: str) -> Promise:
        """Return a promise that somebody outside resolves; await it for its value."""
        return Promise(self._strand, name)

    # -- branches

    @overload
    async def gather(self, name: str, /, **branches: Branch) -> dict[str, Any]: ...
    @overload
    async def gather(
        self, name: str, /, *, return_errors: bool, **branches: Branch
    ) -> dict[str, Any]: ...
    async def gather(
        self, name: str, /, *, return_errors: Any = False, **branches: Any
    ) -> dict[str, Any]:
        """Run branches at the same time; return what each returned, by its name.

        A branch is a function of a ``Workflow`` of its own. Raises :class:`.GatherFailed` when all
        have ended and one failed; with ``return_errors`` errors are among the results instead.
        """
        return await gather(self._strand, name, branches, return_errors=return_errors)

    async def map(
        self,
        name: str,
        items: Sequence[Item],
        fn: Callable[[Workflow, Item], Awaitable[T]],
        key: Callable[[Item], Any] | None = None,
        concurrency: int | None = None,
        *,
        return_errors: bool = False,
    ) -> list[T]:
        """Run ``fn`` for each item, at most ``concurrency`` at a time; return the results.

        Branches are called after the place of their item, or what ``key`` makes of it. Raises as
        :meth:`gather` does.
        """
        return await gather_items(
            self._strand, name, list(items), fn, key, concurrency, return_errors
        )

    async def first(self, name: str, /, **branches: Branch) -> Winner[Any]:
        """Run branches at the same time; return the name and the value of the first to go well.

        The others are cancelled at once. Raises :class:`.FirstFailed` if none goes well.
        """
        return await first(self._strand, name, branches)

    def after(self, seconds: Seconds) -> Branch:
        """Return a branch for :meth:`first` that ends after so long, with ``None``."""

        async def wait(workflow: Workflow) -> None:
            await workflow.sleep("after", seconds)

        return wait

    # -- changed code

    async def version(self, name: str, latest: int) -> int:
        """Return ``latest``, or 1 where the scope had begun before this gate was there."""
        return gates.resolve_version(self._strand, name, latest)

    async def patched(self, name: str) -> bool:
        """Whether the code after a change is to be run: a :meth:`version` with two versions."""
        return gates.resolve_version(self._strand, name, 2) == 2

    def removed(self, name: str, kind: Kind | str = Kind.STEP) -> Done:
        """Say that the code once asked for an entry here; may be awaited."""
        gates.skip_removed(self._strand, name, str(kind))
        return Done()

    # -- determinism

    def now(self) -> float:
        """Return the time, in Unix seconds: when the last thing asked for had ended."""
        return self._strand.now_ms / 1000

    @property
    def random(self) -> random.Random:
        """Random numbers that are the same in every replay; each scope has its own."""
        return self._strand.random()

    def uuid(self) -> uuid.UUID:
        """Return an id that is the same in every replay."""
        return self._strand.uuid()


class Done:
    """Something that may be awaited and is done already."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield
