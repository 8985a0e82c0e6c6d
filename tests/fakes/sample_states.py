"""States of every kind, and what may not be done with a view of them."""

from __future__ import annotations

import dataclasses
import functools
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from stator.runtime.errors import StateMutationReentrant


class Message(msgspec.Struct):
    text: str
    tags: list[str] = []

    def add(self, tag: str) -> None:
        self.tags.append(tag)

    def rename(self, text: str) -> None:
        self.text = text

    def shout(self) -> str:
        return self.text.upper() + "!" * len(self.tags)

    @property
    def first(self) -> str:
        return self.tags[0]

    @classmethod
    def empty(cls) -> Message:
        return cls("")

    @staticmethod
    def limit() -> int:
        return 80


class Room(msgspec.Struct):
    messages: list[Message] = []
    by_name: dict[str, dict[str, int]] = {}
    topic: str = ""


class Point(msgspec.Struct, frozen=True, order=True):
    x: int
    y: int


@dataclasses.dataclass
class Account:
    balance: int = 0
    history: list[int] = dataclasses.field(default_factory=list[int])

    def pay(self, amount: int) -> None:
        self.balance += amount

    def bypass(self) -> None:
        object.__setattr__(self, "balance", 0)

    def __len__(self) -> int:
        return len(self.history)

    def __iadd__(self, amount: int) -> Account:
        self.balance += amount
        return self

    @functools.cached_property
    def total(self) -> int:
        return sum(self.history)


class Settings(TypedDict, total=False):
    theme: str
    sizes: list[int]


class Pair(NamedTuple):
    one: list[int]
    two: int


class Bag:
    """An object like any other."""

    __slots__ = ("__dict__", "slot")

    def __init__(self) -> None:
        self.slot = [1]
        self.own = {"a": [1]}

    def __getitem__(self, index: int) -> int:
        return self.slot[index]

    def __setitem__(self, index: int, value: int) -> None:
        self.slot[index] = value

    def __call__(self) -> int:
        self.called = True
        return 1

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return f"no {name}"


class Colour(Enum):
    RED = "red"


def refused(change: Callable[[], Any]) -> bool:
    """Return whether a change raises what it is to raise."""
    with pytest.raises(StateMutationReentrant):
        change()
    return True


READS: dict[type[Any], set[str]] = {
    dict: {"get", "keys", "items", "values", "copy", "fromkeys", "__or__", "__ror__"},
    list: {"index", "count", "copy", "__add__", "__mul__", "__rmul__"},
    deque: {"index", "count", "copy", "__copy__", "__add__", "__mul__", "__rmul__", "maxlen"},
    set: {
        "copy", "difference", "intersection", "isdisjoint", "issubset", "issuperset", "union",
        "symmetric_difference", "__and__", "__rand__", "__or__", "__ror__", "__sub__", "__rsub__",
        "__xor__", "__rxor__",
    },
    bytearray: {"copy", "__alloc__", "__release_buffer__"} | set(vars(bytes)),
}  # fmt: skip
NEUTRAL = set(vars(object)) | {
    "__iter__", "__len__", "__getitem__", "__contains__", "__reversed__", "__class_getitem__",
}  # fmt: skip
CHANGES = {
    kind: [
        name
        for name, member in vars(kind).items()
        if callable(member) and name not in reads | NEUTRAL
    ]
    for kind, reads in READS.items()
}
"""Every method of a container that changes it, found in the class itself."""
