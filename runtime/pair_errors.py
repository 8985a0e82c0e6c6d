"""Errors of an actor's key-value pairs; what ``errors.py`` says of all errors holds."""

from __future__ import annotations

from .errors import CallerError


class PairKeyTooLarge(CallerError):
    """A key of a key-value pair has at most 2,047 bytes."""

    known = ("kv", "key_too_large", 400)


class PairValueTooLarge(CallerError):
    """A value of a key-value pair has at most 131,072 bytes."""

    known = ("kv", "value_too_large", 400)
