"""The lines of a recurring schedule's history, as they are stored and as the actor sees them."""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec

from stator.runtime.error_views import ErrorView
from stator.runtime.errors import StateNotSerializable
from stator.runtime.exact_form import decode_exact, encode_exact
from stator.runtime.schedules import HistoryEntry
from stator.runtime.storage import FireRow

Result = Literal["running", "ok", "error", "skipped"]


class ErrorImage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is stored of the error of a run."""

    group: str
    code: str
    message: str
    metadata: bytes
    """Exact form."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ErrorImage).decode


def encode_error(view: ErrorView) -> bytes:
    """Return what is stored of an error: what a caller would see. Metadata that cannot be stored
    is left out."""
    try:
        metadata = encode_exact(view.metadata)
    except (StateNotSerializable, RecursionError):
        metadata = encode_exact(None)
    message = view.message.encode(errors="replace").decode()
    return _encode(ErrorImage(view.group, view.code, message, metadata))


def decode_error(data: bytes) -> dict[str, Any]:
    """Return the error of a line. Bytes that are none raise any kind of ``Exception``."""
    image = _decode(data)
    return {
        "group": image.group,
        "code": image.code,
        "message": image.message,
        "metadata": decode_exact(image.metadata),
    }


def read_line(row: FireRow) -> HistoryEntry:
    """Return a line as the actor sees it."""
    return HistoryEntry(
        action=row.action,
        scheduled_at=row.scheduled_ms / 1000,
        fired_at=row.fired_ms / 1000,
        finished_at=None if row.finished_ms is None else row.finished_ms / 1000,
        result=cast(Result, row.result),
        error=None if row.error is None else decode_error(row.error),
    )
