"""Running a hook of the actor within its time limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stator.runtime.awaiting import result_of
from stator.runtime.errors import CallbackTimedOut

if TYPE_CHECKING:
    from .cell import Cell


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
    return await within(hook, seconds, result)


async def within(hook: str, seconds: float, awaitable: Any) -> Any:
    """Await what a hook returned. Raises what it raises, or ``actor.callback_timed_out``."""
    budget = asyncio.timeout(seconds)
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
