"""Every error that may reach a caller, in one tree, sorted by whom to blame.

    ActorError                       group, code, message, metadata, status, retry
    ├── UserError                    raised by actor code on purpose; group ``user``
    ├── CallerError                  the request is wrong: fix it, do not repeat it
    ├── ApplicationError             the actor's own code or definition is wrong
    └── SystemTrouble                the machine or the service is in trouble: repeat it later

Rule 1. An error is identified by ``group`` and ``code``; both are stable and are API.
Rule 2. The docstring of a class is its default message; it says what to do next.
Rule 3. ``status`` is a hint for HTTP. Clients branch on group and code (client-protocol, 9.1).
Rule 4. ``retry`` is data, not a class: ``never``, ``later`` (the state must change first)
        or ``now`` (repeat at once; nothing was done).
Rule 5. What crosses the wire is decided by :func:`public_view` alone (client-protocol, 9.3).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

Retry = Literal["never", "later", "now"]

INTERNAL_MESSAGE = "An internal error occurred"
"""What a caller sees in place of a message it must not see (client-protocol, 9.3)."""


class ActorError(Exception):
    """An error with an identity that survives the wire.

    ``metadata`` is any value of the client protocol. ``status`` is an HTTP status hint; without
    one it is 400 for errors a caller can act on.
    """

    group: str
    code: str
    message: str
    metadata: Any
    status: int
    retry: ClassVar[Retry] = "never"

    def __init__(
        self,
        message: str,
        *,
        group: str,
        code: str,
        metadata: Any = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.group = group
        self.code = code
        self.metadata = metadata
        self.status = 400 if status is None else status

    def __str__(self) -> str:
        return f"{self.group}.{self.code}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.message, self.group, self.code, self.metadata, self.status))


def _rebuild(message: str, group: str, code: str, metadata: Any, status: int) -> ActorError:
    return ActorError(message, group=group, code=code, metadata=metadata, status=status)


class UserError(ActorError):
    """Raised by actor code to tell its caller something; reaches the client intact."""

    def __init__(self, message: str, *, code: str = "user_error", metadata: Any = None) -> None:
        super().__init__(message, group="user", code=code, metadata=metadata, status=400)


class KnownError(ActorError):
    """An error stator itself raises: its identity stands in the class, see rule 2."""

    known: ClassVar[tuple[str, str, int]] = ("rivetkit", "internal_error", 500)
    """Group, code and HTTP status."""

    def __init__(self, message: str | None = None, *, metadata: Any = None) -> None:
        group, code, status = self.known
        text = message if message is not None else _default_message(type(self))
        super().__init__(text, group=group, code=code, metadata=metadata, status=status)


def _default_message(kind: type[KnownError]) -> str:
    return " ".join((kind.__doc__ or INTERNAL_MESSAGE).split())


# ---------------------------------------------------------------- the caller is to blame


class CallerError(KnownError):
    """The request is wrong."""


class ActorNotFound(CallerError):
    """The actor does not exist or was destroyed."""

    known = ("actor", "not_found", 404)


class RouteNotFound(CallerError):
    """The actor has no such endpoint."""

    known = ("actor", "not_found", 404)


class ActionNotFound(CallerError):
    """The actor has no action of this name."""

    known = ("actor", "action_not_found", 404)


class MethodNotAllowed(CallerError):
    """This endpoint does not answer to this HTTP method."""

    known = ("actor", "method_not_allowed", 405)


class InvalidRequest(CallerError):
    """The request cannot be decoded."""

    known = ("actor", "invalid_request", 400)


class ValidationFailed(CallerError):
    """A value does not match its annotation."""

    known = ("actor", "validation_error", 400)


class DuplicateKey(CallerError):
    """An actor with this key exists already."""

    known = ("actor", "duplicate_key", 400)


class EmptyKey(CallerError):
    """The key is an empty string; leave it out for an actor without a key."""

    known = ("actor", "empty_key", 400)


class KeyTooLarge(CallerError):
    """The serialised key is longer than the limit."""

    known = ("actor", "key_too_large", 400)


class InputTooLarge(CallerError):
    """The actor's input is larger than the limit."""

    known = ("actor", "input_too_large", 400)


