"""What the runtime knows of an actor class, read from the class once.

:func:`read_class` runs where the class is defined and finds what can be wrong there: names,
options, hooks. :class:`ActorDefinition` is made by ``setup`` when every annotation can be resolved.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from .database import Database
from .declarations import (
    ACTION_MARK,
    ACTION_NAMES,
    RENAMES,
    ActionMark,
    DefinitionError,
    Event,
    Queue,
)
from .errors import StateNotSerializable
from .options import Options, Settings, resolve_settings
from .protocol.kinds import kind_of
from .signature import Parameters, check_is_convertible, result_type_of
from .state_codec import StateCodec, StateTracker
from .state_guard import guard_class
from .workflow.declaration import is_workflow, read_workflow
from .workflow.guard import guard_workflow_class, has_guard

HOOKS = frozenset(
    {
        "on_migrate",
        "create_state",
        "on_create",
        "create_vars",
        "on_wake",
        "run",
        "on_sleep",
        "on_destroy",
        "on_before_action_response",
        "on_before_connect",
        "create_conn_state",
        "on_connect",
        "on_disconnect",
        "on_request",
        "on_state_change",
        "on_websocket",
        "on_workflow_error",
    }
)
"""Methods the runtime calls by name (python-api, section 3)."""

START_HOOKS = frozenset({"on_migrate", "create_state", "on_create", "create_vars", "on_wake"})
"""Hooks of creation and wake; their arguments are validated like those of an action."""

PARAMS_HOOKS = frozenset({"on_before_connect", "create_conn_state"})
"""Hooks that get the client's connection parameters, validated in the same way."""

CONNECTION_HOOKS = PARAMS_HOOKS | {"on_connect", "on_disconnect"}
"""Hooks around every connection, also around the short one that carries a single call."""

_ABSENT: Any = object()
_OF_THE_CLASS: tuple[type[Any], ...] = (staticmethod, classmethod)


class Slot(msgspec.Struct, frozen=True):
    """How ``state`` and its like begin: with a value to copy, a type to build, or not at all."""

    value: Any = _ABSENT
    annotation: Any = _ABSENT
    """May be a string until :meth:`resolve`."""

    @property
    def is_declared(self) -> bool:
        """Whether the class body mentions it at all."""
        return self.has_value or self.annotation is not _ABSENT

    @property
    def has_value(self) -> bool:
        """Whether there is a value to copy."""
        return self.value is not _ABSENT


class ClassBody(msgspec.Struct, frozen=True):
    """What the body of an actor class declares; inherited by subclasses."""

    state: Slot
    conn_state: Slot
    vars: Slot
    rename: str | None
    options: Options


class ActionDefinition(msgspec.Struct, frozen=True, gc=False):
    """One action, ready to be called."""

    name: str
    """Wire name."""
    method: Callable[..., Any]
    """The plain function; takes the actor first."""
    parameters: Parameters
    is_async: bool
    timeout: float
    """Seconds."""


