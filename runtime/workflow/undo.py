"""Undo handlers: what takes back what steps did, when their saga or the run fails.

Rule 1. That a completed step can be undone is stored with it, in the order of completion, with a
        reference to its handler: what has to be undone is known without running anything again
        (workflow page, section 13, no. 1).
Rule 2. A handler that is a method of the actor or a function of a module is found by its name. A
        closure is given again by the code that is replayed, so it may not be in code that a replay
        leaves out, as a turn of a loop that is over.
Rule 3. Handlers run in reverse order of completion, one after the other, with the retries and the
        time limit of their step. One that fails for good stops the others: `retry` goes on there.
Rule 4. They run to their end whatever is cancelled meanwhile; a stop of the actor interrupts them.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast, get_type_hints

import msgspec

from ..errors import ActorError
from ..workflow_errors import UndoFailed, UndoNotAddressable
from . import keys
from .bodies import Attempt, wants_step
from .callables import positional_count
from .entries import Entry, EntryStatus, UndoMark
from .failures import as_recorded, record_error
from .history import is_armed
from .options import INTERRUPTIONS, StepOptions
from .references import find, is_findable, reference_of
from .values import decode_value, result_annotation

if TYPE_CHECKING:
    from .run import WorkflowRun
    from .steps import StepCall
    from .strand import Strand

_METHOD = "method:"


class UndoHandler(msgspec.Struct, frozen=True):
    """What undoes one step, as the code of this generation gave it."""

    function: Callable[..., Any]
    step: Callable[..., Any] | None
    """The function of the step, which says of what type its output is."""
    arguments: Sequence[Any]
    options: StepOptions


def check_addressable(strand: Strand, key: str, function: Callable[..., Any]) -> None:
    """Raise ``workflow.undo_not_addressable`` for a handler that could get lost (rule 2)."""
    scope = strand.scope
    if scope.is_forgotten_within(scope.outermost_saga) and not _reference(
        strand.run.host.actor, function
    ):
        raise UndoNotAddressable(
            f"the undo handler of '{keys.show(key)}' is a closure, and a restart does not run the "
            "code again that gives it: use a method of the actor or a function of a module"
        )


def arm(call: StepCall) -> None:
    """Let a step that is being completed be undone."""
    call.entry.undo = mark_of(call)
    call.strand.run.armed[call.key] = call.entry
    arm_again(call)


def mark_of(call: StepCall) -> UndoMark:
    """Return what is stored of the undo handler of a step that is completed now."""
    strand, function = call.strand, call.options.undo
    assert function is not None
    saga = strand.scope.saga
    return UndoMark(
        "" if saga is None else saga.key,
        strand.run.history.take_seq(),
        _reference(strand.run.host.actor, function),
    )


def arm_again(call: StepCall) -> None:
    """Remember the handler of a completed step."""
    function = call.options.undo
    assert function is not None
    handler = UndoHandler(function, call.function, call.arguments, call.options)
    call.strand.run.undo_handlers[call.key] = handler


def disarm(strand: Strand, saga: str, outer: str | None) -> None:
    """Put that what a saga did is not undone any more, or by the saga around it."""
    for entry in _armed(strand.run, saga):
        assert entry.undo is not None
        if outer is None:
            entry.undo.status = EntryStatus.COMPLETED
            strand.run.undo_handlers.pop(entry.key, None)
            strand.run.armed.pop(entry.key, None)
        else:
            entry.undo.saga = outer
        strand.run.host.put(entry)


def has_armed(run: WorkflowRun, saga: str) -> bool:
    """Whether a saga has anything to undo."""
    return bool(_armed(run, saga))


def _armed(run: WorkflowRun, saga: str) -> list[Entry]:
    """Return what a saga has to undo, the last that was completed first."""
    found = [
        entry
        for entry in run.armed.values()
        if is_armed(entry) and entry.undo is not None and entry.undo.saga == saga
    ]
    return sorted(found, key=_order, reverse=True)


def _order(entry: Entry) -> int:
    return 0 if entry.undo is None else entry.undo.order


async def undo_all(strand: Strand, saga: str) -> None:
    """Undo what a saga did (rules 3 and 4). Raises ``workflow.undo_failed``."""
    is_shielded, strand.is_shielded = strand.is_shielded, True
    try:
        for entry in _armed(strand.run, saga):
            await _undo(strand, entry)
    finally:
        strand.is_shielded = is_shielded


async def _undo(strand: Strand, entry: Entry) -> None:
    handler = strand.run.undo_handlers.get(entry.key) or _handler_by_name(strand.run, entry)
    mark = entry.undo
    assert mark is not None
    while True:
        if mark.status is EntryStatus.RETRYING and mark.due_ms is not None:
            with strand.run.pausing_undo():
                await strand.wait(asyncio.get_running_loop().create_future(), mark.due_ms)
        if strand.run.is_suspended:
            raise asyncio.CancelledError
        if mark.attempts - mark.failures > max(handler.options.retries, INTERRUPTIONS):
            problem = RuntimeError("its process ended again and again while it ran")
            await _fail(strand, entry, problem)
        mark.status, mark.due_ms = EntryStatus.RUNNING, None
        mark.attempts += 1
        strand.run.host.put(entry)
        await strand.committed()
        try:
            await _perform(strand, entry, handler)
        except asyncio.CancelledError:
            if strand.run.is_suspended:
                _take_back(strand, mark, entry)
            raise
        except GeneratorExit:
            raise
        except BaseException as error:  # user code must not end the worker
            await _note_failure(strand, entry, handler.options, error)
        else:
            mark.status = EntryStatus.UNDONE
            mark.finished_ms = strand.run.host.clock.now_ms()
            strand.run.host.put(entry)
            return


async def _perform(strand: Strand, entry: Entry, handler: UndoHandler) -> None:
    assert entry.undo is not None
    attempt = Attempt(
        strand,
        entry,
        number=entry.undo.attempts,
        seconds=handler.options.timeout,
        purpose="/undo",
    )
    await attempt.perform(handler.function, _arguments(handler, entry))


def _take_back(strand: Strand, mark: UndoMark, entry: Entry) -> None:
    """Let an attempt that an orderly stop cut off not count."""
    mark.attempts -= 1
    mark.status = EntryStatus.RETRYING
    mark.due_ms = strand.run.host.clock.now_ms()
    _put(strand, entry)


async def _note_failure(
    strand: Strand, entry: Entry, options: StepOptions, error: BaseException
) -> None:
    """Put that a handler failed. Raises ``workflow.undo_failed`` if it was its last attempt."""
    run, mark = strand.run, entry.undo
    assert mark is not None
    mark.failures += 1
    if mark.failures > options.retries:
        await _fail(strand, entry, error)
    delay = options.backoff.delay(mark.failures, random.random)
    mark.error = record_error(error)
    mark.status = EntryStatus.RETRYING
    mark.due_ms = run.host.clock.now_ms() + round(delay * 1000)
    _put(strand, entry)
    name = keys.show(keys.last_name(entry.key))
    run.host.log.warning("undo handler failed", step=name, attempt=mark.attempts, exc_info=error)


async def _fail(strand: Strand, entry: Entry, error: BaseException) -> NoReturn:
    """Put that a handler failed for good, report it and raise ``workflow.undo_failed``."""
    run, mark = strand.run, entry.undo
    assert mark is not None
    mark.error, revived = as_recorded(error)
    mark.status = EntryStatus.FAILED
    _put(strand, entry)
    name = keys.show(keys.last_name(entry.key))
    run.host.log.error("undo handler failed for good", step=name, exc_info=error)
    await run.reports.undo_failed(name, mark.error)
    raise UndoFailed.of(step=name, error=revived) from error


def _put(strand: Strand, entry: Entry) -> None:
    try:
        strand.run.host.put(entry)
    except ActorError as problem:
        strand.run.host.log.error("state cannot be stored", problem=problem.message)
        strand.run.host.put(entry)


def _arguments(handler: UndoHandler, entry: Entry) -> list[Any]:
    """Return what a handler takes: the step's output, then its arguments, as many as it wants."""
    given: list[Any] = [_output(handler, entry), *handler.arguments]
    most = positional_count(handler.function)
    if most is None:
        return given[:1]
    return given[: max(0, most - wants_step(handler.function))]


