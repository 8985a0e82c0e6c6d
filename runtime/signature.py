"""The parameters of an action: how what a client sent becomes the arguments of a method.

An argument is validated against its annotation by msgspec before the method runs; without an
annotation it is passed as it was decoded (python-api, section 1).
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, get_type_hints

import msgspec

from .declarations import DefinitionError
from .errors import ValidationFailed

_NATIVE = (bytes, bytearray, datetime, date, time, timedelta, uuid.UUID, Decimal)
"""Types that arrive as themselves: the client protocol has its own forms for them."""

_EXACT: tuple[type[Any], ...] = (int, str, bool, bytes, datetime)
"""Types for which a look at the value's class says everything."""

_Check = tuple[type[Any] | None, Any]
"""The class whose instances need no conversion, if any, and the annotation."""


def convert_value(value: Any, annotation: Any, what: str) -> Any:
    """Return ``value`` as ``annotation``.

    Raises :class:`ValidationFailed` whose message starts with ``what`` and whose metadata lists
    the issues.
    """
    try:
        return msgspec.convert(value, annotation, builtin_types=_NATIVE)
    except msgspec.ValidationError as error:
        problem = str(error).replace("`$", "`" + what.split(" ")[-1].strip("'"))
        raise ValidationFailed(
            f"{what}: {problem}", metadata={"issues": [{"path": [what], "message": str(error)}]}
        ) from error


class Parameters:
    """The parameters of one action after ``self``."""

    __slots__ = ("_checks", "_name", "_names", "_required", "_rest", "_rest_check")

    def __init__(self, method: Callable[..., Any], name: str) -> None:
        """Raises :class:`DefinitionError` for a signature that no client can call."""
        self._name = name
        self._names: list[str] = []
        self._checks: list[_Check] = []
        self._required = 0
        self._rest: str | None = None
        self._rest_check: _Check = (None, Any)
        hints = _resolve_hints(method, name)
        for parameter in list(inspect.signature(method).parameters.values())[1:]:
            self._add(parameter, hints.get(parameter.name, Any))

    def _add(self, parameter: inspect.Parameter, annotation: Any) -> None:
        _check_is_convertible(annotation, f"parameter {parameter.name!r} of action {self._name}")
        if parameter.kind is parameter.VAR_POSITIONAL:
            self._rest, self._rest_check = parameter.name, _check_of(annotation)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                raise DefinitionError(
                    f"action {self._name}: {parameter.name!r} is keyword-only and has no default, "
                    "but clients pass arguments by position"
                )
        elif parameter.kind is not parameter.VAR_KEYWORD:
            self._names.append(parameter.name)
            self._checks.append(_check_of(annotation))
            if parameter.default is parameter.empty:
                self._required += 1

    def bind(self, arguments: Sequence[Any]) -> Sequence[Any]:
        """Return the validated arguments. Raises :class:`ValidationFailed` naming the argument."""
        count = len(arguments)
        checks = self._checks
        if count > len(checks) and self._rest is None:
            raise ValidationFailed(
                f"{self._name} takes {self._describe_arity()}, {count} were given",
                metadata={"issues": [{"path": [], "message": "too many arguments"}]},
            )
        if count < self._required:
            missing = self._names[count]
            raise ValidationFailed(
                f"{self._name} needs the argument '{missing}'",
                metadata={"issues": [{"path": [missing], "message": "missing"}]},
            )
        bound: list[Any] = []
        for index, value in enumerate(arguments):
            exact, annotation = checks[index] if index < len(checks) else self._rest_check
            if annotation is not Any and type(value) is not exact:
                value = convert_value(value, annotation, f"argument '{self._name_of(index)}'")
            bound.append(value)
        return bound

    def _name_of(self, index: int) -> str:
        return self._names[index] if index < len(self._names) else f"{self._rest}[{index}]"

    def _describe_arity(self) -> str:
        most = len(self._names)
        if most == self._required:
            return f"{most} argument{'' if most == 1 else 's'}"
        return f"{self._required} to {most} arguments"


def _check_of(annotation: Any) -> _Check:
    return (annotation if annotation in _EXACT else None), annotation


def _resolve_hints(method: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(method)
    except NameError as error:
        raise DefinitionError(
            f"action {name}: an annotation names something that is not at module level: {error}"
        ) from error


def _check_is_convertible(annotation: Any, what: str) -> None:
    """Find out where the class is defined, not at the first call, that msgspec refuses a type."""
    if annotation is Any:
        return
    try:
        info = msgspec.inspect.type_info(annotation)
    except TypeError as error:
        raise DefinitionError(f"{what}: {annotation!r} cannot be validated: {error}") from error
    if isinstance(info, msgspec.inspect.CustomType):
        raise DefinitionError(f"{what}: {annotation!r} is not a type that clients can send")