class ActorDefinition:
    """One actor class under its name in a registry."""

    __slots__ = (
        "actions",
        "cls",
        "conn_state",
        "conn_state_codec",
        "database",
        "events",
        "guards_state",
        "has_conn_state",
        "has_state",
        "has_vars",
        "hook_parameters",
        "hooks",
        "is_durable",
        "is_guarded",
        "name",
        "queues",
        "settings",
        "state",
        "state_codec",
        "tells_changes",
        "vars",
        "workflow",
    )

    def __init__(
        self,
        name: str,
        cls: type[Any],
        registry_defaults: Mapping[str, Any],
        configured: Mapping[str, Any],
    ) -> None:
        """Raises :class:`DefinitionError`."""
        body: ClassBody = cls.__stator_body__
        self.name = name
        self.cls = cls
        self.settings: Settings = resolve_settings(body.options, registry_defaults, configured)
        self.is_durable = self.settings.durability == "commit"
        self.hooks = frozenset(hook for hook in HOOKS if hasattr(cls, hook))
        self.hook_parameters = {
            hook: Parameters(getattr(cls, hook), hook)
            for hook in self.hooks & (START_HOOKS | PARAMS_HOOKS)
        }
        self.state = _typed_by(cls, "create_state", _resolve_slot(cls, "state", body.state))
        self.vars = body.vars
        if "create_vars" not in self.hooks and not body.vars.has_value:
            self.vars = _resolve_slot(cls, "vars", body.vars)
        self.has_state = body.state.is_declared or "create_state" in self.hooks
        self.has_vars = body.vars.is_declared or "create_vars" in self.hooks
        self.state_codec = _make_codec(f"the state of {name}", self.state)
        self.conn_state = _typed_by(
            cls, "create_conn_state", _resolve_slot(cls, "conn_state", body.conn_state)
        )
        self.has_conn_state = body.conn_state.is_declared or "create_conn_state" in self.hooks
        self.conn_state_codec = _make_codec(f"the conn_state of {name}", self.conn_state)
        self.tells_changes = "on_state_change" in self.hooks
        self.guards_state = has_guard(cls)
        self.is_guarded = self.has_conn_state or not CONNECTION_HOOKS.isdisjoint(self.hooks)
        self.actions = _read_actions(cls, body, self.settings)
        self.events = {event.wire_name: event for event in _members(cls, Event).values()}
        self.queues = {queue.wire_name: queue for queue in _members(cls, Queue).values()}
        self.workflow = read_workflow(cls)
        self._check_declared_types()
        database = getattr(cls, "db", None)
        self.database: Database | None = database if isinstance(database, Database) else None
        if body.state.is_declared and "create_state" not in self.hooks:
            self._check_initial_state()
        if body.conn_state.is_declared and "create_conn_state" not in self.hooks:
            self.initial_conn_state()

    @property
    def wants_requests(self) -> bool:
        """Whether a hook may look at the request behind a single call."""
        return not CONNECTION_HOOKS.isdisjoint(self.hooks) or any(
            queue.publish_gate is not None for queue in self.queues.values()
        )

    def _check_declared_types(self) -> None:
        for event in self.events.values():
            check_is_convertible(event.payload_type, f"event {event.wire_name!r} of {self.name}")
        for queue in self.queues.values():
            what = f"queue {queue.wire_name!r} of {self.name}"
            check_is_convertible(queue.body_type, what)
            check_is_convertible(queue.reply_type, what)

    def initial_state(self) -> Any:
        """Return the state of a new actor that has no ``create_state``."""
        return _initial_value(self.state, f"the state of {self.name}")

    def initial_vars(self) -> Any:
        """Return the vars of a starting actor that has no ``create_vars``."""
        return _initial_value(self.vars, f"the vars of {self.name}")

    def initial_conn_state(self) -> Any:
        """Return the state of a new connection of a class without ``create_conn_state``."""
        return _initial_value(self.conn_state, f"the conn_state of {self.name}")

    def _check_initial_state(self) -> None:
        state = self.initial_state()
        try:
            StateTracker(self.state_codec).capture(state)
        except StateNotSerializable as error:
            raise DefinitionError(f"the state of {self.name}: {error.message}") from error


def read_class(cls: type[Any], rename: str | None) -> None:
    """Check a new actor class and take ``state``, ``conn_state`` and ``vars`` out of its body.

    They become attributes of each instance, so that reading ``self.state`` costs what reading any
    attribute costs. Raises :class:`DefinitionError`.
    """
    inherited: ClassBody | None = getattr(cls, "__stator_body__", None)
    if rename is None and inherited is not None:
        rename = inherited.rename
    if rename not in RENAMES:
        raise DefinitionError(f"{cls.__qualname__}: rename is 'camel' or absent, not {rename!r}")
    _name_declarations(cls, RENAMES[rename])
    for wire, action in _read_action_names(cls, RENAMES[rename]).items():
        if action.python in vars(cls):
            setattr(action.method, ACTION_NAMES, (action.python, wire))
    options = cls.__dict__.get("options", inherited.options if inherited else Options())
    if not isinstance(options, Options):
        raise DefinitionError(f"{cls.__qualname__}.options is an Options(...), not {options!r}")
    cls.__stator_body__ = ClassBody(
        state=_take_slot(cls, "state", inherited.state if inherited else Slot()),
        conn_state=_take_slot(cls, "conn_state", inherited.conn_state if inherited else Slot()),
        vars=_take_slot(cls, "vars", inherited.vars if inherited else Slot()),
        rename=rename,
        options=options,
    )
    for hook in HOOKS:
        if (member := getattr(cls, hook, None)) is not None and not callable(member):
            raise DefinitionError(f"{cls.__qualname__}.{hook} is a hook and must be a method")
    if _runs_later(getattr(cls, "on_state_change", None)):
        raise DefinitionError(
            f"{cls.__qualname__}.on_state_change must be a plain `def`: it runs while nothing else "
            "does, so that it sees the state that changed; start a task for what takes time"
        )
    if hasattr(cls, "on_state_change"):
        guard_class(cls)
    if is_workflow(getattr(cls, "run", None)):
        guard_workflow_class(cls)


def _runs_later(method: object) -> bool:
    """Whether a call of ``method`` only makes something that has to be awaited or iterated."""
    return (
        inspect.iscoroutinefunction(method)
        or inspect.isgeneratorfunction(method)
        or inspect.isasyncgenfunction(method)
    )


def _take_slot(cls: type[Any], name: str, inherited: Slot) -> Slot:
    value = cls.__dict__.get(name, _ABSENT)
    annotation = inspect.get_annotations(cls).get(name, _ABSENT)
    if value is not _ABSENT:
        delattr(cls, name)
        if annotation is _ABSENT and _is_record(value):
            annotation = kind_of(value)
        return Slot(value, annotation)
    return inherited if annotation is _ABSENT else Slot(_ABSENT, annotation)


def _is_record(value: object) -> bool:
    return isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(type(value))