def _output(handler: UndoHandler, entry: Entry) -> Any:
    if entry.output is None:
        return None
    if handler.step is not None:
        return decode_value(entry.output, result_annotation(handler.step))
    return decode_value(entry.output, _first_annotation(handler.function))


def _first_annotation(function: Callable[..., Any]) -> Any:
    parameters = list(inspect.signature(function).parameters.values())[wants_step(function) :]
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError):
        return Any
    return hints.get(parameters[0].name, Any) if parameters else Any


def _handler_by_name(run: WorkflowRun, entry: Entry) -> UndoHandler:
    """Return the handler that a step of an earlier generation refers to."""
    assert entry.undo is not None
    reference = entry.undo.function
    try:
        function = _find(run.host.actor, reference)
    except LookupError as error:
        raise UndoFailed.of(step=keys.show(keys.last_name(entry.key)), error=error) from error
    arguments: Any = () if entry.input is None else decode_value(entry.input)
    return UndoHandler(function, None, list(arguments), StepOptions())


def _reference(actor: Any, function: Callable[..., Any]) -> str:
    """Return under which name a handler is found again, empty if there is none."""
    if inspect.ismethod(function):
        # Another method may be called so: a function has the name it was defined under.
        name = function.__name__
        return _METHOD + name if getattr(actor, name, None) == function else ""
    return reference_of(function) if is_findable(function) else ""


def _find(actor: Any, reference: str) -> Callable[..., Any]:
    """Return the handler of that name. Raises ``LookupError``."""
    if not reference:
        raise LookupError("its handler was a closure that the code did not give again")
    if not reference.startswith(_METHOD):
        return cast("Callable[..., Any]", find(reference))
    method = getattr(actor, reference.removeprefix(_METHOD), None)
    if method is None:
        raise LookupError(f"the actor has no method for {reference}")
    return cast("Callable[..., Any]", method)
