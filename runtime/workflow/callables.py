"""What can be known of a callable: how it is called, and where it runs.

What is cached is about the code of functions. A method or a closure is of one actor, which it would
keep; and a workflow makes closures again and again, which have their code in common.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType
from typing import Any


def runs_on_loop(function: Callable[..., Any]) -> bool:
    """Whether a call of ``function`` only makes something that is awaited."""
    target = plain(function)
    code = getattr(target, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_COROUTINE:
        return True
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


_MAX_ANSWERS = 2048


class CodeCache:
    """Answers about functions, by their code."""

    def __init__(self, ask: Callable[[Callable[..., Any], bool], bool]) -> None:
        """``ask`` gets a function, and whether it is called as a method."""
        self._ask = ask
        self._answers: dict[tuple[Any, bool, Any], bool] = {}

    def answer(self, function: Callable[..., Any]) -> bool:
        """Return the answer about a function or a bound method."""
        is_method = type(function) is MethodType
        target = plain(function)
        code = _code_of(target)
        if code is None:
            return self._ask(target, is_method)
        # Closures of one code may differ in what the annotation of their first parameter is.
        first = code.co_varnames[is_method] if code.co_argcount > is_method else ""
        key = (code, is_method, target.__annotations__.get(first))
        try:
            return self._answers[key]
        except KeyError:
            if len(self._answers) >= _MAX_ANSWERS:
                self._answers.clear()
            answer = self._answers[key] = self._ask(target, is_method)
            return answer
        except TypeError:  # an annotation that cannot be hashed
            return self._ask(target, is_method)


def _code_of(function: Any) -> CodeType | None:
    """Return what says by itself how a function is called; ``None`` if something else does."""
    attributes = getattr(function, "__dict__", {})
    if type(function) is not FunctionType or "__signature__" in attributes:
        return None
    return None if "__wrapped__" in attributes else function.__code__


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of a method."""
    return getattr(function, "__func__", function)
