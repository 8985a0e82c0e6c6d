"""How a step is run: its attempts, their time limit, and what undoes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, Unpack, overload

import msgspec

from ..declarations import DefinitionError
from ..protocol.kinds import kind_of
from .backoff import Backoff

Seconds = float | timedelta
ErrorTypes = type[BaseException] | tuple[type[BaseException], ...]

Body = TypeVar("Body", bound=Callable[..., Any])

INTERRUPTIONS = 3
"""How often the process may end during a body before the body counts as the cause."""

STEP_MARK = "__stator_step__"
"""Where a function keeps the options that ``@step`` gave it."""


class StepOptions(msgspec.Struct, frozen=True):
    """The options of one step; see :meth:`.context.Workflow.step`."""

    retries: int = 3
    backoff: Backoff = Backoff()
    timeout: float | None = 30.0
    retry_timeouts: bool = False
    retry_on: ErrorTypes = (Exception,)
    fail_on: ErrorTypes = ()
    undo: Callable[..., Any] | None = None
    key: str | None = None
    log_start: bool = True
    buffered: bool = False


class GivenOptions(TypedDict, total=False):
    """The options as keyword arguments, for type checkers."""

    retries: int
    backoff: Backoff
    timeout: Seconds | None
    retry_timeouts: bool
    retry_on: ErrorTypes
    fail_on: ErrorTypes
    undo: Callable[..., Any] | None
    key: Any
    log_start: bool
    buffered: bool


_DEFAULT = StepOptions()
_NO_ERROR = object()


def make_options(function: Callable[..., Any], given: GivenOptions) -> StepOptions:
    """Return the options of a call: those given, then those of ``@step``, then the defaults.

    Raises ``ValueError`` for one that makes no sense and ``TypeError`` for one there is not.
    """
    marked: dict[str, Any] = getattr(function, STEP_MARK, {})
    if not given and not marked:
        return _DEFAULT
    merged: dict[str, Any] = {**marked, **given}
    if "timeout" in merged:
        seconds = seconds_of(merged["timeout"])
        merged["timeout"] = None if seconds is None or seconds <= 0 else seconds
    if merged.get("key") is not None:
        merged["key"] = str(merged["key"])
    options = StepOptions(**merged)
    _check(options)
    return options


def _check(options: Any) -> None:
    """Raise for what would make trouble only when an attempt fails."""
    retries, backoff, undo = options.retries, options.backoff, options.undo
    if kind_of(retries) is not int or retries < 0:
        raise ValueError(f"retries is a number of 0 or more, not {retries!r}")
    if not isinstance(backoff, Backoff):
        raise TypeError(f"backoff is a Backoff, not {backoff!r}")
    if undo is not None and not callable(undo):
        raise TypeError(f"undo is a function, not {undo!r}")
    try:
        isinstance(_NO_ERROR, (options.retry_on, options.fail_on))
    except TypeError as error:
        raise TypeError("retry_on and fail_on are classes of exceptions") from error


def seconds_of(duration: Seconds | None) -> float | None:
    """Return a duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


@overload
def step(function: Body, /) -> Body: ...
@overload
def step(**options: Unpack[GivenOptions]) -> Callable[[Body], Body]: ...
def step(function: Any = None, /, **options: Unpack[GivenOptions]) -> Any:
    """Give a function the options with which ``wf.call`` and ``wf.step`` run it.

    Raises ``DefinitionError``.
    """

    def mark(target: Any) -> Any:
        if not callable(target):
            raise DefinitionError(f"@step goes on a function, not on {target!r}")
        try:
            make_options(target, options)
        except (TypeError, ValueError) as error:
            raise DefinitionError(f"@step of {target!r}: {error}") from error
        setattr(target, STEP_MARK, options)
        return target

    return mark if function is None else mark(function)
