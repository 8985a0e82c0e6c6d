"""Which request a path means: the grammar of the public port, as a pure function.

Reference: client-protocol, section 3 (gateway addressing) and 2.1 (control API). A parsed route
depends on the raw path alone, so it can be cached: clients repeat their paths, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from stator.runtime.errors import (
    InvalidRequest,
    QueryDuplicateParam,
    QueryEmptyActorName,
    QueryGetDisallowedParams,
    QueryInvalidBase64Input,
    QueryInvalidCborInput,
    QueryInvalidParams,
    QueryInvalidPercentEncoding,
    QueryMissingPool,
    QueryPathTokenSyntax,
)
from stator.runtime.keys import Key, split_query_key
from stator.runtime.link.frames import Resolution
from stator.runtime.protocol.actions import decode_input

from .base64_forms import decode_base64url

PREFIX = "/api/rivet"
"""Older clients in browsers put this before every path; it means nothing."""

GATEWAY = "/gateway/"

_PARAMETERS = frozenset(
    {
        "rvt-namespace",
        "rvt-method",
        "rvt-runner",
        "rvt-pool",
        "rvt-key",
        "rvt-input",
        "rvt-region",
        "rvt-crash-policy",
        "rvt-token",
        "rvt-skip-ready-wait",
    }
)
_CREATE_ONLY = ("rvt-input", "rvt-region", "rvt-crash-policy", "rvt-runner", "rvt-pool")
_CRASH_POLICIES = frozenset({"restart", "sleep", "destroy"})
_BOOLEANS = frozenset({"true", "1", "false", "0"})


@dataclass(frozen=True, slots=True)
class ActorRoute:
    """A request to one actor."""

    inner: str
    """What the actor sees as the path, percent-encoded, beginning with ``/`` or empty."""
    query: str
    """The query string without routing parameters."""
    action: str | None = None
    """The wire name of the action, if the inner path names one."""
    queue: str | None = None
    """The wire name of the queue, if the inner path names one."""
    inspector: str | None = None
    """What the inner path says after ``/inspector/``, if it begins so."""
    actor_id: str | None = None
    """Set on the direct form; the other fields then say nothing."""
    namespace: str = ""
    name: str = ""
    key: Key = ()
    create: bool = False
    input: bytes | None = None
    """CBOR of the actor's input, checked."""
    pool: str | None = None
    region: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class ControlRoute:
    """A request to the control API."""

    path: str
    query: str


Route = ActorRoute | ControlRoute


def parse_route(raw_path: str) -> Route:
    """Return the route of a request target (path and query as received).

    Raises the ``guard.*`` errors of client-protocol 3.2. What is not a gateway path (3.1) is left
    to the control API, which knows no such path either.
    """
    if not _is_text(raw_path):
        raise QueryInvalidPercentEncoding(metadata={"name": "URL"})
    path, _, query = raw_path.partition("?")
    if path.startswith(PREFIX + "/") or path == PREFIX:
        path = path[len(PREFIX) :] or "/"
    if not (path + "/").startswith(GATEWAY) or "//" in path:
        return ControlRoute(path, query)
    segment, slash, rest = path[len(GATEWAY) :].partition("/")
    inner = slash + rest
    if any(part.startswith("rvt-") for part in query.split("&")):
        return _parse_query_route(segment, inner, query)
    actor_id, at, token = segment.partition("@")
    if not actor_id or (at and not token):
        return ControlRoute(path, query)
    return ActorRoute(
        inner,
        query,
        action=_name_after("/action/", inner, "action name"),
        queue=_name_after("/queue/", inner, "queue name"),
        inspector=_inspected(inner),
        actor_id=_percent_decode(actor_id, "actor id"),
        token=_percent_decode(token, "token") if at else None,
    )


def _parse_query_route(segment: str, inner: str, query: str) -> ActorRoute:
    if not segment:
        raise QueryEmptyActorName
    if "@" in segment:
        raise QueryPathTokenSyntax
    parameters, rest = _split_query(query)
    _check_parameters(parameters)
    return ActorRoute(
        inner,
        rest,
        action=_name_after("/action/", inner, "action name"),
        queue=_name_after("/queue/", inner, "queue name"),
        inspector=_inspected(inner),
        namespace=parameters["rvt-namespace"],
        name=_percent_decode(segment, "actor name"),
        key=split_query_key(parameters.get("rvt-key")),
        create=parameters["rvt-method"] == "getOrCreate",
        input=_decode_input(parameters.get("rvt-input")),
        pool=parameters.get("rvt-pool", parameters.get("rvt-runner")),
        region=parameters.get("rvt-region"),
        token=parameters.get("rvt-token"),
    )


