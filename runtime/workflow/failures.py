"""Exceptions that can be raised again after a restart.

Rule 1. A recorded exception comes back as its class, without its ``__init__``: with its arguments
        and those of its attributes that are plain (text, numbers, truth values, ``None``), of an
        ``ActorError`` also its metadata. So ``except``, ``isinstance`` and ``str`` work.
Rule 2. Exceptions in it come back likewise: its attributes that are one or a dict of them, and the
        members of an ``ExceptionGroup``.
Rule 3. If its class is not there, is local to a function or is no ``Exception``, a
        :class:`RecordedError` stands for it.
Rule 4. The code of a workflow is given what came back, live as in a replay, so that both see the
        same; live its ``__cause__`` is the original.
Rule 5. The stack is text for people. Only who asks for it sends it anywhere.
"""

from __future__ import annotations

import traceback
from typing import Any

from msgspec import msgpack

from ..errors import ActorError
from ..protocol.kinds import is_object, kind_of
from ..workflow_errors import (
    HistoryUnreadable,
    OutputNotSerializable,
    RecordedError,
    text_of,
)
from .entries import ErrorRecord
from .references import find, reference_of
from .values import decode_value, encode_value

__all__ = ["RecordedError", "as_recorded", "record_error", "revive_error"]

MAX_STACK_BYTES = 4 * 1024
MAX_TEXT = 16 * 1024
"""Characters of a message, or of an attribute."""
MAX_VALUE_BYTES = 64 * 1024
"""Of the arguments, and of the metadata."""
_MAX_FRAMES = 40
_MAX_DEPTH = 8
"""How deep exceptions are recorded within one another."""

_RECORD = "__stator_record__"
"""Where an exception that came back keeps its record, for the stack in it."""
_IDENTITY = frozenset({"message", "group", "code", "metadata"})
_GROUPED = "exceptions"


def record_error(error: BaseException) -> ErrorRecord:
    """Return the record of an exception; raises nothing, whatever the exception."""
    return _record(error, 0)


def as_recorded(error: BaseException) -> tuple[ErrorRecord, Exception]:
    """Return the record of an exception and what it comes back as, with it as cause (rule 4)."""
    record = record_error(error)
    revived = revive_error(record)
    revived.__cause__ = error
    return record, revived


def _record(error: BaseException, depth: int) -> ErrorRecord:
    attributes: dict[str, Any] = getattr(error, "__dict__", {})
    before = attributes.get(_RECORD)
    if isinstance(before, ErrorRecord):
        return before  # it came back and is raised again
    known = error if isinstance(error, ActorError) else None
    skipped: frozenset[str] = frozenset() if known is None else _IDENTITY
    return ErrorRecord(
        name=_name_of(error),
        message=_text(_message_of(error)),
        home=_text(reference_of(type(error))),
        arguments=_image_of(_arguments_to(error)),
        attributes={
            name: _text(value) if isinstance(value, str) else value
            for name, value in attributes.items()
            if name not in skipped and _is_plain(value)
        },
        group="" if known is None else _text(known.group),
        code="" if known is None else _text(known.code),
        metadata=None if known is None else _metadata_of(known),
        stack=_stack_of(error),
        inner=_inner_of(error, attributes, depth + 1) if depth < _MAX_DEPTH else {},
    )


def _name_of(error: BaseException) -> str:
    return error.name if isinstance(error, RecordedError) else type(error).__name__


def _message_of(error: BaseException) -> str:
    if isinstance(error, ActorError | RecordedError | BaseExceptionGroup):
        return str(error.message)  # the text of these says more than they are made of
    return text_of(error)


def _text(text: str) -> str:
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def _is_plain(value: object) -> bool:
    kind = kind_of(value)
    if kind is int:
        return -(2**63) <= value < 2**64  # type: ignore[operator]
    return kind in (str, bool, float) or value is None


def _arguments_to(error: BaseException) -> tuple[Any, ...]:
    # The `args` of an OSError leave out the names of files, its pickle does not.
    return OSError.__reduce__(error)[1] if isinstance(error, OSError) else error.args  # type: ignore[return-value]


