"""One attempt of a body: called with what it takes, within its time, given up when it must be."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, get_type_hints

from ..clock import Timer
from . import keys
from .callables import CodeCache, runs_on_loop, takes
from .entries import Entry
from .step import Step, StepScope

if TYPE_CHECKING:
    from ..database import Transaction
    from .host import Body, Draft, StepTransaction
    from .strand import Strand


class AttemptTimedOut(TimeoutError):
    """The body did not end within the time limit of the step."""


class Attempt:
    """One attempt of a step or of an undo handler."""

    def __init__(
        self,
        strand: Strand,
        entry: Entry,
        *,
        number: int,
        seconds: float | None,
        draft: Draft | None = None,
        transaction: StepTransaction | None = None,
        purpose: str = "",
    ) -> None:
        """``purpose`` tells an undo handler's idempotency key from its step's."""
        self._strand = strand
        self._entry = entry
        self._number = number
        self._purpose = purpose
        self._seconds = seconds
        self._timer: Timer | None = None
        self._outcome: asyncio.Future[Any] | None = None
        self._transaction = transaction
        self.scope = StepScope(strand.run.host.actor, draft)

    async def perform(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Return what the body returns. Raises what it raises, and :class:`AttemptTimedOut`.

        Raises ``asyncio.CancelledError`` if the strand is cancelled; then the body is given up
        at once, whether it ends or not.
        """
        strand = self._strand
        step = self._make_step() if wants_step(function) else None
        call = bind(function, step, self._transaction, arguments)
        body = self._begin(call, in_thread=not runs_on_loop(function))
        self._outcome = body.future
        self._start_timer()
        strand.must_finish = True
        strand.run.bodies += 1
        try:
            return await body.future
        finally:
            strand.run.bodies -= 1
            strand.must_finish = False
            self.scope.is_open = False
            self._stop_timer()
            if step is not None:
                step.cancelled.set()
            body.cancel()
            # An error knows the frames it passed; they are not to know the error.
            self._outcome = None
            del body

    @property
    def _name(self) -> str:
        return keys.show(keys.last_name(self._entry.key))

    def _make_step(self) -> Step:
        run, entry = self._strand.run, self._entry
        return Step(
            self.scope,
            name=self._name,
            attempt=self._number,
            idempotency_key=run.idempotency_key(entry.key) + self._purpose,
            log=run.host.log,
            progress=entry.progress,
            on_heartbeat=self._on_heartbeat,
            transaction=self._transaction,
        )

    def _begin(self, call: Callable[[], Any], *, in_thread: bool) -> Body:
        host, transaction = self._strand.run.host, self._transaction
        if transaction is None:
            return host.begin(call, self.scope, in_thread=in_thread)
        with transaction.entered():
            return host.begin(call, self.scope, in_thread=in_thread)

    def _start_timer(self) -> None:
        if self._seconds is not None:
            clock = self._strand.run.host.clock
            self._timer = clock.call_later(self._seconds, self._on_time_over)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # which refers to this: the actor is to be freed when it leaves

    def _on_time_over(self) -> None:
        if self._outcome is not None and not self._outcome.done():
            message = f"'{self._name}' did not end within {self._seconds:g} s"
            self._outcome.set_exception(AttemptTimedOut(message))

    def _on_heartbeat(self, image: bytes | None) -> None:
        self._entry.progress = image
        self._strand.run.host.put(self._entry)
        if self._timer is not None:
            self._stop_timer()
            self._start_timer()


def bind(
    function: Callable[..., Any],
    step: Step | None,
    transaction: Transaction | None,
    arguments: Sequence[Any],
) -> Callable[[], Any]:
    """Return a call of ``function``: with the step if there is one, then, in a ``txn``, with the
    transaction if it takes one more argument than it is given."""
    given: list[Any] = [] if step is None else [step]
    if transaction is not None and takes(function, len(given) + len(arguments) + 1):
        given.append(transaction)
    return functools.partial(function, *given, *arguments)


def wants_step(function: Callable[..., Any]) -> bool:
    """Whether the first parameter is annotated as :class:`Step`."""
    return _WANTS_STEP.answer(function)


def _wants_step(function: Callable[..., Any], is_method: bool) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())[is_method:]
    except (TypeError, ValueError):
        return False
    if not parameters:
        return False
    annotation = parameters[0].annotation
    if isinstance(annotation, str):
        try:
            annotation = get_type_hints(function).get(parameters[0].name, annotation)
        except (NameError, TypeError):
            # Another annotation cannot be resolved; this one says enough by itself.
            return bool(annotation.rpartition(".")[2] == "Step")
    return annotation is Step


_WANTS_STEP = CodeCache(_wants_step)
