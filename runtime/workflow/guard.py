"""Keeps the body of a workflow from using its actor outside steps (python-api, section 8).

The body is run again after a restart; what it reads would be something else then, and what it does
would be done twice. A class with a workflow gets descriptors that ask on whose behalf code runs:
its caller (``calling.py``) may have a ``workflow_scope``.

Rule 1. Without one (actions, hooks) everything is as in every actor.
Rule 2. :data:`BODY` is refused all of :data:`FEATURES`.
Rule 3. A :class:`StepScope` is refused them once its attempt is over. Its draft, if it has one, is
        what it reads and writes as ``self.state``.
Rule 4. What a body in a thread calls (:data:`CALLS`) happens on the event loop.
Rule 5. ``state`` and ``vars`` stay in the ``__dict__`` of the actor, where the runtime finds them,
        whoever calls: :func:`raw_state`. The first value is its, so that nothing is asked of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Protocol

from ..calling import CALLER
from ..errors import StateNotEnabled
from ..workflow_errors import OutsideStep

BODY = "body"
"""The ``workflow_scope`` of a workflow's own code."""

FEATURES = frozenset(
    {
        "state",
        "vars",
        "db",
        "kv",
        "client",
        "broadcast",
        "schedule",
        "cron",
        "queue",
        "conns",
    }
)
"""What a workflow uses inside steps only."""

CALLS = frozenset({"broadcast", "sleep", "destroy", "keep_awake", "wait_until"})
"""Methods of an actor that touch the place it lives in and return at once."""

_SLOTS = frozenset({"state", "vars"})


class StepScope(Protocol):
    """On whose behalf the body of a step runs, in its caller's ``workflow_scope``."""

    @property
    def is_open(self) -> bool:
        """Whether the workflow still wants what the body does."""
        ...

    @property
    def draft(self) -> Any:
        """What holds the state of a ``txn`` as ``value``; ``None`` outside one."""
        ...

    def on_loop(self, call: Callable[[], Any]) -> Any:
        """Call on the event loop and return what that returns; ``loop_calls.py``."""
        ...


def guard_workflow_class(cls: Any) -> None:
    """Let instances of a class with a workflow refuse their features outside steps.

    To be called when ``state`` and ``vars`` were taken out of the class body.
    """
    for name in _SLOTS:
        if not has_guard(cls, name):
            setattr(cls, name, _GuardedSlot(name))
    for name in FEATURES - _SLOTS - CALLS:
        declared = inspect.getattr_static(cls, name, None)
        if declared is not None and not isinstance(declared, _GuardedFeature):
            setattr(cls, name, _GuardedFeature(name, declared))
    for name in CALLS:
        method = getattr(cls, name)
        if not hasattr(method, _MARK):
            setattr(cls, name, _guarding(name, method))


def has_guard(cls: type[Any], name: str = "state") -> bool:
    """Whether ``state`` (or ``vars``) of a class's instances is guarded."""
    return isinstance(inspect.getattr_static(cls, name, None), _GuardedSlot)


def raw_state(actor: Any) -> Any:
    """Return the state of an actor, whoever calls (rule 5). Raises ``actor.state_not_enabled``."""
    try:
        return actor.__dict__["state"]
    except KeyError:
        raise StateNotEnabled from None


def set_raw_state(actor: Any, value: Any) -> None:
    """Give an actor another state, whoever calls (rule 5)."""
    actor.__dict__["state"] = value


WORKFLOW_MARK = "__stator_workflow__"
"""An attribute of functions that ``@workflow`` was put on."""

_MARK = "__stator_workflow_guard__"


def _scope_of(actor: Any) -> Any:
    """Return the scope that the running code has in the workflow of ``actor``."""
    caller: Any = CALLER.get()
    if caller is None:
        return None
    scope = getattr(caller, "workflow_scope", None)
    if scope is None:
        return None
    # Instances of two generations share their host; code of another actor is not this one's.
    return scope if caller.actor._host is actor._host else None


def _check(scope: Any, feature: str) -> None:
    if scope == BODY:
        raise OutsideStep(
            f"`self.{feature}` is for steps: the body of a workflow is run again after a restart, "
            "so put what uses it into a step (`wf.step`)"
        )
    if not scope.is_open:
        raise OutsideStep(
            f"`self.{feature}` was used by a step whose attempt is over: the body of a step does "
            "all it has to do before it ends"
        )


class _GuardedSlot:
    """``state`` or ``vars``."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, actor: Any, owner: Any = None) -> Any:
        name = self._name
        if actor is None:
            raise AttributeError(f"{owner.__qualname__} has no attribute {name!r}")
        scope = _scope_of(actor)
        if scope is not None:
            _check(scope, name)
            if name == "state" and scope.draft is not None:
                return scope.draft.value
        try:
            return actor.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None  # the actor says what it means that there is none

    def __set__(self, actor: Any, value: Any) -> None:
        name, values = self._name, actor.__dict__
        scope = _scope_of(actor) if name in values else None
        if scope is not None:
            _check(scope, name)
            if name == "state" and scope.draft is not None:
                scope.draft.value = value
                return
        values[name] = value

    def __delete__(self, actor: Any) -> None:
        scope = _scope_of(actor)
        if scope is not None:
            _check(scope, self._name)
        if self._name not in actor.__dict__:
            raise AttributeError(self._name)
        del actor.__dict__[self._name]


class _GuardedFeature:
    """A property of an actor, or its database."""

    __slots__ = ("_inner", "_name")

    def __init__(self, name: str, inner: Any) -> None:
        self._name = name
        self._inner = inner

    def __get__(self, actor: Any, owner: Any = None) -> Any:
        if actor is not None:
            scope = _scope_of(actor)
            if scope is not None:
                _check(scope, self._name)
        return self._inner.__get__(actor, owner)

    def __set__(self, actor: Any, value: Any) -> None:
        raise AttributeError(f"{self._name} of an actor cannot be set")


def _guarding(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    is_for_steps = name in FEATURES

    @wraps(method)
    def call(self: Any, *args: Any, **keywords: Any) -> Any:
        scope = _scope_of(self)
        if scope is None:
            return method(self, *args, **keywords)
        if is_for_steps:
            _check(scope, name)
        if scope == BODY:
            return method(self, *args, **keywords)
        on_loop = getattr(scope, "on_loop", None)  # without one its bodies run in no threads
        bound = partial(method, self, *args, **keywords)
        return bound() if on_loop is None else on_loop(bound)

    setattr(call, _MARK, True)
    return call
