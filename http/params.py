"""Connection parameters: JSON that a client sends with every visit (client-protocol, 5.1, 7.1)."""

from __future__ import annotations

import msgspec

from stator.runtime.errors import MalformedParams, ParamsTooLarge


def check_params(params: bytes, limit: int) -> None:
    """Raise for connection parameters that are no JSON or longer than ``limit`` bytes."""
    if len(params) > limit:
        raise ParamsTooLarge(
            f"the connection parameters have {len(params)} bytes, "
            f"limits.max_params_size allows {limit}"
        )
    try:
        msgspec.json.decode(params)
    except (ValueError, RecursionError) as error:
        raise MalformedParams from error


def params_of(header: str) -> bytes:
    """Return the JSON text in a header as UTF-8.

    The official client writes what Latin-1 has in Latin-1, as ``fetch`` wants it
    (client-protocol, 5.1); others write UTF-8.
    """
    data = header.encode("utf-8", "surrogateescape")
    if header.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1").encode()
    return data
