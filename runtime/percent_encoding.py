"""Percent-encoding of paths and form-encoded queries, read as a browser would read them.

``urllib`` is not for this part: it would bring HTTP and sockets along.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def percent_decode(text: str) -> str:
    """Return ``text`` with its escapes decoded as UTF-8.

    Bytes that are not UTF-8 become U+FFFD; a ``%`` without two hexadecimal digits stays.
    """
    return _ESCAPES.sub(_decode_run, text) if "%" in text else text


def _decode_run(run: re.Match[str]) -> str:
    return bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "replace")


def decode_form(text: str) -> list[tuple[str, str]]:
    """Return the fields of ``a=1&b=x+y`` in order; a field without ``=`` has an empty value."""
    fields = (part.replace("+", " ").partition("=") for part in text.split("&") if part)
    return [(percent_decode(name), percent_decode(value)) for name, _, value in fields]