def _name_declarations(cls: type[Any], rename: Callable[[str], str]) -> None:
    for kind in (Event, Queue):
        owners: dict[str, str] = {}
        for python, declaration in _members(cls, kind).items():
            if python in RESERVED or python in HOOKS:
                raise DefinitionError(
                    f"{cls.__qualname__}.{python} is a member of Actor; rename it"
                )
            wire_name = declaration.explicit_name or rename(python)
            if wire_name != declaration.wire_name and python not in vars(cls):
                # Inherited: the class it comes from goes on calling it as before.
                declaration = copy.copy(declaration)
                setattr(cls, python, declaration)
            declaration.wire_name = wire_name
            if (other := owners.setdefault(declaration.wire_name, python)) != python:
                raise DefinitionError(
                    f"{cls.__qualname__}: {other} and {python} are both "
                    f"{kind.__name__.lower()} {declaration.wire_name!r}"
                )


def _members(cls: type[Any], kind: type[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found.update({n: m for n, m in vars(base).items() if isinstance(m, kind)})
    return {name: member for name, member in found.items() if getattr(cls, name, None) is member}


class _Action(NamedTuple):
    python: str
    method: Callable[..., Any]
    mark: ActionMark


def _marked_methods(cls: type[Any]) -> list[_Action]:
    methods: dict[str, _Action] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            inner = member.__func__ if isinstance(member, _OF_THE_CLASS) else member
            mark = getattr(inner, ACTION_MARK, None)
            if isinstance(mark, ActionMark):
                methods[name] = _Action(name, member, mark)
            else:
                methods.pop(name, None)
    return list(methods.values())


def wire_names_of(cls: type[Any]) -> dict[str, str]:
    """Return the wire names of a class's actions by their Python names."""
    body: ClassBody = cls.__stator_body__
    named = _read_action_names(cls, RENAMES[body.rename])
    return {action.python: wire for wire, action in named.items()}


def _read_action_names(cls: type[Any], rename: Callable[[str], str]) -> dict[str, _Action]:
    """Return the actions by wire name. Raises :class:`DefinitionError`."""
    named: dict[str, _Action] = {}
    for action in _marked_methods(cls):
        wire = action.mark.name or rename(action.python)
        where = f"{cls.__qualname__}.{action.python}"
        if action.python in RESERVED or action.python in HOOKS:
            raise DefinitionError(f"{where} is a member of Actor; rename it")
        if isinstance(action.method, _OF_THE_CLASS):
            raise DefinitionError(f"{where} is an action and must be a method of the instance")
        if wire in named:
            raise DefinitionError(f"{cls.__qualname__}: two actions are called {wire!r}")
        named[wire] = action
    return named


RESERVED: set[str] = set()
"""Names that ``Actor`` itself uses; filled where it is defined."""


def _read_actions(
    cls: type[Any], body: ClassBody, settings: Settings
) -> dict[str, ActionDefinition]:
    return {
        wire: ActionDefinition(
            name=wire,
            method=action.method,
            parameters=Parameters(action.method, wire),
            is_async=inspect.iscoroutinefunction(action.method),
            timeout=action.mark.timeout or settings.action_timeout,
        )
        for wire, action in _read_action_names(cls, RENAMES[body.rename]).items()
    }


def _resolve_slot(cls: type[Any], name: str, slot: Slot) -> Slot:
    if not isinstance(slot.annotation, str):
        return slot
    for base in cls.__mro__:
        if inspect.get_annotations(base).get(name) == slot.annotation:
            module = vars(sys.modules[base.__module__])
            try:
                resolved = eval(slot.annotation, module, dict(vars(base)))
            except Exception as error:
                raise DefinitionError(
                    f"{cls.__qualname__}.{name}: the annotation {slot.annotation!r} cannot be "
                    f"resolved ({error}); its type must be at module level"
                ) from error
            return Slot(slot.value, resolved)
    return slot


def _typed_by(cls: type[Any], hook: str, slot: Slot) -> Slot:
    """Let the hook's return annotation say the type, where the class body does not."""
    method = getattr(cls, hook, None)
    if method is None or slot.is_declared:
        return slot
    returned = result_type_of(method)
    return slot if returned in (Any, None) else Slot(annotation=returned)


def _make_codec(what: str, slot: Slot) -> StateCodec:
    try:
        return StateCodec(Any if slot.annotation is _ABSENT else slot.annotation)
    except TypeError as error:
        raise DefinitionError(f"{what}: {error}") from error


def _initial_value(slot: Slot, what: str) -> Any:
    if slot.has_value:
        try:
            return copy.deepcopy(slot.value)
        except TypeError as error:
            raise DefinitionError(f"{what} cannot be copied: {error}") from error
    if slot.annotation is _ABSENT:
        return None
    builder = getattr(slot.annotation, "__origin__", slot.annotation)
    try:
        return builder()
    except TypeError as error:
        raise DefinitionError(
            f"{what} is annotated as {slot.annotation!r}, which cannot be built without "
            "arguments: give its fields defaults, assign a value or define create_state"
        ) from error
