"""Keeps ``on_state_change`` from changing the state that it is told of (semantics, 3.3).

While the hook runs, ``self.state`` is a view, which cannot be changed. Assigning another state is
an assignment to the actor itself: a class with the hook gets a ``__setattr__`` that refuses it.
Reading ``self.state`` stays what it is everywhere, an attribute of the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from .errors import StateMutationReentrant
from .read_only import read_only

_IS_GUARDED = "_stator_is_guarded"
"""An attribute of an actor while its hook runs, and of the methods that look for it."""


def guard_class(cls: Any) -> None:
    """Let instances of a class with the hook refuse another state while the hook runs."""
    for name in ("__setattr__", "__delattr__"):
        method = getattr(cls, name)
        if not hasattr(method, _IS_GUARDED):  # an inherited one may do already
            setattr(cls, name, _guarding(method))


def _guarding(method: Callable[..., None]) -> Callable[..., None]:
    def assign(self: Any, name: str, *value: Any) -> None:
        if name == "state" and _IS_GUARDED in self.__dict__:
            raise StateMutationReentrant
        method(self, name, *value)

    setattr(assign, _IS_GUARDED, True)
    return assign


@contextmanager
def guarded_state(actor: Any) -> Generator[Any]:
    """Within the block, let ``actor.state`` be the read-only view that the block gets."""
    attributes = actor.__dict__
    state = attributes["state"]
    attributes["state"] = read_only(state)
    attributes[_IS_GUARDED] = True
    try:
        yield attributes["state"]
    finally:
        del attributes[_IS_GUARDED]
        attributes["state"] = state
