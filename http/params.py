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