def _image_of(arguments: tuple[Any, ...]) -> bytes:
    try:
        image = encode_value(arguments)
    except OutputNotSerializable:
        return b""
    return image if len(image) <= MAX_VALUE_BYTES else b""


def _metadata_of(error: ActorError) -> Any:
    """Return the metadata as msgpack has it; the text of what it has no form for."""
    if error.metadata is None:
        return None
    try:
        data = msgpack.encode(error.metadata)
        if len(data) <= MAX_VALUE_BYTES:
            return msgpack.decode(data)
    except Exception:  # any object may be in it
        pass
    return _text(_representation(error.metadata))


def _representation(value: object) -> str:
    try:
        return repr(value)[:1000]
    except Exception:  # code of the application
        return f"<{type(value).__qualname__}>"


def _stack_of(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error, limit=-_MAX_FRAMES))
    except Exception:  # code of the application: `__str__` and the like
        return ""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_STACK_BYTES:
        return data.decode()
    # The end says what was raised and where.
    return "...\n" + data[4 - MAX_STACK_BYTES :].decode("utf-8", "ignore")


def _inner_of(
    error: BaseException, attributes: dict[str, Any], depth: int
) -> dict[str, ErrorRecord | dict[str, ErrorRecord]]:
    found: dict[str, ErrorRecord | dict[str, ErrorRecord]] = {}
    for name, value in attributes.items():
        if isinstance(value, BaseException):
            found[name] = _record(value, depth)
        elif is_object(value) and value and _are_errors(value):
            found[name] = {_text(key): _record(item, depth) for key, item in value.items()}
    if _is_group(error):
        members: tuple[BaseException, ...] = getattr(error, _GROUPED)
        found[_GROUPED] = {str(place): _record(item, depth) for place, item in enumerate(members)}
    return found


def _is_group(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup)


def _are_errors(value: dict[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, BaseException) for k, v in value.items())


# ------------------------------------------------------------------------- coming back


def revive_error(record: ErrorRecord) -> Exception:
    """Return the exception of a record; raises nothing (rule 3)."""
    try:
        error = _revive(record)
        str(error)
    except Exception:  # rule 3; code of the application may run
        error = RecordedError(record.name, record.message)
    error.__dict__[_RECORD] = record
    return error


def _revive(record: ErrorRecord) -> Exception:
    kind = find(record.home)
    if kind is RecordedError or not issubclass(kind, Exception):
        return RecordedError(record.name, record.message)
    error = _make(kind, _arguments_of(record))
    attributes = error.__dict__
    attributes.update(record.attributes)
    if isinstance(error, ActorError):
        error.message, error.group, error.code = record.message, record.group, record.code
        error.metadata = record.metadata
    for name, inner in record.inner.items():
        if name != _GROUPED or not _is_group(error):
            attributes[name] = _revive_inner(inner)
    return error


def _revive_inner(inner: ErrorRecord | dict[str, ErrorRecord]) -> Any:
    if isinstance(inner, ErrorRecord):
        return revive_error(inner)
    return {name: revive_error(item) for name, item in inner.items()}


def _arguments_of(record: ErrorRecord) -> tuple[Any, ...]:
    members = record.inner.get(_GROUPED)
    if isinstance(members, dict):
        return record.message, [revive_error(member) for member in members.values()]
    if record.arguments:
        try:
            arguments = decode_value(record.arguments)
        except HistoryUnreadable:
            pass  # a class in them has gone; the message is left
        else:
            return tuple(arguments)
    return (record.message,)


def _make(kind: Any, arguments: tuple[Any, ...]) -> Exception:
    """Return an exception without running an ``__init__`` of the application.

    That of the built-in class it rests on is run: it sets what ``str`` and attributes like
    ``errno`` are made of.
    """
    error: Exception = kind.__new__(kind, *arguments)
    built_in = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    built_in.__init__(error, *arguments)
    return error