def _name_after(prefix: str, inner: str, what: str) -> str | None:
    """Return the one segment that follows ``prefix``, decoded."""
    if not inner.startswith(prefix):
        return None
    segment = inner[len(prefix) :]
    if not segment or "/" in segment:
        return None
    return _percent_decode(segment, what)


def _inspected(inner: str) -> str | None:
    prefix = "/inspector/"
    return inner[len(prefix) :] if (inner + "/").startswith(prefix) else None


def _split_query(query: str) -> tuple[dict[str, str], str]:
    """Return the routing parameters and the rest of the query, byte for byte and in order."""
    parameters: dict[str, str] = {}
    others: list[str] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if not name.startswith("rvt-"):
            others.append(part)
        elif name in parameters:
            raise QueryDuplicateParam(metadata={"name": name})
        else:
            parameters[name] = _form_decode(value, name)
    return parameters, "&".join(others)


def _check_parameters(parameters: dict[str, str]) -> None:
    if unknown := sorted(parameters.keys() - _PARAMETERS):
        raise QueryInvalidParams(metadata={"detail": f"unknown parameter: {unknown[0]}"})
    for required in ("rvt-namespace", "rvt-method"):
        if not parameters.get(required):
            raise QueryInvalidParams(metadata={"detail": f"missing parameter: {required}"})
    method = parameters["rvt-method"]
    if method not in ("get", "getOrCreate"):
        raise QueryInvalidParams(metadata={"detail": f"unknown rvt-method: {method[:40]}"})
    if method == "get" and any(name in parameters for name in _CREATE_ONLY):
        raise QueryGetDisallowedParams
    if method == "getOrCreate" and not {"rvt-runner", "rvt-pool"} & parameters.keys():
        raise QueryMissingPool
    policy = parameters.get("rvt-crash-policy", "sleep")
    if policy not in _CRASH_POLICIES:
        raise QueryInvalidParams(metadata={"detail": f"unknown rvt-crash-policy: {policy[:40]}"})
    if parameters.get("rvt-skip-ready-wait", "0") not in _BOOLEANS:
        raise QueryInvalidParams(metadata={"detail": "rvt-skip-ready-wait is true, 1, false or 0"})


def _decode_input(text: str | None) -> bytes | None:
    if text is None:
        return None
    data = decode_base64url(text)
    if data is None:
        raise QueryInvalidBase64Input
    try:
        decode_input(data)
    except InvalidRequest as error:
        raise QueryInvalidCborInput(metadata={"detail": error.message}) from error
    return data


def _percent_decode(text: str, name: str) -> str:
    if "%" not in text:
        return text
    return _to_text(unquote_to_bytes(text), text, name)


def _form_decode(text: str, name: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    return _to_text(unquote_to_bytes(text.replace("+", " ")), text, name)


def _is_text(raw: str) -> bool:
    """Whether a request target is UTF-8: aiohttp makes lone surrogates of other bytes."""
    try:
        return raw.isascii() or bool(raw.encode())
    except UnicodeEncodeError:
        return False


def _to_text(data: bytes, text: str, name: str) -> str:
    # unquote_to_bytes leaves what is not two hexadecimal digits after "%" as it is.
    malformed = data.count(b"%") != text.count("%25")
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:
        malformed, decoded = True, ""
    if malformed:
        raise QueryInvalidPercentEncoding(metadata={"name": name})
    return decoded


def resolution_of(route: ActorRoute) -> Resolution:
    """Return how a route names its actor."""
    if route.actor_id is not None:
        return Resolution.BY_ID
    return Resolution.GET_OR_CREATE if route.create else Resolution.GET


def parse_form(query: str) -> list[tuple[str, str]]:
    """Return the name-value pairs of a control API query. Raises like :func:`parse_route`."""
    pairs: list[tuple[str, str]] = []
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        pairs.append((_form_decode(name, "query"), _form_decode(value, name[:40])))
    return pairs
