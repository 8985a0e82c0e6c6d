"""What a function says it returns, as its results are stored."""

import functools
import gc
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from stator.runtime.workflow.values import result_annotation


class Order(msgspec.Struct):
    sku: str


class Worker:
    def method(self) -> Order: ...  # type: ignore[empty-body]

    async def later(self) -> list[Order]: ...  # type: ignore[empty-body]

    @classmethod
    def of_class(cls) -> Order: ...  # type: ignore[empty-body]

    @staticmethod
    def of_none() -> int: ...  # type: ignore[empty-body]

    def __call__(self) -> bool: ...  # type: ignore[empty-body]


def coroutine() -> Coroutine[Any, Any, Order]: ...  # type: ignore[empty-body]
def awaitable() -> Awaitable[int]: ...  # type: ignore[empty-body]
def nothing() -> None: ...
def unsaid(): ...  # type: ignore[no-untyped-def]
def anything() -> object: ...
def wrong() -> "Missing": ...  # type: ignore[name-defined]  # noqa: F821
def uncheckable() -> Path: ...  # type: ignore[empty-body]
def unhashable() -> Annotated[int, []]: ...  # type: ignore[empty-body]
def broken_parameter(a: "Missing") -> int: ...  # type: ignore[name-defined, empty-body]  # noqa: F821


@functools.wraps(coroutine)
def wrapped(*args: Any) -> Any: ...


CASES: list[tuple[Any, Any]] = [
    (Worker().method, Order),
    (Worker().later, list[Order]),
    (Worker.of_class, Order),
    (Worker.of_none, int),
    (Worker(), bool),
    (functools.partial(Worker().later), list[Order]),
    (functools.partial(functools.partial(coroutine)), Order),
    (coroutine, Order),
    (awaitable, int),
    (wrapped, Order),
    (nothing, type(None)),
    (broken_parameter, int),
    (unhashable, Annotated[int, []]),
    (unsaid, Any),
    (anything, Any),
    (wrong, Any),
    (uncheckable, Any),
    (lambda: 1, Any),
    (print, Any),
    (int, Any),
    (Worker, Any),
]


@pytest.mark.parametrize(("function", "annotation"), CASES)
def test_what_a_function_returns_is_found(function: Any, annotation: Any) -> None:
    for _ in range(2):
        assert result_annotation(function) == annotation


def test_a_closure_is_not_kept_for_its_annotation() -> None:
    def make() -> Callable[[], int]:
        captured = Worker()

        def closure() -> int:
            return id(captured)

        return closure

    closure = make()
    assert result_annotation(closure) is int
    gone = weakref.ref(closure)
    del closure
    gc.collect()
    assert gone() is None
