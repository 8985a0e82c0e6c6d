"""``@workflow``: says that the ``run`` of an actor class is durable (python-api, section 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

import msgspec

from ..declarations import DefinitionError
from .callables import positional_count
from .guard import WORKFLOW_MARK

ERROR_HOOK = "on_workflow_error"

Function = TypeVar("Function", bound=Callable[..., Any])


class WorkflowMark(msgspec.Struct, frozen=True):
    """What the decorator was given."""

    on_error: Callable[..., Any] | None = None
    on_failure: Literal["stop", "retry"] = "stop"


class WorkflowDefinition(msgspec.Struct, frozen=True):
    """The workflow of an actor class."""

    function: Callable[..., Any]
    """Takes the actor and its ``Workflow``."""
    on_error: Callable[[Any, Any], Any] | None
    """Takes the actor and a ``WorkflowErrorEvent``."""
    retries_failed: bool
    """Whether a run that failed is retried when the actor starts."""


@overload
def workflow(function: Function, /) -> Function: ...
@overload
def workflow(
    function: Function,
    /,
    *,
    on_error: Callable[..., Any] | None = None,
    on_failure: Literal["stop", "retry"] = "stop",
) -> Function: ...
@overload
def workflow(
    *,
    on_error: Callable[..., Any] | None = None,
    on_failure: Literal["stop", "retry"] = "stop",
) -> Callable[[Function], Function]: ...
def workflow(
    function: Any = None,
    /,
    *,
    on_error: Callable[..., Any] | None = None,
    on_failure: Literal["stop", "retry"] = "stop",
) -> Any:
    """Make the method ``run(self, wf)`` a workflow; also ``run = workflow(function)``.

    A function that takes one argument gets the :class:`.context.Workflow` alone. ``on_error`` is
    the error hook where the class has no ``on_workflow_error``. With ``on_failure="retry"`` a run
    that failed is retried whenever the actor starts; else it stays failed. Raises
    ``DefinitionError``.
    """
    if on_failure not in ("stop", "retry"):
        raise DefinitionError(f"on_failure is 'stop' or 'retry', not {on_failure!r}")

    def mark(target: Any) -> Any:
        if not callable(target):
            raise DefinitionError(f"@workflow goes on a method, not on {target!r}")
        setattr(target, WORKFLOW_MARK, WorkflowMark(on_error, on_failure))
        return target

    return mark if function is None else mark(function)


def is_workflow(function: object) -> bool:
    """Whether a ``run`` is a workflow."""
    return isinstance(getattr(function, WORKFLOW_MARK, None), WorkflowMark)


def read_workflow(cls: type[Any]) -> WorkflowDefinition | None:
    """Return the workflow of an actor class. Raises ``DefinitionError``."""
    function = getattr(cls, "run", None)
    mark = getattr(function, WORKFLOW_MARK, None)
    if function is None or not isinstance(mark, WorkflowMark):
        return None
    hook = getattr(cls, ERROR_HOOK, None) or _taking_both(mark.on_error)
    return WorkflowDefinition(_with_actor(cls, function), hook, mark.on_failure == "retry")


def _with_actor(cls: type[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    count = positional_count(function)
    if count == 0:
        raise DefinitionError(f"{cls.__qualname__}.run takes the workflow: run(self, wf)")
    return function if count != 1 else _without_actor(function)


def _without_actor(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(actor: Any, workflow: Any) -> Any:
        return function(workflow)

    run.__annotations__ = {"return": getattr(function, "__annotations__", {}).get("return", Any)}
    return run


def _taking_both(hook: Callable[..., Any] | None) -> Callable[[Any, Any], Any] | None:
    if hook is None or positional_count(hook) != 1:
        return hook
    return lambda actor, event: hook(event)
