"""What can be known of a callable: how it is called, and where it runs.

What is cached is about functions, not about methods bound to an actor, which it would keep.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def runs_on_loop(function: Callable[..., Any]) -> bool:
    """Whether a call of ``function`` only makes something that is awaited."""
    return _runs_on_loop(plain(function))


@functools.lru_cache(maxsize=2048)
def _runs_on_loop(function: Callable[..., Any]) -> bool:
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    if inspect.iscoroutinefunction(target):
        return True
    return inspect.iscoroutinefunction(getattr(target, "__call__", None))  # noqa: B004 - its method


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether ``function`` can be called with so many positional arguments."""
    most = positional_count(function)
    return most is None or most >= count


def positional_count(function: Callable[..., Any]) -> int | None:
    """Return how many positional arguments ``function`` takes at most, ``None`` for any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in positional for each in parameters)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of a method."""
    return getattr(function, "__func__", function)
