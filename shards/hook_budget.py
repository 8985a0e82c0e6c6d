"""Time limits by the clock that the actor lives by, and hooks that run within them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any

from stator.runtime.awaiting import result_of
from stator.runtime.clock import Clock
from stator.runtime.errors import CallbackTimedOut

if TYPE_CHECKING:
    from .cell import Cell


class Budget:
    """Like ``asyncio.timeout``, by a :class:`~stator.runtime.clock.Clock`.

    Leaving the block raises :class:`TimeoutError` if what it did was cut off.
    """

    __slots__ = ("_clock", "_seconds", "_timeout", "_timer")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Budget:
        await self._timeout.__aenter__()
        self._timer = self._clock.call_later(max(0.0, self._seconds), self._expire)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def expired(self) -> bool:
        """Whether the time was over before the block was."""
        return self._timeout.expired()

    def _expire(self) -> None:
        self._timeout.reschedule(asyncio.get_running_loop().time())


async def run_hook(cell: Cell, hook: str, seconds: float, *arguments: Any) -> Any:
    """Run a hook and return what it returns; its arguments are validated if it declares any.

    Raises what it raises, ``actor.validation_error``, or ``actor.callback_timed_out``.
    """
    method = getattr(type(cell.actor), hook)
    parameters = cell.definition.hook_parameters.get(hook)
    bound = arguments if parameters is None else parameters.bind(arguments)
    result = method(cell.actor, *bound)
    if not hasattr(result, "__await__"):
        return result
    return await within(cell.shard.clock, hook, seconds, result)


async def within(clock: Clock, hook: str, seconds: float, awaitable: Any) -> Any:
    """Await what a hook returned. Raises what it raises, or ``actor.callback_timed_out``."""
    budget = Budget(clock, seconds)
    try:
        async with budget:
            return await result_of(awaitable)
    except TimeoutError as error:
        if not budget.expired():
            raise  # the hook's own
        raise CallbackTimedOut(
            f"{hook} did not finish within {seconds:g} s",
            metadata={"callback_name": hook, "duration_ms": round(seconds * 1000)},
        ) from error
