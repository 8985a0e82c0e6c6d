"""Steps: bodies with an effect, run until they go well or fail for good, once.

Rule 1. That an attempt begins is on disk before its body runs, so that one that ends the process
        is counted (workflow page, section 13, no. 11). What it did is on disk with its outcome
        before the next thing with an effect begins.
Rule 2. The outcome is final: what was completed or failed is never run again (no. 3 and 4).
Rule 3. An attempt that the end of the process interrupted does not count among ``retries``, but
        there are no more such than :data:`INTERRUPTIONS`, or ``retries`` if that is more. One
        that an orderly stop cut off does not count at all.
Rule 4. The caller gets what a replay would get: the output as it comes out of its stored form, and
        the error as it can be raised again after a restart.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import StateNotSerializable
from ..workflow_errors import EntryInProgress, Fatal, OutputNotSerializable, StepFailed, Undo
from . import keys
from .bodies import Attempt, AttemptTimedOut
from .entries import Entry, EntryStatus, Kind
from .failures import record_error, revive_error
from .options import INTERRUPTIONS, StepOptions
from .undo import arm, arm_again, check_addressable
from .values import (
    MAX_SHOWN_BYTES,
    encode_arguments,
    result_annotation,
    round_trip,
)

if TYPE_CHECKING:
    from .strand import Strand

_ENDS_FOR_GOOD = (Fatal, Undo, EntryInProgress, OutputNotSerializable, StateNotSerializable)


class StepCall:
    """A step as the code of the workflow asks for it."""

    __slots__ = ("arguments", "entry", "function", "key", "options", "strand")

    def __init__(
        self,
        strand: Strand,
        key: str,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        options: StepOptions,
    ) -> None:
        self.strand = strand
        self.key = key
        self.function = function
        self.arguments = arguments
        self.options = options
        self.entry: Entry
        """Set when it was asked for."""

    @property
    def name(self) -> str:
        """Its name as the code gives it."""
        return keys.show(keys.last_name(self.key))

    def decode(self) -> Any:
        """Return the stored output."""
        return self.strand.read(self.entry.output, result_annotation(self.function))


class Performer(Protocol):
    """Makes one attempt: :func:`perform_step`, or that of a ``txn``."""

    async def __call__(self, call: StepCall) -> Any:
        """Run the body, close the entry as completed and return the output.

        Raises what the body raises; the entry is not closed then.
        """
        ...


async def run_step(
    strand: Strand,
    name: str,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: StepOptions,
    *,
    kind: Kind,
    perform: Performer,
) -> Any:
    """Return the output of a step, from history or by running it.

    Raises :class:`StepFailed` once it has failed for good.
    """
    label = name if options.key is None else f"{name}[{options.key}]"
    with strand.doing(label) as key:
        call = StepCall(strand, key, function, arguments, options)
        if options.undo is not None:
            check_addressable(strand, key, options.undo)
        entry = await strand.ask(key, kind)
        if entry is None:
            # What undoes it may need them after a restart, whatever their size.
            limit = MAX_SHOWN_BYTES if options.undo is None else None
            given = encode_arguments(tuple(arguments), limit=limit)
            entry = strand.make(key, kind, EntryStatus.RUNNING, input=given)
        call.entry = entry
        if entry.status is EntryStatus.COMPLETED:
            if options.undo is not None:
                arm_again(call)
            return call.decode()
        if entry.status is EntryStatus.FAILED:
            raise failure_of(call)
        strand.check_goes_on(entry)
        return await _attempt_until_over(call, perform)


async def _attempt_until_over(call: StepCall, perform: Performer) -> Any:
    strand, entry, options = call.strand, call.entry, call.options
    while True:
        try:
            if entry.status is EntryStatus.RETRYING:
                await _wait_for_retry(call)
            interrupted = entry.attempts - entry.failures
            if interrupted > max(options.retries, INTERRUPTIONS):
                _fail(call, _interruption(entry), "exhausted")
                raise failure_of(call)
            await _begin(call)
            return await perform(call)
        except asyncio.CancelledError:
            if strand.run.is_suspended:
                _take_back(call)
            strand.cut_off(entry)
            raise
        except GeneratorExit:
            raise
        except StepFailed as error:
            if entry.status is EntryStatus.FAILED:
                raise
            await _note_failure(call, error)
        except BaseException as error:  # user code must not end the worker
            await _note_failure(call, error)


async def _wait_for_retry(call: StepCall) -> None:
    strand, due_ms = call.strand, call.entry.due_ms
    if due_ms is not None and due_ms > strand.run.host.clock.now_ms():
        await strand.wait(asyncio.get_running_loop().create_future(), due_ms)
    strand.check_live(call.key)


async def _begin(call: StepCall) -> None:
    """Note that an attempt begins (rule 1)."""
    strand, entry, options = call.strand, call.entry, call.options
    entry.attempts += 1
    entry.status = EntryStatus.RUNNING
    entry.started_ms = strand.run.host.clock.now_ms()
    entry.due_ms = None
    if options.log_start and not options.buffered:
        strand.run.host.put(entry)
        await strand.committed()


def _take_back(call: StepCall) -> None:
    """Let an attempt that a stop cut off not count (rule 3)."""
    entry = call.entry
    if entry.status is EntryStatus.RUNNING and entry.attempts > entry.failures:
        entry.attempts -= 1
        entry.status = EntryStatus.RETRYING
        entry.due_ms = call.strand.run.host.clock.now_ms()
        try:
            call.strand.run.host.put(entry)
        except StateNotSerializable:
            call.strand.run.host.log.warning("step cut off without a note", step=call.name)


async def perform_step(call: StepCall) -> Any:
    """Make one attempt of an ordinary step; implements :class:`Performer`."""
    strand, options = call.strand, call.options
    attempt = Attempt(strand, call.entry, number=call.entry.attempts, seconds=options.timeout)
    output = await attempt.perform(call.function, call.arguments)
    result = complete(call, output)
    if not options.log_start and not options.buffered:
        await strand.committed(is_done=True)
    return result


def complete(call: StepCall, output: Any) -> Any:
    """Close a step with its output and return that as a replay would (rule 4).

    Raises ``workflow.output_not_serializable`` and ``actor.state_not_serializable``.
    """
    image, copy = prepare(call, output)
    close_completed(call, image)
    return copy


def prepare(call: StepCall, output: Any) -> tuple[bytes | None, Any]:
    """Return the image of an output and what comes out of it."""
    if output is None:
        return None, None
    return round_trip(output, result_annotation(call.function), f"output of step '{call.name}'")


def close_completed(call: StepCall, image: bytes | None) -> None:
    """Put that a step was completed."""
    entry = call.entry
    entry.output = image
    entry.error = None
    if call.options.undo is not None:
        arm(call)
    try:
        call.strand.close(entry, EntryStatus.COMPLETED)
    except BaseException:
        entry.status, entry.finished_ms, entry.undo = EntryStatus.RUNNING, None, None
        raise


# ------------------------------------------------------------------------- failures


async def _note_failure(call: StepCall, error: BaseException) -> None:
    """Put that an attempt failed and report it. Raises :class:`StepFailed` if it was the last."""
    entry, options = call.entry, call.options
    entry.failures += 1
    kind = _verdict(error, options, entry.failures)
    if kind is not None:
        _fail(call, error, kind)
        delay = None
    else:
        delay = options.backoff.delay(entry.failures, random.random)
        entry.status = EntryStatus.RETRYING
        entry.error = record_error(error)
        entry.due_ms = call.strand.run.host.clock.now_ms() + round(delay * 1000)
        _put_failure(call)
    call.strand.run.host.log.warning(
        "step failed", step=call.name, attempt=entry.attempts, retry_in=delay, exc_info=error
    )
    await call.strand.run.reports.step_failed(call, delay)
    if kind is not None:
        raise failure_of(call) from error


def _verdict(error: BaseException, options: StepOptions, failures: int) -> str | None:
    """Return the kind of failure if there is no further attempt."""
    if isinstance(error, Undo):
        return "undone"
    if isinstance(error, AttemptTimedOut):
        if not options.retry_timeouts:
            return "timeout"
    else:
        is_hopeless = isinstance(error, (_ENDS_FOR_GOOD, options.fail_on))
        if is_hopeless or not isinstance(error, options.retry_on):
            return "fatal"
    return "exhausted" if failures > options.retries else None


def _fail(call: StepCall, error: BaseException, kind: str) -> None:
    entry = call.entry
    entry.status = EntryStatus.FAILED
    entry.detail = kind
    entry.error = record_error(error)
    entry.due_ms = None
    entry.finished_ms = call.strand.run.host.clock.now_ms()
    _put_failure(call)
    call.strand.see(entry)


def _put_failure(call: StepCall) -> None:
    try:
        call.strand.run.host.put(call.entry)
    except StateNotSerializable as error:
        # The state is the last good one again; what failed has failed all the same.
        call.strand.run.host.log.error("state cannot be stored", problem=error.message)
        call.strand.run.host.put(call.entry)


def _interruption(entry: Entry) -> RuntimeError:
    count = entry.attempts - entry.failures
    return RuntimeError(f"its process ended during {count} attempts and never let one come to end")


def failure_of(call: StepCall) -> StepFailed:
    """Return the error of a step that failed for good."""
    entry = call.entry
    assert entry.error is not None
    return StepFailed.of(
        kind=entry.detail,
        step=call.name,
        key=entry.key,
        attempts=entry.attempts,
        error=revive_error(entry.error),
    )
