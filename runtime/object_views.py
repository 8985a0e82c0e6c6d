"""Read-only views of Structs, dataclasses and any other objects.

Rule 1. Each class gets a class of views. Its operators and other special methods are those of the
        class: written in Python they run with the view as ``self``, so that what they change is
        refused where they change it; written in C they run if they are known to read only.
Rule 2. Everything else is found when it is asked for, see ``views.read_attribute``.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from .protocol.kinds import kind_of
from .views import View, read_only, refuse, register, target_of, unwrap, wrap

_MAKING = {"__init__", "__del__", "__copy__", "__deepcopy__", "__reduce_ex__"}
_FINDING = {"__getattribute__", "__getattr__", "__setattr__", "__delattr__"}
_BINDING = {"__get__", "__set__", "__delete__"}
_NOT_OF_VIEWS = frozenset(_MAKING | _FINDING | _BINDING)
"""Special methods of a class that its views have their own of, or must not have."""

_READING = {
    *(name for kind in (int, complex, bytes, range) for name in vars(kind)),
    *("__matmul__", "__rmatmul__", "__fspath__", "__replace__", "__rich_repr__"),
}
"""Special methods that, where they are written in C, only read: what nobody can change has them."""

_KEPT = ("__doc__", "__module__", "__qualname__", "__dataclass_fields__", "__attrs_attrs__")
"""What code that looks at ``type(view)`` finds there as in the class."""


def _reading(name: str) -> Callable[..., Any]:
    def read(self: View, *arguments: Any, **keywords: Any) -> Any:
        return read_only(getattr(target_of(self), name)(*map(unwrap, arguments), **keywords))

    return read


def _iterate(self: View) -> Iterator[Any]:
    return map(read_only, target_of(self))


@cache
def _class_of_views(kind: type[Any]) -> type[View]:
    namespace: dict[str, Any] = {"__slots__": (), "_stator_kind": kind}
    namespace.update({name: getattr(kind, name) for name in _KEPT if hasattr(kind, name)})
    for base in kind.__mro__[:-1]:
        for name, member in vars(base).items():
            if name.startswith("__") and name.endswith("__") and name not in _NOT_OF_VIEWS:
                method = _method_of_views(name, member)
                if method is not None:
                    namespace.setdefault(name, method)
    is_hashable = kind.__hash__ is not None  # pyright: ignore[reportUnnecessaryComparison]
    namespace.setdefault("__hash__", View.__hash__ if is_hashable else None)
    return type(kind.__name__, (View,), namespace)


def _method_of_views(name: str, member: Any) -> Any:
    """Return what takes the place of a special method (rule 1), ``None`` for what needs nothing."""
    if isinstance(member, types.FunctionType):
        return member
    if not isinstance(member, (types.WrapperDescriptorType, types.MethodDescriptorType)):
        return None
    if name == "__iter__":
        return _iterate
    if name in _READING:
        return _reading(name)
    return None if hasattr(View, name) else refuse


def _view_object(value: object) -> Any:
    return wrap(_class_of_views(kind_of(value)), value)


register(object, _view_object)
