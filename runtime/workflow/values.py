"""Value images: how outputs of steps, states of loops and values of promises become bytes.

Rule 1. What comes back equals what went in, types included, also where nothing is annotated: a
        record then carries the reference of its class. What cannot come back is refused at once.
Rule 2. The code of a workflow is given what was read back, live as in a replay, so that both see
        the same (:func:`round_trip`).
Rule 3. An annotation narrows as in a state (``state_codec.py``, rule 1): ``1`` in a ``float``
        becomes ``1.0``. A value that is not what is annotated is kept as if nothing were.
Rule 4. A viewer in a process without the application reads images loosely: records as dicts.

The first byte says the form: 0 and 1 are those of ``state_codec.py``, read by the annotation;
``WRONGLY`` is one of them read by none; ``RECORD`` the reference of a class, and an image read by
that class; ``TYPED`` is ``typed_form.py``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import msgpack

from ..errors import StateNotSerializable, StateUnreadable
from ..exact_form import encode_exact
from ..protocol.kinds import kind_of
from ..sameness import first_difference, is_same
from ..state_codec import EXACT, PLAIN, StateCodec
from ..workflow_errors import HistoryUnreadable, OutputNotSerializable
from .references import find, is_findable, reference_of
from .typed_form import decode_typed, encode_typed

WRONGLY, RECORD, TYPED = b"\x02", b"\x03", b"\x04"

MAX_SHOWN_BYTES = 64 * 1024
"""Arguments are stored for people: up to here."""

_OPEN = StateCodec(Any)
_encode = msgpack.Encoder().encode
_BUILT_IN = frozenset({type(None), bool, int, float, str, bytes, list, dict, tuple, set, frozenset})
_UNKNOWN = (NameError, AttributeError, TypeError, SyntaxError)
"""What is raised for an annotation that cannot be resolved, or is none for msgspec."""
_NONE = PLAIN + _encode(None)


def encode_value(value: Any, annotation: Any = Any, what: str = "output") -> bytes:
    """Return the image of a value; ``what`` names it in errors.

    Raises :class:`OutputNotSerializable` naming the place in it.
    """
    return round_trip(value, annotation, what)[0]


def round_trip(value: Any, annotation: Any = Any, what: str = "output") -> tuple[bytes, Any]:
    """Return the image of a value and what it reads as: equal, and nobody else's (rule 2).

    Raises :class:`OutputNotSerializable` naming the place in it.
    """
    if value is None and annotation is Any:
        return _NONE, None
    codec = _OPEN if annotation is Any else _codec_of(annotation)
    plain = codec.encode_plain(value)
    if codec is _OPEN and kind_of(value) not in _BUILT_IN:
        return _round_trip_record(value, what)
    try:
        return codec.encode(value, plain)
    except StateNotSerializable:
        if codec is _OPEN:
            return _round_trip_typed(value, what)
    image, copy = round_trip(value, Any, what)
    return (image if image[:1] in (RECORD, TYPED) else WRONGLY + image), copy


def _round_trip_record(value: Any, what: str) -> tuple[bytes, Any]:
    own = _own_codec(kind_of(value))
    if own is not None:
        beginning, codec = own
        try:
            image, copy = codec.encode(value, codec.encode_plain(value))
            return beginning + image, copy
        except StateNotSerializable:
            pass  # it has an untyped place that only the typed form keeps
    else:
        try:
            return _OPEN.encode(value, _OPEN.encode_plain(value))
        except StateNotSerializable:
            pass  # no date or number that the exact form has
    return _round_trip_typed(value, what)


def _round_trip_typed(value: Any, what: str) -> tuple[bytes, Any]:
    try:
        data = encode_typed(value, what)
        copy = decode_typed(data)
        if is_same(value, copy):
            return TYPED + data, copy
        problem = first_difference(value, copy, what).partition(";")[0]
    except RecursionError as error:
        raise OutputNotSerializable(
            f"{what} is nested too deeply or contains itself, so it cannot be stored"
        ) from error
    except StateNotSerializable as error:
        problem = error.message
    except Exception as error:  # code of the application may run when a record is made
        problem = f"{what} cannot be stored: {error}"
    raise OutputNotSerializable(
        f"{problem}; annotate what the function returns, or return plain data"
    )


def decode_value(image: bytes, annotation: Any = Any, *, loose: bool = False) -> Any:
    """Return the value of an image; ``loose`` is rule 4, and imports nothing.

    Raises :class:`HistoryUnreadable`, whatever the bytes.
    """
    try:
        return _decode_loosely(image) if loose else _decode(image, annotation)
    except HistoryUnreadable:
        raise
    except StateUnreadable as error:
        text = error.message.replace("the stored state", "a stored value")
        raise HistoryUnreadable(text) from error
    except Exception as error:
        raise HistoryUnreadable(f"a stored value cannot be read: {error}") from error


def _decode(image: bytes, annotation: Any) -> Any:
    form = image[:1]
    if form == WRONGLY:
        return _OPEN.decode(image[1:])
    if form == RECORD:
        reference, inner = _split_record(image)
        try:
            kind = find(reference)
        except LookupError:
            if annotation is Any:
                raise
            kind = annotation  # the class has moved, and the code says where to
        return _codec_of(kind).decode(inner)
    if form == TYPED:
        return decode_typed(image[1:])
    return (_OPEN if annotation is Any else _codec_of(annotation)).decode(image)


def _decode_loosely(image: bytes) -> Any:
    form = image[:1]
    if form == WRONGLY:
        return _OPEN.decode(image[1:])
    if form == RECORD:
        return _OPEN.decode(_split_record(image)[1])
    if form == TYPED:
        return decode_typed(image[1:], loose=True)
    return _OPEN.decode(image)


def _split_record(image: bytes) -> tuple[str, bytes]:
    end = 3 + int.from_bytes(image[1:3], "big")
    return image[3:end].decode(), image[end:]


@functools.lru_cache(maxsize=1024)
def _cached_codec(annotation: Any) -> StateCodec:
    try:
        return StateCodec(annotation)
    except _UNKNOWN:
        return _OPEN  # msgspec has no idea of it


def _codec_of(annotation: Any) -> StateCodec:
    try:
        return _cached_codec(annotation)
    except TypeError:  # unhashable, like Annotated with a list
        return _cached_codec.__wrapped__(annotation)


@functools.lru_cache(maxsize=1024)
def _own_codec(kind: Any) -> tuple[bytes, StateCodec] | None:
    """Return the beginning of an image of an instance and the codec of its class, if it has one."""
    try:
        info = msgspec.inspect.type_info(kind)
        if not hasattr(info, "cls") or isinstance(info, msgspec.inspect.CustomType):
            return None
        codec = StateCodec(kind)
    except _UNKNOWN:
        return None
    if not is_findable(kind):
        return None
    reference = reference_of(kind).encode()
    return RECORD + len(reference).to_bytes(2, "big") + reference, codec


# ------------------------------------------------------------------------ for people only


def encode_arguments(args: Any, *, limit: int | None = MAX_SHOWN_BYTES) -> bytes | None:
    """Return an image of what a step is given; a tuple becomes a list. Raises nothing.

    What cannot be stored is replaced by its ``repr``, and then records are dicts. ``None`` if it
    is larger than ``limit`` bytes or cannot even be shown.
    """
    value = args
    if kind_of(args) is tuple:
        if not args:
            return _NO_ARGUMENTS
        value = list(args)
    try:
        try:
            image = round_trip(value)[0]
        except OutputNotSerializable:
            image = EXACT + encode_exact(_shown(value, 0))
    except Exception:  # for people: the workflow does not fail for it
        return None
    return image if limit is None or len(image) <= limit else None


def _shown(value: Any, depth: int) -> Any:
    """Return ``value`` with the repr of what cannot be stored."""
    kind = kind_of(value)
    if kind in (list, tuple) and depth < _MAX_DEPTH:
        return [_shown(item, depth + 1) for item in value]
    if kind is dict and depth < _MAX_DEPTH:
        return {str(key): _shown(item, depth + 1) for key, item in value.items()}
    try:
        encode_exact(value)
        return value
    except (StateNotSerializable, RecursionError, ValueError, OverflowError):
        return repr(value)[:_MAX_REPR].encode("utf-8", "replace").decode()


_MAX_DEPTH = 8
_MAX_REPR = 1000
_NO_ARGUMENTS = encode_value([])


# -------------------------------------------------------------------- what functions return

_annotations: dict[Any, Any] = {}
_MAX_ANNOTATIONS = 4096


def result_annotation(function: Callable[..., Any]) -> Any:
    """Return what a function says it returns once awaited; ``Any`` if msgspec cannot check it.

    Bound methods, partials and objects that can be called are looked through. What is found is
    kept by the code of the function: closures are many, their code is one.
    """
    plain = _plain_function(function)
    written: Any = getattr(plain, "__annotations__", None)
    if not written or "return" not in written:
        return Any
    said = written["return"]
    try:
        key = (getattr(plain, "__code__", plain), said)
        found = _annotations.get(key, _annotations)
    except TypeError:  # it cannot be hashed
        return _resolve(plain, said)
    if found is _annotations:
        if len(_annotations) >= _MAX_ANNOTATIONS:
            _annotations.clear()
        found = _annotations[key] = _resolve(plain, said)
    return found


def _plain_function(function: Any) -> Any:
    kind = kind_of(function)
    if kind is MethodType:
        return _plain_function(function.__func__)
    if kind is functools.partial:
        return _plain_function(function.func)
    if kind is FunctionType or issubclass(kind, type):
        return function
    called = getattr(kind, "__call__", None)  # noqa: B004 - as it is called
    return called if inspect.isfunction(called) else None


def _resolve(function: Any, said: Any) -> Any:
    module = getattr(inspect.unwrap(function), "__globals__", {})
    holder = SimpleNamespace(__annotations__={"return": said})
    try:
        hints = get_type_hints(holder, globalns=module, include_extras=True)
        annotation = _awaited(hints["return"])
        info = msgspec.inspect.type_info(annotation)
    except _UNKNOWN:
        return Any
    if annotation is object or isinstance(info, msgspec.inspect.CustomType):
        return Any
    return annotation


def _awaited(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if not (isinstance(origin, type) and issubclass(origin, Awaitable)):
        return annotation
    arguments = get_args(annotation)
    return arguments[2 if issubclass(origin, Coroutine) else 0]
