"""Raw HTTP as actors see it: the request a client sent and the response a hook returns.

Reference: python-api, section 4; semantics page, 10.1; client-protocol, 8.1.

Rule 1. A request is cheap: headers, query and body are looked at when they are asked for.
Rule 2. Header bytes that are not UTF-8 pass through unchanged (``surrogateescape``), as in aiohttp.
Rule 3. A response that could break the framing of HTTP cannot be made: names are tokens, values
        have no line ends, and what describes the connection (hop-by-hop headers, a
        ``content-length`` that is not the body's) is left to the gateway.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy

from .errors import InvalidRequest
from .percent_encoding import decode_form

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Header fields as they are on the wire, in order."""

GivenHeaders = Mapping[str, str] | Iterable[tuple[str, str]]
"""Header fields as actors write them: a mapping, a multidict or pairs."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110, 5.6.2."""
_UNSAFE = re.compile(r"[\r\n\0]")
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.I)
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding"}) | {
    "upgrade"
}
EMPTY_STATUSES = frozenset({204, 304})
"""Responses that have no body (RFC 9110, 6.4.1)."""


class BodySource(Protocol):
    """Where the body of a request comes from; the worker implements it."""

    async def read(self) -> bytes:
        """Return the next chunk, ``b""`` at the end; a cancelled read loses nothing.

        Raises :class:`ActorError` when the client went away or sent too much.
        """
        ...


class Request:
    """An HTTP request to an actor, without what was for the gateway."""

    __slots__ = (
        "_body",
        "_headers",
        "_is_streamed",
        "_parts",
        "_query",
        "_source",
        "method",
        "path",
        "raw_headers",
        "raw_query",
        "url",
    )

    def __init__(
        self,
        *,
        method: str,
        path: str,
        raw_query: str,
        url: str,
        raw_headers: RawHeaders,
        body: BodySource | None = None,
    ) -> None:
        self.method = method
        """As the client wrote it, usually in capitals."""
        self.path = path
        """What follows ``/request`` or ``/websocket``: begins with ``/``, still percent-encoded."""
        self.raw_query = raw_query
        """The query as it was written, without ``?`` and without ``rvt-*``."""
        self.url = url
        """Absolute, as the client wrote it, without ``rvt-*``."""
        self.raw_headers = raw_headers
        """The header fields as bytes, in order."""
        self._source = body
        self._headers: CIMultiDictProxy[str] | None = None
        self._query: MultiDictProxy[str] | None = None
        self._body: bytes | None = None
        self._parts: list[bytes] = []
        self._is_streamed = False

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The header fields by name, in any case; a name may occur more than once."""
        if self._headers is None:
            self._headers = CIMultiDictProxy(
                CIMultiDict((_to_text(name), _to_text(value)) for name, value in self.raw_headers)
            )
        return self._headers

    @property
    def query(self) -> MultiDictProxy[str]:
        """The fields of the query, decoded; a name may occur more than once."""
        if self._query is None:
            self._query = MultiDictProxy(MultiDict(decode_form(self.raw_query)))
        return self._query

    async def body(self) -> bytes:
        """Return the whole body; it is kept, so it may be asked for again.

        Raises :class:`ActorError` when the client went away before its end, and ``RuntimeError``
        when :meth:`stream` has it.
        """
        if self._body is None:
            self._check_not_streamed()
            async for chunk in _Chunks(b"", self._source):
                self._parts.append(chunk)
            self._body = b"".join(self._parts)
            self._parts.clear()
        return self._body

    async def text(self) -> str:
        """Return the body as text, in the charset its content type names or else UTF-8.

        Raises ``actor.invalid_request`` when the body is not in that charset.
        """
        body = await self.body()
        named = _CHARSET.search(self.headers.get("content-type", ""))
        charset = named[1] if named else "utf-8"
        try:
            return body.decode(charset)
        except (LookupError, ValueError) as error:
            raise InvalidRequest(f"the body is not text in the charset {charset!r}") from error

    async def json(self) -> Any:
        """Return the body, decoded from JSON. Raises ``actor.invalid_request`` if it is not."""
        body = await self.body()
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f"the body is not JSON: {error}") from error

    def stream(self) -> AsyncIterator[bytes]:
        """Return the chunks of the body as they arrive; none of them is empty.

        It can be had once: a second call raises ``RuntimeError``. After :meth:`body` it gives
        that body again, in one chunk. Iterating raises like :meth:`body`; a cancelled step loses
        nothing.
        """
        if self._body is not None:
            return _Chunks(self._body, None)
        self._check_not_streamed()
        self._is_streamed = True
        return _Chunks(b"".join(self._parts), self._source)

    def _check_not_streamed(self) -> None:
        if self._is_streamed:
            raise RuntimeError(
                "the body of this request is being read through stream() or has been; it is not "
                "kept: call body() first where it is needed more than once"
            )


class _Chunks:
    """The chunks of a body. Not a generator: cancelling a step must not end the iteration."""

    __slots__ = ("_first", "_source")

    def __init__(self, first: bytes, source: BodySource | None) -> None:
        self._first = first
        self._source = source

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._first = self._first, b""
        if chunk:
            return chunk
        if self._source is None:
            raise StopAsyncIteration
        if chunk := await self._source.read():
            return chunk
        self._source = None
        raise StopAsyncIteration


def _to_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


class Response:
    """What ``on_request`` returns; an async-iterable body is streamed as it is produced.

    ``status`` is 200 to 599. A ``str`` body is sent as UTF-8 and gets the content type
    ``text/plain`` unless ``headers`` has one. Responses 204 and 304 have an empty body.
    Raises ``TypeError`` or ``ValueError`` for what HTTP cannot carry; hop-by-hop headers and a
    ``content-length`` that is not the length of a ``bytes`` body are left out.
    """

    __slots__ = ("_body", "_headers", "_status")

    def __init__(
        self,
        body: bytes | str | AsyncIterable[bytes] = b"",
        status: int = 200,
        headers: GivenHeaders | None = None,
    ) -> None:
        self._status = _check_status(status)
        self._body = _to_body(body)
        self._headers = CIMultiDict(_pairs_of(headers))
        if isinstance(body, str):
            self._headers.setdefault("content-type", "text/plain; charset=utf-8")
        if status in EMPTY_STATUSES and self._body != b"":
            raise ValueError(f"a response {status} has no body")
        self._settle_length()

    @classmethod
    def json(cls, obj: Any, status: int = 200, headers: GivenHeaders | None = None) -> Response:
        """Return a response whose body is ``obj`` as JSON.

        Takes what ``msgspec.json`` takes: structs, dataclasses, datetimes and the built-in types.
        Raises ``TypeError`` for anything else.
        """
        response = cls(msgspec.json.encode(obj), status, headers)
        response.headers.setdefault("content-type", "application/json")
        return response

    def __repr__(self) -> str:
        return f"<Response {self._status}>"

    @property
    def status(self) -> int:
        """The status code."""
        return self._status

    @property
    def headers(self) -> CIMultiDict[str]:
        """The header fields; may be changed until the response is returned."""
        return self._headers

    @property
    def body(self) -> bytes | AsyncIterable[bytes]:
        """The body; text is encoded already.

        Who does not read a stream to its end calls its ``aclose()``, if it has one.
        """
        return self._body

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header fields for the wire, checked again: they may have been changed.

        There is a ``content-length`` only if it is right, and then it may stay.
        """
        self._settle_length()
        return [
            (name.encode("ascii"), value.encode("utf-8", "surrogateescape"))
            for name, value in _pairs_of(self._headers)
        ]

    def _right_length(self, given: list[str]) -> str | None:
        """Return the one of the given lengths that is right, if any."""
        if isinstance(self._body, bytes) and self._status not in EMPTY_STATUSES:
            length = str(len(self._body))
            return length if length in given else None
        return None

    def _settle_length(self) -> None:
        given = self._headers.popall("content-length", None)
        if given and (length := self._right_length(given)) is not None:
            self._headers["content-length"] = length


