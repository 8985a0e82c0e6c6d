"""Which failed requests are repeated, how often and after how long (client-protocol, 9.4).

    family     of                  handle          requests   apart
    stale      all                 get_or_create         60   100 ms
                                   get                   24   100 ms
                                   get_for_id             1
    overload   messages of queues  as above
    boundary   actions             any                    5   25, 50, 100, 200 ms
    others     all                 any                    1

Rule 1. The identity of the error decides, never the HTTP status.
Rule 2. An action named ``destroy`` is not repeated at a boundary nor while the actor is being
        destroyed: it may have been what destroyed it.
Rule 3. A stator service says who answers. What an actor's own code raised is not repeated there,
        even if it has such a code (it may come from an actor that this one called), and
        ``actor.not_found`` is final for ``get``: the owner of the key has looked.
Rule 4. Control of a workflow is repeated like an action if it only looks, else like a message: a
        fork that is sent twice may be two.
"""

from __future__ import annotations

from stator.runtime.errors import ActorError
from stator.runtime.handles import Address
from stator.runtime.protocol.kinds import is_object
from stator.runtime.workflow_control import LOOKS, Verb

STALE_PAUSE_S = 0.1
STALE_REQUESTS = 24
STALE_REQUESTS_CREATING = 60
BOUNDARY_PAUSES_S = (0.025, 0.05, 0.1, 0.2)

_STALE = frozenset(
    {
        "actor.not_found",
        "actor.starting",
        "actor.stopping",
        "actor.not_configured",
        "actor.dropped_reply",
        "actor.destroying",
        "guard.actor_ready_timeout",
        "guard.actor_runner_failed",
    }
)
_STALE_PREFIX = "actor.destroyed_"
_OVERLOAD_OF_QUEUES = {"channel": "dispatch_inbox", "operation": "dispatch_queue_send"}
"""The metadata of ``actor.overloaded`` when it is about a message of a queue."""
_BOUNDARY = frozenset(
    {
        "actor.restarting",
        "guard.service_unavailable",
        "guard.actor_wake_retries_exceeded",
        "guard.actor_stopped_while_waiting",
        "guard.tunnel_request_aborted",
        "guard.tunnel_message_timeout",
        "guard.tunnel_response_closed",
        "guard.gateway_response_start_timeout",
    }
)


def pause_before_retry(
    error: ActorError, requests: int, address: Address, action: str
) -> float | None:
    """Return how many seconds to wait before the next request, or ``None`` to give up.

    ``requests`` counts those made so far.
    """
    identity = f"{error.group}.{error.code}"
    is_destroy = action == "destroy"
    if identity in _BOUNDARY or _is_stopping_notice(error):
        may_repeat = not is_destroy and requests <= len(BOUNDARY_PAUSES_S)
        return BOUNDARY_PAUSES_S[requests - 1] if may_repeat else None
    if not _is_stale(error):
        return None
    if is_destroy and identity == "actor.destroying":
        return None
    return STALE_PAUSE_S if requests < _stale_requests(address) else None


def pause_before_republishing(error: ActorError, requests: int, address: Address) -> float | None:
    """Return how long to wait before a message is sent to its queue again, or ``None`` to give up.

    At a boundary it may be in the queue already, so it is not sent a second time there.
    """
    is_worth_it = _is_stale(error) or _is_overload_of_queues(error)
    return STALE_PAUSE_S if is_worth_it and requests < _stale_requests(address) else None


def pause_before_control(
    error: ActorError, requests: int, address: Address, verb: Verb
) -> float | None:
    """Return how long to wait before a workflow is asked again, or ``None`` to give up (rule 4)."""
    if verb in LOOKS:
        return pause_before_retry(error, requests, address, verb.name)
    return pause_before_republishing(error, requests, address)


def is_last_word(error: ActorError, address: Address, *, by_actor: bool) -> bool:
    """Whether what a stator service answered would not change by asking again (rule 3)."""
    is_missing = (error.group, error.code) == ("actor", "not_found")
    return by_actor or (is_missing and not address.create)


def pause_before_refetch(
    error: ActorError, requests: int, address: Address, *, is_stator: bool
) -> float | None:
    """Return how long to wait before a raw request is sent again, or ``None`` to keep the answer.

    Of the table the first row holds for them.
    """
    if not _is_stale(error) or (is_stator and is_last_word(error, address, by_actor=False)):
        return None
    return STALE_PAUSE_S if requests < _stale_requests(address) else None


def _is_stale(error: ActorError) -> bool:
    identity = f"{error.group}.{error.code}"
    return identity in _STALE or identity.startswith(_STALE_PREFIX)


def _is_overload_of_queues(error: ActorError) -> bool:
    metadata = error.metadata
    return (
        (error.group, error.code) == ("actor", "overloaded")
        and is_object(metadata)
        and metadata.items() >= _OVERLOAD_OF_QUEUES.items()
    )


def _stale_requests(address: Address) -> int:
    if address.actor_id is not None:
        return 1
    return STALE_REQUESTS_CREATING if address.create else STALE_REQUESTS


def _is_stopping_notice(error: ActorError) -> bool:
    return (error.group, error.code, error.message) == (
        "actor",
        "internal_error",
        "Actor is stopping",
    )
