"""The parameters of an action: how what a client sent becomes the arguments of a method.

Rule 1. An argument is validated against its annotation by msgspec before the method runs; without
        an annotation it is passed as it was decoded (python-api, section 1).
Rule 2. What a client has no form for arrives as text and is read from it: a datetime from JSON,
        UUIDs, decimals, dates and times from everywhere (client-protocol, 4.1). Bytes have forms
        of their own, so text is never taken for base64.
Rule 3. JavaScript writes whole numbers beyond 32 bits as floats in CBOR and BARE (4.2): such a
        float is good for an ``int``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, get_type_hints

import msgspec

from .declarations import DefinitionError
from .errors import ValidationFailed
from .protocol.kinds import kind_of
from .views import unwrap_all

_NEVER_TEXT = (bytes, bytearray)
"""Types that arrive as themselves only (rule 2)."""

_MAX_WHOLE = 2**53
"""Up to here a float says exactly which whole number it is."""

_EXACT: tuple[type[Any], ...] = (int, str, bool, bytes, datetime)
"""Types for which a look at the value's class says everything."""

_Check = tuple[type[Any] | None, Any]
"""The class whose instances need no conversion, if any, and the annotation."""


def convert_value(value: Any, annotation: Any, name: str) -> Any:
    """Return ``value`` as ``annotation``.

    Raises :class:`ValidationFailed` whose message names the argument ``name`` and the place in
    it, and whose metadata lists the issues.
    """
    try:
        return msgspec.convert(value, annotation, builtin_types=_NEVER_TEXT)
    except msgspec.ValidationError as error:
        bare = unwrap_all(value)  # what `on_state_change` read of the state
        for other in (bare, _with_whole_numbers(bare)):
            try:
                return msgspec.convert(other, annotation, builtin_types=_NEVER_TEXT)
            except msgspec.ValidationError:
                pass  # the first problem is about what the client really sent
        raise ValidationFailed(
            f"argument '{name}': {str(error).replace('`$', f'`{name}')}",
            metadata={"issues": [{"path": [name], "message": str(error)}]},
        ) from error


def _with_whole_numbers(value: Any) -> Any:
    kind = kind_of(value)
    if kind is float:
        is_whole = value.is_integer() and abs(value) <= _MAX_WHOLE
        return int(value) if is_whole else value
    if kind is dict:
        return {_with_whole_numbers(k): _with_whole_numbers(item) for k, item in value.items()}
    if kind is list:
        return [_with_whole_numbers(item) for item in value]
    if kind is set:
        return {_with_whole_numbers(item) for item in value}
    return value


@cache
def result_type_of(method: Callable[..., Any]) -> Any:
    """Return what an action says it returns, ``Any`` if that says nothing msgspec can check."""
    try:
        annotation = get_type_hints(method).get("return", Any)
        info = msgspec.inspect.type_info(annotation)
    except (NameError, TypeError):
        return Any
    return Any if isinstance(info, msgspec.inspect.CustomType) else annotation


def convert_result(output: Any, annotation: Any, action: str) -> Any:
    """Return an action's output as ``annotation``. Raises :class:`ValidationFailed`."""
    if annotation is Any:
        return output
    try:
        return msgspec.convert(output, annotation, builtin_types=_NEVER_TEXT)
    except msgspec.ValidationError as error:
        raise ValidationFailed(
            f"the result of {action} is not what it promises: {error}"
        ) from error


class Parameters:
    """The parameters of one action or hook after ``self``."""

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
        for parameter in _without_self(method):
            self._add(parameter, hints.get(parameter.name, Any))

    def _add(self, parameter: inspect.Parameter, annotation: Any) -> None:
        annotation = Any if annotation is object else annotation
        check_is_convertible(annotation, f"parameter {parameter.name!r} of {self._name}")
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
                value = convert_value(value, annotation, self._name_of(index))
            bound.append(value)
        return bound

    def _name_of(self, index: int) -> str:
        named = len(self._names)
        return self._names[index] if index < named else f"{self._rest}[{index - named}]"

    def _describe_arity(self) -> str:
        most = len(self._names)
        if most == self._required:
            return f"{most} argument{'' if most == 1 else 's'}"
        return f"{self._required} to {most} arguments"


def _check_of(annotation: Any) -> _Check:
    return (annotation if annotation in _EXACT else None), annotation


def _without_self(method: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    parameters = iter(inspect.signature(method).parameters.values())
    first = next(parameters, None)
    if first is not None and first.kind is first.VAR_POSITIONAL:
        yield first
    yield from parameters


def _resolve_hints(method: Callable[..., Any], name: str) -> dict[str, Any]:
    """Return the annotations of the parameters; what a method returns is nobody's input."""
    written = dict(inspect.get_annotations(method))
    written.pop("return", None)
    module = getattr(inspect.unwrap(method), "__globals__", {})
    try:
        holder = SimpleNamespace(__annotations__=written)
        return get_type_hints(holder, globalns=module, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise DefinitionError(
            f"action {name}: an annotation cannot be resolved, because it names something that is "
            f"not at module level or is no type: {error}"
        ) from error


def check_is_convertible(annotation: Any, what: str) -> None:
    """Find out where the class is defined, not at the first call, that msgspec refuses a type.

    Raises :class:`DefinitionError`.
    """
    if annotation is Any:
        return
    try:
        info = msgspec.inspect.type_info(annotation)
    except TypeError as error:
        raise DefinitionError(f"{what}: {annotation!r} cannot be validated: {error}") from error
    if isinstance(info, msgspec.inspect.CustomType):
        raise DefinitionError(f"{what}: {annotation!r} is not a type that clients can send")
