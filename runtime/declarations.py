"""What a class body says about an actor: actions, events and queues.

A declaration knows its Python name from the class body and its wire name from ``name=`` or from
the class keyword ``rename=`` (python-api, section 1).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    Reply = TypeVarWithDefault("Reply", default=None)
else:
    Reply = TypeVar("Reply")

Payload = TypeVar("Payload")
Body = TypeVar("Body")
Method = TypeVar("Method", bound=Callable[..., Any])

Gate = Callable[[Any, Any], bool | Awaitable[bool]]
"""``(actor, conn) -> bool``: whether this connection may."""

ACTION_MARK = "__stator_action__"
ACTION_NAMES = "__stator_names__"
"""Where the function of an action keeps its Python name and its wire name."""


class DefinitionError(TypeError):
    """An actor class, its options or a registry is defined wrongly; raised where it is defined."""


class ActionMark(msgspec.Struct, frozen=True):
    """What the decorator :func:`action` was given."""

    name: str | None = None
    """Wire name; may be dotted."""
    timeout: float | None = None
    """Seconds."""


@overload
def action(method: Method, /) -> Method: ...
@overload
def action(
    *, name: str | None = None, timeout: float | timedelta | None = None
) -> Callable[[Method], Method]: ...
def action(
    method: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float | timedelta | None = None,
) -> Any:
    """Expose a method as an action.

    ``name`` is the wire name (dotted for nested calls: ``"x.y"`` is ``handle.x.y()`` in
    JavaScript), ``timeout`` overrides the option ``action_timeout``, in seconds.
    Raises :class:`DefinitionError`.
    """
    if name is not None and not _is_wire_name(name):
        raise DefinitionError(f"{name!r} is not an action name: dotted parts must not be empty")
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and not 0 < seconds < math.inf:
        raise DefinitionError(f"an action's timeout is in seconds and above 0, not {timeout!r}")

    def mark(target: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(target):
            raise DefinitionError(f"@action goes on a method, not on {target!r}")
        setattr(target, ACTION_MARK, ActionMark(name, seconds))
        return target

    return mark if method is None else mark(method)


def _is_wire_name(name: str) -> bool:
    return bool(name) and all(name.split("."))


class _Declaration:
    """What events and queues have in common: a Python name and a wire name."""

    def __init__(self, name: str | None) -> None:
        if name is not None and not name:
            raise DefinitionError("a wire name must not be empty")
        self.explicit_name = name
        self.python_name = ""
        self.wire_name = name or ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.python_name = name
        self.wire_name = self.explicit_name or name


class Event(_Declaration, Generic[Payload]):
    """An event that actors of a class send: ``new_message = Event[str]()``.

    ``Event[T]`` is validated against ``T`` when it is sent; ``Event()`` takes anything.
    """

    def __init__(self, *, name: str | None = None, can_subscribe: Gate | None = None) -> None:
        super().__init__(name)
        self.subscribe_gate = can_subscribe

    def can_subscribe(self, gate: Method) -> Method:
        """Decorate the method that decides who may subscribe."""
        self.subscribe_gate = gate
        return gate

    @property
    def payload_type(self) -> Any:
        """The type argument, ``Any`` without one."""
        arguments = getattr(self, "__orig_class__", None)
        return arguments.__args__[0] if arguments is not None else Any


class Queue(_Declaration, Generic[Body, Reply]):
    """A durable queue: ``jobs = Queue[Job, Result]()``; ``Queue[Job]()`` has no reply."""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, parameters):
            if not isinstance(parameters, tuple):
                parameters = (parameters, None)
            return super().__class_getitem__(parameters)

    def __init__(self, *, name: str | None = None, can_publish: Gate | None = None) -> None:
        super().__init__(name)
        self.publish_gate = can_publish

    def can_publish(self, gate: Method) -> Method:
        """Decorate the method that decides which clients may publish."""
        self.publish_gate = gate
        return gate

    @property
    def body_type(self) -> Any:
        """The first type argument, ``Any`` without one."""
        arguments = getattr(self, "__orig_class__", None)
        return arguments.__args__[0] if arguments is not None else Any

    @property
    def reply_type(self) -> Any:
        """The second type argument, ``None`` without one."""
        arguments = getattr(self, "__orig_class__", None)
        return arguments.__args__[1] if arguments is not None else Any


def to_camel(name: str) -> str:
    """Return the camelCase of a snake_case name: ``send_all`` is ``sendAll``."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


RENAMES: dict[str | None, Callable[[str], str]] = {None: lambda name: name, "camel": to_camel}
"""The values of the class keyword ``rename=``."""
