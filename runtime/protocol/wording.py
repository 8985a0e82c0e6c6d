"""How a refusal quotes what it refuses: short, printable, never the payload itself."""

from __future__ import annotations

from ..errors import InvalidRequest

_LIMIT = 80


def excerpt(text: object) -> str:
    """Return ``text`` as printable ASCII of at most 80 characters."""
    shown = ascii(str(text)[: _LIMIT + 1])[1:-1]
    return shown if len(shown) <= _LIMIT else shown[: _LIMIT - 3] + "..."


def refuse(what: str, error: BaseException) -> InvalidRequest:
    """Return the refusal of undecodable bytes, with the decoder's own reason shortened."""
    reason = error.__cause__ or error
    return InvalidRequest(f"{what}: {excerpt(reason) or type(reason).__name__}")
