"""The errors that the client itself finds, all of group ``client``, and copies of others.

An error that is told to several callers is a new object for each: one exception raised in two
places would mix up their tracebacks.
"""

from __future__ import annotations

from stator.runtime.errors import ActorError


class OpenFailed(ActorError):
    """Nobody answered: refused, reset, or the answer of a proxy."""

    def __init__(self, message: str) -> None:
        super().__init__(message, group="client", code="connection_open_failed")


def refused(message: str) -> ActorError:
    """Return the error of a socket that was turned away without a reason that has a form."""
    return ActorError(message, group="client", code="connection_open_failed")


def connection_lost() -> ActorError:
    """Return the error of a call whose connection was lost before its answer came."""
    return ActorError(
        "the connection was lost before the answer came; the action may have run",
        group="client",
        code="connection_lost",
    )


def connection_closed() -> ActorError:
    """Return the error of a call on a connection that its owner closed."""
    return ActorError("the connection is closed", group="client", code="connection_closed")


def get_params_failed(error: Exception) -> ActorError:
    """Return the error of an attempt whose ``params`` could not be had."""
    return ActorError(
        f"params could not be had: {type(error).__name__}: {error}",
        group="client",
        code="get_params_failed",
    )


def consumer_too_slow(event: str, limit: int) -> ActorError:
    """Return the error of an iteration over events that fell behind."""
    return ActorError(
        f"{limit} events '{event}' were waiting to be read and another one came",
        group="client",
        code="consumer_too_slow",
    )


def copy_of(error: ActorError) -> ActorError:
    """Return an equal error to raise once more."""
    again = ActorError(
        error.message,
        group=error.group,
        code=error.code,
        metadata=error.metadata,
        status=error.status,
    )
    again.__cause__ = error.__cause__
    return again
