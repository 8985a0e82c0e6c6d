"""How a request names its actor in its URL, as pure functions (client-protocol, 3.1 to 3.3).

    by id      /gateway/{actor id}/...
    by query   /gateway/{name}/...?rvt-namespace=...&rvt-method=get&rvt-key=a,b

A token is in neither: a header carries it, so that URLs can be logged.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from stator.runtime.handles import Address
from stator.runtime.keys import Key
from stator.runtime.protocol.actions import encode_input

POOL = "default"
CRASH_POLICY = "sleep"
"""What every creation names; the reference client does too."""

MAX_INPUT_BYTES = 4096
MAX_QUERY_CHARACTERS = 6500
"""Above these a query is not used: servers take request lines of 8 KiB (and 1.1, maxInputSize)."""


class Place(NamedTuple):
    """What stands before and after the inner path."""

    segment: str
    query: str = ""

    def path(self, inner: str, query: str = "") -> str:
        """Return the request target of an inner path, which is empty or starts with ``/``.

        ``query`` is the application's own; it comes first.
        """
        whole = "&".join(filter(None, (query, self.query)))
        return f"/gateway/{self.segment}{inner}" + (f"?{whole}" if whole else "")


def by_id(actor_id: str) -> Place:
    """Return the direct form."""
    return Place(quote(actor_id, safe=""))


def by_query(namespace: str, address: Address) -> Place | None:
    """Return the query form, or ``None`` if it cannot name this actor.

    ``rvt-key`` joins the parts by commas without escapes, so that it cannot carry a part with a
    comma or the key of one empty part (3.3). Raises ``OutputNotSerializable`` for the input.
    """
    given = input_of(address)
    if _is_ambiguous(address.key) or (given is not None and len(given) > MAX_INPUT_BYTES):
        return None
    parameters = {"rvt-namespace": namespace, "rvt-method": "get"}
    if address.create:
        parameters |= {"rvt-method": "getOrCreate", "rvt-runner": POOL}
    if address.key:
        parameters["rvt-key"] = ",".join(address.key)
    if given is not None:
        parameters["rvt-input"] = urlsafe_b64encode(given).decode().rstrip("=")
    if address.create:
        parameters["rvt-crash-policy"] = CRASH_POLICY
    query = urlencode(parameters)
    return Place(quote(address.name, safe=""), query) if len(query) < MAX_QUERY_CHARACTERS else None


def input_of(address: Address) -> bytes | None:
    """Return what the actor is created with as CBOR: falsy inputs are inputs, ``None`` is not.

    Raises ``OutputNotSerializable`` naming the path of what cannot be sent.
    """
    if not address.create or address.input is None:
        return None
    return encode_input(address.input)


def params_text(params: Any) -> str:
    """Return connection parameters as JSON in ASCII, which is all that headers carry."""
    return json.dumps(msgspec.to_builtins(params))


def _is_ambiguous(key: Key) -> bool:
    return key == ("",) or any("," in part for part in key)
