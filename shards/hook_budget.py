"""Running a hook of the actor within its time limit."""

from __future__ import annotations

import asyncio
import time
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
    started = time.monotonic()
    result = method(cell.actor, *bound)
    if not hasattr(result, "__await__"):
        return result
    try:
        async with asyncio.timeout(seconds):
            return await result_of(result)
    except TimeoutError as error:
        elapsed = time.monotonic() - started
        if elapsed < seconds:
            raise
        raise CallbackTimedOut(
            f"{hook} did not finish within {seconds:g} s",
            metadata={"callback_name": hook, "duration_ms": round(elapsed * 1000)},
        ) from error
