"""When a connection is opened again, and after how long (client-protocol, 7.8), as pure rules.

    what happened                                      get, get_or_create   get_for_id
    lost while it was open, whatever the reason        at once              at once
    refused: the actor is gone or about to be          silently             final
    refused: the actor or its service is restarting    yes                  yes
    params could not be had                            yes                  yes
    nobody answered, after it had been open            yes                  yes
    nobody answered, at the first attempt              final                final
    refused for any other reason                       final                final

Rule 1. The reason of a close frame decides, never its code.
Rule 2. The first attempt after a loss is immediate; all others wait 0.25 s, 0.5 s, ... 30 s.
        The sequence starts over with a connection that lasted :data:`STEADY_S`. The reference
        client starts it over with every one that opens, so that a server which opens connections
        and closes them is called without a pause.
Rule 3. Nobody answers while a service is down. The reference client gives up on that for good,
        even if it was connected before (semantics page, 12.4, says it does not); this one goes on.
Rule 4. A stator service knows whether an actor exists: for ``get``, ``actor.not_found`` is final
        there, as it is for calls (:mod:`retries`, rule 3).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from stator.runtime.errors import ActorError

if TYPE_CHECKING:
    from stator.runtime.handles import Address

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
STEADY_S = 5.0

_GONE = frozenset(
    {
        "actor.not_found",
        "actor.starting",
        "actor.stopping",
        "actor.not_configured",
        "actor.dropped_reply",
    }
)
_GONE_PREFIX = "actor.destroyed_"
_RESTARTING = frozenset(
    {
        "actor.stopped",
        "actor.restarting",
        "ws.going_away",
        "guard.service_unavailable",
        "guard.actor_wake_retries_exceeded",
        "guard.actor_stopped_while_waiting",
        "guard.tunnel_request_aborted",
        "guard.tunnel_message_timeout",
        "guard.tunnel_response_closed",
        "guard.gateway_response_start_timeout",
        "client.get_params_failed",
    }
)


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt did not open a connection."""

    error: ActorError
    is_silence: bool = False
    """Whether nobody answered: refused, reset, no WebSocket there."""


class Verdict(Enum):
    """What to do after a failed attempt."""

    RETRY = "retry"
    RETRY_SILENTLY = "retry silently"
    """Without telling the application: this is how actors come and go."""
    GIVE_UP = "give up"


def verdict_on(failure: Failure, address: Address, *, was_open: bool, is_stator: bool) -> Verdict:
    """Return what to do; ``was_open`` says whether any attempt before succeeded."""
    if failure.is_silence:
        return Verdict.RETRY if was_open else Verdict.GIVE_UP
    identity = f"{failure.error.group}.{failure.error.code}"
    if identity in _RESTARTING:
        return Verdict.RETRY
    if address.actor_id is not None:
        return Verdict.GIVE_UP
    if identity == "actor.not_found" and is_stator and not address.create:
        return Verdict.GIVE_UP
    is_gone = identity in _GONE or identity.startswith(_GONE_PREFIX)
    return Verdict.RETRY_SILENTLY if is_gone else Verdict.GIVE_UP


def reason_of(text: str) -> ActorError | None:
    """Return the error that a close reason ``group.code[#ray id]`` names, if it names one."""
    identity, _, ray_id = text.partition("#")
    group, code, *_ = [*identity.split("."), "", ""]
    if not group or not code:
        return None
    error = ActorError(f"the connection was closed: {identity}", group=group, code=code)
    if ray_id:
        error.add_note(f"ray id: {ray_id}")
    return error


class BackOff:
    """How long to wait before the next attempt (rule 2)."""

    __slots__ = ("_next_s",)

    def __init__(self) -> None:
        self._next_s = 0.0

    def after_refusal(self) -> float:
        """Return the seconds to wait after an attempt that failed."""
        pause = max(self._next_s, FIRST_PAUSE_S)
        self._next_s = min(2 * pause, LONGEST_PAUSE_S)
        return pause

    def after_loss(self, lasted_s: float) -> float:
        """Return the seconds to wait after losing a connection that was open so long."""
        if lasted_s >= STEADY_S:
            self._next_s = 0.0
        if self._next_s:
            return self.after_refusal()
        self._next_s = FIRST_PAUSE_S
        return 0.0
