"""What a caller may see of an error (client-protocol, 9.3)."""

from __future__ import annotations

from typing import Any

import msgspec

from .errors import INTERNAL_MESSAGE, ActorError, CallerError
from .public_codes import PUBLIC_CODES, PUBLIC_GROUPS, RUNTIME_GROUPS


class ErrorView(msgspec.Struct, frozen=True):
    """What a caller may see of an error."""

    group: str
    code: str
    message: str
    metadata: Any
    status: int


def is_public(error: ActorError) -> bool:
    """Whether message and metadata of ``error`` may leave the service (client-protocol, 9.3).

    A :class:`CallerError` always may: stator wrote its text for the caller, who is to act on it.
    """
    return (
        isinstance(error, CallerError)
        or error.group in PUBLIC_GROUPS
        or error.group not in RUNTIME_GROUPS
        or f"{error.group}.{error.code}" in PUBLIC_CODES
    )


def public_view(error: BaseException, *, expose: bool = False) -> ErrorView:
    """Return what a caller may see of ``error``.

    A public :class:`ActorError` passes whole; any other keeps group and code and loses message
    and metadata; any other exception becomes ``rivetkit.internal_error``. ``expose`` keeps the
    real text for development (semantics page, section 14, row 15).
    """
    if isinstance(error, ActorError):
        if expose or is_public(error):
            return ErrorView(error.group, error.code, error.message, error.metadata, error.status)
        return ErrorView(error.group, error.code, INTERNAL_MESSAGE, None, max(error.status, 500))
    message = f"{type(error).__name__}: {error}" if expose else INTERNAL_MESSAGE
    return ErrorView("rivetkit", "internal_error", message, None, 500)
