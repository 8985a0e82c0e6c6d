"""Read-only views of dicts, lists, sets, deques, tuples and byte arrays.

Rule 1. A view has the methods that only read, named here. Every other method of the kind it
        stands for is refused, one of a later Python as well.
Rule 2. What comes out of it is a view again. A new container that a method makes (a slice, a
        copy, a union) belongs to the caller and is plain; its items are views.
"""

from __future__ import annotations

import copy
import operator
from collections import deque
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    Set,
    ValuesView,
)
from functools import partial
from types import FunctionType
from typing import Any, ClassVar

from .errors import StateMutationReentrant
from .protocol.kinds import kind_of
from .views import (
    BytesView,
    View,
    member_of,
    read_only,
    refuse,
    register,
    target_of,
    unwrap,
    wrap,
)


def _fresh(made: Any) -> Any:
    """Return a container that a method made, with views as its items (rule 2)."""
    for kind, copied in _COPIES:
        if isinstance(made, kind):
            return copied(made)
    return made


_COPIES: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = (
    (dict, lambda made: {read_only(key): read_only(item) for key, item in made.items()}),
    (list, lambda made: list(map(read_only, made))),
    (set, lambda made: set(map(read_only, made))),
    (frozenset, lambda made: frozenset(map(read_only, made))),
    (deque, lambda made: deque(map(read_only, made), made.maxlen)),
)


def _reading(name: str) -> Callable[..., Any]:
    def read(self: View, *arguments: Any) -> Any:
        return _fresh(getattr(target_of(self), name)(*map(unwrap, arguments)))

    return read


def _reflected(name: str) -> Callable[..., Any]:
    def read(self: View, other: Any) -> Any:
        method = getattr(unwrap(other), name, None)
        return NotImplemented if method is None else _fresh(method(target_of(self)))

    return read


class _ContainerView(View):
    """What all containers do."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(target_of(self))

    def __iter__(self) -> Iterator[Any]:
        return map(read_only, target_of(self))

    def __contains__(self, item: object) -> bool:
        return unwrap(item) in target_of(self)

    def __copy__(self) -> Any:
        return _fresh(copy.copy(target_of(self)))


class _Keys(KeysView[Any]):
    __slots__ = ()

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self)[::-1])

    def __repr__(self) -> str:
        return f"dict_keys({list(self)!r})"


class _Values(ValuesView[Any]):
    __slots__ = ()

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self)[::-1])

    def __repr__(self) -> str:
        return f"dict_values({list(self)!r})"


class _Items(ItemsView[Any, Any]):
    __slots__ = ()

    def __reversed__(self) -> Iterator[tuple[Any, Any]]:
        return iter(list(self)[::-1])

    def __repr__(self) -> str:
        return f"dict_items({list(self)!r})"


class DictView(_ContainerView, Mapping[Any, Any]):
    """A read-only view of a dict."""

    __slots__ = ()
    _stator_kind = dict
    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, key: Any) -> Any:
        target, key = target_of(self), unwrap(key)
        missing = member_of(kind_of(target), "__missing__")
        if key in target or not callable(missing):
            return read_only(target[key])
        if isinstance(missing, FunctionType):
            return missing(self, key)
        if getattr(target, "default_factory", None) is None:
            raise KeyError(key)
        raise StateMutationReentrant  # a defaultdict would add the key

    def __reversed__(self) -> Iterator[Any]:
        return map(read_only, reversed(target_of(self)))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a view of the value of ``key``, or ``default`` as it is."""
        return self[key] if key in target_of(self) else default

    def keys(self) -> KeysView[Any]:
        """Return the keys."""
        return _Keys(self)

    def values(self) -> ValuesView[Any]:
        """Return views of the values."""
        return _Values(self)

    def items(self) -> ItemsView[Any, Any]:
        """Return the keys with views of their values."""
        return _Items(self)

    copy = _reading("copy")
    __or__ = _reading("__or__")
    __ror__ = _reflected("__or__")


class ListView(_ContainerView, Sequence[Any]):
    """A read-only view of a list."""

    __slots__ = ()
    _stator_kind: ClassVar[type[Any]] = list
    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, index: Any) -> Any:
        found = target_of(self)[index]
        return _fresh(found) if isinstance(index, slice) else read_only(found)

    def __reversed__(self) -> Iterator[Any]:
        return map(read_only, reversed(target_of(self)))

    index = _reading("index")
    count = _reading("count")
    copy = _reading("copy")
    __add__ = _reading("__add__")
    __radd__ = _reflected("__add__")
    __mul__ = _reading("__mul__")
    __rmul__ = _reading("__rmul__")


class DequeView(ListView):
    """A read-only view of a deque."""

    __slots__ = ()
    _stator_kind = deque


class SetView(_ContainerView, Set[Any]):
    """A read-only view of a set."""

    __slots__ = ()
    _stator_kind = set
    __hash__ = None  # type: ignore[assignment]

    isdisjoint = _reading("isdisjoint")
    issubset = _reading("issubset")
    issuperset = _reading("issuperset")
    union = _reading("union")
    intersection = _reading("intersection")
    difference = _reading("difference")
    symmetric_difference = _reading("symmetric_difference")
    copy = _reading("copy")
    __and__ = _reading("__and__")
    __rand__ = _reading("__rand__")
    __or__ = _reading("__or__")
    __ror__ = _reading("__ror__")
    __sub__ = _reading("__sub__")
    __rsub__ = _reading("__rsub__")
    __xor__ = _reading("__xor__")
    __rxor__ = _reading("__rxor__")


_make_tuple: Any = vars(tuple)["__new__"]


def _read_only_tuple(items: tuple[Any, ...]) -> Any:
    """Return ``items``, or the same kind of tuple with views of them."""
    views = tuple(map(read_only, items))
    if all(map(operator.is_, views, items)):
        return items
    made = _make_tuple(kind_of(items), views)
    getattr(made, "__dict__", {}).update(getattr(items, "__dict__", {}))
    return made


def _read_only_frozenset(items: frozenset[Any]) -> Any:
    views = {item: read_only(item) for item in items}
    if all(map(operator.is_, views.keys(), views.values())):
        return items
    return frozenset(views.values())


def _read_only_bytes(data: bytearray) -> BytesView:
    view: BytesView = bytearray.__new__(BytesView)
    bytearray.__init__(view, data)
    return view


_NEUTRAL = frozenset(vars(object)) | {
    *("__class_getitem__", "fromkeys", "__alloc__", "__release_buffer__"),
}
"""What is on every object, or makes a new one, or is about memory."""


def _refuse_others(view: Any, kind: type[Any], reads: Iterable[str]) -> None:
    """Refuse every method of ``kind`` but ``reads`` (rule 1)."""
    known = _NEUTRAL.union(reads)
    for name, member in vars(kind).items():
        if callable(member) and name not in known:
            setattr(view, name, refuse)


for _kind, _view in ((dict, DictView), (list, ListView), (deque, DequeView), (set, SetView)):
    _refuse_others(_view, _kind, [name for base in _view.__mro__ for name in vars(base)])
    register(_kind, partial(wrap, _view))
_refuse_others(BytesView, bytearray, [*vars(bytes), "copy"])
register(bytearray, _read_only_bytes)
register(frozenset, _read_only_frozenset)
register(tuple, _read_only_tuple)
