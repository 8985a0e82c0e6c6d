"""What all read-only views have in common, and which kind of value gets which view.

A view stands for a value of the state. ``type(view)`` is a class of this package, ``__class__``
the class of the value, which is what ``isinstance`` looks at. C code that wants the very type
(``json.dumps``, ``msgspec.json.encode``) refuses it; ``copy.deepcopy`` makes a plain copy.
"""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import re
import types
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, NoReturn, cast

import msgspec

from .errors import StateMutationReentrant
from .protocol.kinds import kind_of

LEAVES = (
    *(type(None), bool, int, float, complex, str, bytes, range, slice, type),
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo, decimal.Decimal, uuid.UUID, enum.Enum),
    *(re.Pattern, msgspec.Raw, msgspec.msgpack.Ext, msgspec.UnsetType),
    *(type(...), type(NotImplemented), types.ModuleType),
    *(types.FunctionType, types.BuiltinFunctionType),
)
"""Kinds of values that nobody can change; they are their own views."""


def refuse(*_arguments: Any, **_keywords: Any) -> NoReturn:
    """Take the place of every method that changes its object."""
    raise StateMutationReentrant


class View:
    """Stands for a value; reads go to it, changes are refused."""

    __slots__ = ("_stator_target",)

    _stator_kind: ClassVar[type[Any]] = object
    """What ``type(view)(...)`` makes: code that copies a value that way gets a plain one."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        return cls._stator_kind(*arguments, **keywords)

    __init__ = refuse

    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
        return cast(type[Any], kind_of(target_of(self)))

    def __getattr__(self, name: str) -> Any:
        return read_attribute(self, name)

    __setattr__ = refuse
    __delattr__ = refuse

    def __repr__(self) -> str:
        return repr(target_of(self))

    def __str__(self) -> str:
        return str(target_of(self))

    def __format__(self, form: str) -> str:
        return format(target_of(self), form)

    def __dir__(self) -> list[str]:
        return dir(target_of(self))

    def __hash__(self) -> int:
        return hash(target_of(self))

    def __eq__(self, other: object) -> bool:
        return cast(bool, target_of(self) == unwrap(other))

    def __ne__(self, other: object) -> bool:
        return cast(bool, target_of(self) != unwrap(other))

    def __lt__(self, other: Any) -> bool:
        return cast(bool, target_of(self) < unwrap(other))

    def __le__(self, other: Any) -> bool:
        return cast(bool, target_of(self) <= unwrap(other))

    def __gt__(self, other: Any) -> bool:
        return cast(bool, target_of(self) > unwrap(other))

    def __ge__(self, other: Any) -> bool:
        return cast(bool, target_of(self) >= unwrap(other))

    def __copy__(self) -> Any:
        return copy.deepcopy(target_of(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(target_of(self), memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copy.deepcopy(target_of(self)).__reduce_ex__(protocol)


_slot: Any = vars(View)["_stator_target"]
target_of: Callable[[Any], Any] = _slot.__get__
"""Return the value that a view stands for."""
_set_target: Callable[[Any, Any], None] = _slot.__set__


def wrap(kind: type[View], value: object) -> Any:
    """Return a view of this kind on ``value``."""
    view = object.__new__(kind)
    _set_target(view, value)
    return view


class BytesView(bytearray):
    """A byte array of its own, so that C code can read it; its methods change nothing."""

    __slots__ = ()

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        return bytearray(*arguments, **keywords)

    __init__ = refuse

    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
        return bytearray

    __setattr__ = refuse
    __delattr__ = refuse

    def __repr__(self) -> str:
        return repr(bytearray(self))

    def __str__(self) -> str:
        return str(bytearray(self))

    def __dir__(self) -> list[str]:
        return dir(bytearray)

    def __copy__(self) -> bytearray:
        return bytearray(self)

    def __deepcopy__(self, _memo: dict[int, Any]) -> bytearray:
        return bytearray(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return bytearray(self).__reduce_ex__(protocol)


def unwrap(value: Any) -> Any:
    """Return what a view stands for, anything else as it is; for what only reads."""
    if isinstance(value, BytesView):
        return bytearray(value)
    return target_of(value) if isinstance(value, View) else value


def unwrap_all(value: Any) -> Any:
    """Return ``value`` without views, also in lists, tuples, sets and dicts around them."""
    kind = kind_of(value)
    if kind is dict:
        return {unwrap_all(key): unwrap_all(item) for key, item in value.items()}
    make: Any = kind
    if kind in (list, tuple, set, frozenset):
        return make(map(unwrap_all, value))
    return unwrap(value)


# ------------------------------------------------------------------------ which view is for what

_Maker = Callable[[Any], Any]
_makers: dict[type[Any], _Maker] = {}


def register(kind: type[Any], maker: _Maker) -> None:
    """Let values of ``kind`` and its subclasses get the view that ``maker`` makes of them."""
    _makers[kind] = maker


def read_only(value: Any) -> Any:
    """Return a view of ``value`` that cannot be changed, however deep; see ``read_only.py``."""
    return _maker_of(kind_of(value))(value)


@cache
def _maker_of(kind: type[Any]) -> _Maker:
    if issubclass(kind, (View, BytesView, *LEAVES)):
        return _same
    return next(_makers[base] for base in kind.__mro__ if base in _makers)


def _same(value: Any) -> Any:
    return value


# ----------------------------------------------------------------------- attributes of any object

_OF_C = (types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType)
_FIELDS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_ABSENT: Any = object()


def member_of(kind: type[Any], name: str) -> Any:
    """Return what the class says about an attribute, without binding it."""
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return _ABSENT


def read_attribute(view: View, name: str) -> Any:
    """Return an attribute of what ``view`` stands for.

    Methods and properties written in Python run with the view as their ``self``, so that they may
    read whatever they like; methods written in C that no view knows are refused.
    """
    target = target_of(view)
    kind = kind_of(target)
    member = member_of(kind, name)
    if isinstance(member, _FIELDS):
        return read_only(getattr(target, name))
    if isinstance(member, property):
        return member.__get__(view, kind)
    own = getattr(target, "__dict__", {})
    if name in own:
        return read_only(own[name])
    if member is _ABSENT:
        return _read_missing(view, name)
    if isinstance(member, _OF_C):
        return refuse
    return _read_from_class(view, name, member)


def _read_from_class(view: View, name: str, member: Any) -> Any:
    kind = kind_of(target_of(view))
    if isinstance(member, (classmethod, staticmethod, types.ClassMethodDescriptorType)):
        return getattr(kind, name)
    compute = getattr(member, "func", None)
    if hasattr(member, "attrname") and callable(compute):
        return compute(view)  # a cached_property keeps what it finds in its object
    bind = getattr(kind_of(member), "__get__", None)
    return member if bind is None else bind(member, view, kind)


def _read_missing(view: View, name: str) -> Any:
    target = target_of(view)
    fallback = member_of(kind_of(target), "__getattr__")
    if fallback is _ABSENT:
        return getattr(target, name)  # raises, and says what the class is called
    return fallback(view, name)