class UnknownPool(CallerError):
    """No pool of this name is configured; this service has the pool "default"."""

    known = ("actor", "no_runner_config_configured", 400)


class UnknownDatacenter(CallerError):
    """The provided datacenter does not exist."""

    known = ("datacenter", "not_found", 400)


class NamespaceNotFound(CallerError):
    """The namespace does not exist."""

    known = ("namespace", "not_found", 400)


class NamespaceInvalid(CallerError):
    """A namespace name is 1 to 64 letters, digits, dots, dashes or underscores."""

    known = ("namespace", "invalid_name", 400)


class Unauthorized(CallerError):
    """This service needs a token: send it as "Authorization: Bearer" or "x-rivet-token"."""

    known = ("auth", "unauthorized", 401)


class Forbidden(CallerError):
    """The token does not allow this."""

    known = ("auth", "forbidden", 403)


class IncomingTooLong(CallerError):
    """The message is larger than limits.max_incoming_message_size."""

    known = ("message", "incoming_too_long", 400)


class OutgoingTooLong(CallerError):
    """The answer is larger than limits.max_outgoing_message_size."""

    known = ("message", "outgoing_too_long", 400)


class BodyTooLarge(CallerError):
    """The request body is larger than limits.max_request_body_size."""

    known = ("guard", "invalid_request_body", 413)


class BadApiRequest(CallerError):
    """The request to the control API is malformed."""

    known = ("api", "bad_request", 400)


class ApiRouteNotFound(CallerError):
    """The requested API route does not exist."""

    known = ("api", "not_found", 404)


class RateLimited(CallerError):
    """Too many requests from this client to this actor; wait retry_after_ms and repeat."""

    known = ("guard", "rate_limit", 429)
    retry: ClassVar[Retry] = "later"


class RequestTimeout(CallerError):
    """The request did not arrive within server.header_timeout; nothing of it was done."""

    known = ("guard", "request_timeout", 408)
    retry: ClassVar[Retry] = "now"


class ClientLeft(CallerError):
    """The client closed its connection before the end."""

    known = ("guard", "tunnel_request_aborted", 499)


class UnsupportedEncoding(CallerError):
    """A connection speaks json, cbor or bare: offer the subprotocol rivet_encoding.bare."""

    known = ("actor", "unsupported_websocket_encoding", 400)


class WebSocketNotSupported(CallerError):
    """There is no WebSocket on this path: connect to /gateway/{actor}/connect."""

    known = ("guard", "websocket_not_supported", 400)


class MalformedParams(CallerError):
    """The connection parameters are not JSON."""

    known = ("guard", "websocket_closed_before_open", 400)


class ParamsTooLarge(CallerError):
    """The connection parameters are larger than limits.max_params_size."""

    known = ("guard", "params_too_large", 400)


class ConnectionNotRestored(CallerError):
    """The actor no longer knows this connection; connect again."""

    known = ("connection", "restore_not_found", 404)


class InvalidInput(CallerError):
    """The combination of parameters makes no sense."""

    known = ("validation", "invalid_input", 400)


class NoRoute(CallerError):
    """No route for this path."""

    known = ("guard", "no_route", 404)


class MalformedHttp(CallerError):
    """This is not a valid HTTP request."""

    known = ("guard", "malformed_request", 400)


class MissingHeader(CallerError):
    """A required header is missing."""

    known = ("guard", "missing_header", 400)


class InvalidHeader(CallerError):
    """A header has a value that is not allowed."""

    known = ("guard", "invalid_header", 400)


class QueryInvalidParams(CallerError):
    """The routing parameters of the URL are invalid."""

    known = ("guard", "query_invalid_params", 400)


class QueryDuplicateParam(CallerError):
    """A routing parameter is given twice."""

    known = ("guard", "query_duplicate_param", 400)


class QueryGetDisallowedParams(CallerError):
    """rvt-input, rvt-region, rvt-crash-policy and rvt-runner go with getOrCreate only."""

    known = ("guard", "query_get_disallowed_params", 400)


