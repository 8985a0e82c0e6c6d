"""The two base64 forms clients send an actor's input in (client-protocol, 2.2 and 3.2)."""

from __future__ import annotations

import base64
import re

_URL_SAFE = re.compile(r"[A-Za-z0-9_-]*={0,2}")


def decode_base64url(text: str) -> bytes | None:
    """Decode base64url with or without padding; ``None`` if it is not that."""
    if not _URL_SAFE.fullmatch(text):
        return None
    stripped = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(stripped + "=" * (-len(stripped) % 4))
    except ValueError:  # not ASCII, or binascii.Error
        return None


def decode_base64(text: str) -> bytes | None:
    """Decode standard base64 with padding; ``None`` if it is not that."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # not ASCII, or binascii.Error
        return None
