"""Which of the body formats a request uses (client-protocol, 0 and 5.1)."""

from __future__ import annotations

from enum import IntEnum


class Encoding(IntEnum):
    """The format of action, queue and connection bodies; the number travels on links."""

    JSON = 0
    CBOR = 1
    BARE = 2
    NATIVE = 3
    """Stator's own: CBOR in which no Python value is narrowed for JavaScript. Actors use it among
    themselves; over HTTP ``cbor`` with :data:`DIALECT_HEADER` asks for it."""


DIALECT_HEADER = "x-stator-dialect"
NATIVE_DIALECT = "native"
"""Our Python client asks with it for :attr:`Encoding.NATIVE`; an answer that has it is in it."""

_BY_HEADER = {"json": Encoding.JSON, "cbor": Encoding.CBOR, "bare": Encoding.BARE}

CONTENT_TYPES = {
    Encoding.JSON: "application/json",
    Encoding.CBOR: "application/octet-stream",
    Encoding.BARE: "application/octet-stream",
    Encoding.NATIVE: "application/octet-stream",
}
"""The content type of requests and answers (client-protocol, 5.1 and 5.3)."""


def encoding_of(header: str | None) -> Encoding:
    """Return what ``x-rivet-encoding`` asks for; missing or unknown means JSON (5.2)."""
    return _BY_HEADER.get(header or "", Encoding.JSON)
