"""Values in JSON: ordinary JSON plus tagged arrays (client-protocol, 4.1 and 12.4).

Rule 1. ``$Undefined`` and ``$Set`` are never written: client 2.1 refuses them. ``None`` is null,
        a set is an array.
Rule 2. An integer beyond 2**53 - 1 is a BigInt, because a JavaScript number would round it.
Rule 3. NaN and the infinities are null, as in ``JSON.stringify``.
Rule 4. An aware datetime is written as ``Date.toJSON`` does, in UTC with milliseconds (cut, not
        rounded); a naive one as ``isoformat`` does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from . import tagged
from .lowering import Dialect, is_plain, lowered, text_key
from .wording import refuse

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer a JavaScript number holds exactly."""

_decode = msgspec.json.Decoder().decode
encode_plain = msgspec.json.Encoder().encode
"""Encode what is lowered already; ``msgspec.Raw`` members are spliced in."""


def _integer(number: int) -> Any:
    return number if abs(number) <= MAX_SAFE_INTEGER else tagged.tag_integer(number)


def date_text(moment: datetime) -> str:
    """Return the text of a datetime (rule 4); ``OverflowError`` at the ends of the calendar."""
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


JSON = Dialect(
    integer=_integer,
    binary=tagged.tag_bytes,
    moment=date_text,
    members=tagged.escaped,
    key=text_key,
    escapes=True,
    safe=2**53,
)


def encode_json(value: Any, root: str) -> bytes:
    """Encode any value; raises ``OutputNotSerializable`` with the path from ``root``."""
    try:
        if is_plain(value, JSON.safe):
            return encode_plain(value)
    except (UnicodeEncodeError, RecursionError):
        pass  # the walk below meets the same problem again and names its path
    return encode_plain(lowered(value, JSON, root))


def decode_json(body: bytes) -> Any:
    """Decode one JSON text; raises ``InvalidRequest`` for anything else."""
    try:
        value = _decode(body)
        # Nothing to revive without a string that starts with "$", itself or as an escape.
        if b'"$' in body or b'"\\u0024' in body:
            return tagged.revive(value)
    except (ValueError, RecursionError) as error:
        raise refuse("The body is not valid JSON", error) from None
    return value