class QueryMissingPool(CallerError):
    """getOrCreate needs rvt-runner."""

    known = ("guard", "query_missing_pool", 400)


class QueryEmptyActorName(CallerError):
    """The path names no actor."""

    known = ("guard", "query_empty_actor_name", 400)


class QueryPathTokenSyntax(CallerError):
    """A query URL takes its token as rvt-token, not after "@"."""

    known = ("guard", "query_path_token_syntax", 400)


class QueryInvalidBase64Input(CallerError):
    """rvt-input is not base64url."""

    known = ("guard", "query_invalid_base64_input", 400)


class QueryInvalidCborInput(CallerError):
    """rvt-input is not one CBOR item."""

    known = ("guard", "query_invalid_cbor_input", 400)


class QueryInvalidPercentEncoding(CallerError):
    """A part of the URL is not valid percent-encoding of UTF-8."""

    known = ("guard", "query_invalid_percent_encoding", 400)


# ------------------------------------------------------ the actor's own code is to blame


class ApplicationError(KnownError):
    """The actor's code or definition is wrong."""


class InternalError(ApplicationError):
    """An internal error occurred"""

    known = ("rivetkit", "internal_error", 500)


class ActionTimedOut(ApplicationError):
    """The action did not finish within its action_timeout."""

    known = ("actor", "action_timed_out", 408)


class CallbackTimedOut(ApplicationError):
    """A hook of the actor did not finish within its time limit."""

    known = ("actor", "callback_timed_out", 500)


class ActorNotConfigured(ApplicationError):
    """The registry of this service has no actor of this name."""

    known = ("actor", "not_registered", 404)


class StateNotEnabled(ApplicationError):
    """The actor declares no state: give its class a `state` or a `create_state`."""

    known = ("actor", "state_not_enabled", 500)


class VarsNotEnabled(ApplicationError):
    """The actor declares no vars: give its class a `vars` or a `create_vars`."""

    known = ("actor", "vars_not_enabled", 500)


class StateNotSerializable(ApplicationError):
    """The state holds a value that cannot be stored; the last good state was kept."""

    known = ("actor", "state_not_serializable", 500)


class StateMutationReentrant(ApplicationError):
    """`on_state_change` may only read the state; keep what it notes in `self.vars`."""

    known = ("actor", "state_mutation_reentrant", 500)


class Aborted(ApplicationError):
    """The wait was ended because the actor is stopping."""

    known = ("actor", "aborted", 503)


class StateUnreadable(ApplicationError):
    """The stored state does not match the actor's state type; give the type defaults or
    migrate it."""

    known = ("actor", "state_unreadable", 500)


class OutputNotSerializable(ApplicationError):
    """The action returned a value that cannot be sent."""

    known = ("actor", "output_not_serializable", 500)


# --------------------------------------------------- the machine or the service is to blame


class SystemTrouble(KnownError):
    """The service is in trouble; repeating the request later may succeed."""

    retry: ClassVar[Retry] = "later"


class StorageUnavailable(SystemTrouble):
    """The shard cannot write to its disk; nothing of this request was stored."""

    known = ("storage", "unavailable", 503)


class ShardUnavailable(SystemTrouble):
    """The shard of this actor is closed because its file is damaged; the log says how."""

    known = ("storage", "shard_closed", 503)


class ActorRestarting(SystemTrouble):
    """The worker of this actor ended while it held this request; it may or may not have run."""

    known = ("actor", "restarting", 503)


class ActorStopping(SystemTrouble):
    """The actor is stopping."""

    known = ("actor", "stopping", 503)


class DestroyedDuringCreation(SystemTrouble):
    """The actor was destroyed before its creation was answered."""

    known = ("actor", "destroyed_during_creation", 503)


class ActorReadyTimeout(SystemTrouble):
    """The worker of this actor did not become ready in time."""

    known = ("guard", "actor_ready_timeout", 503)


class ServiceUnavailable(SystemTrouble):
    """The service is stopping."""

    known = ("guard", "service_unavailable", 503)


class Overloaded(SystemTrouble):
    """Too many requests wait for this actor; slow down and repeat."""

    known = ("actor", "overloaded", 503)