def _check_status(status: object) -> int:
    if not isinstance(status, int):
        raise TypeError(f"a status is an int, not {status!r}")
    if not 200 <= status <= 599:
        raise ValueError(f"a status is 200 to 599, not {int(status)}")
    return int(status)


def _to_body(body: bytes | str | AsyncIterable[bytes]) -> bytes | AsyncIterable[bytes]:
    given: object = body
    if isinstance(given, str):
        return given.encode()
    if isinstance(given, bytes):
        return given
    if isinstance(given, bytearray | memoryview):
        return bytes(given)
    if isinstance(body, AsyncIterable):
        return body
    raise TypeError(
        f"a body is bytes, str or an async iterable of bytes, not {type(given).__name__}"
    )


def _pairs_of(headers: GivenHeaders | None) -> Iterator[tuple[str, str]]:
    """Yield the fields to send. Raises what is wrong with them."""
    if headers is None:
        return
    pairs: Iterable[object] = headers
    if isinstance(headers, Mapping):
        pairs = cast("Mapping[str, str]", headers).items()
    for pair in pairs:
        name, value = _check_pair(pair)
        folded = name.lower()
        if folded not in _HOP_BY_HOP and not folded.startswith("proxy-"):
            yield name, value


def _check_pair(pair: object) -> tuple[str, str]:
    match pair:
        case (str(name), str(value)):
            pass
        case _:
            raise TypeError(f"a header is a name and a value, both str, not {pair!r}")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")
    if _UNSAFE.search(value):
        raise ValueError(f"the header {name!r} has a value with CR, LF or NUL: {value!r}")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"the header {name!r} has a value that is not text") from error
    return name, value
