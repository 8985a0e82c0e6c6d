"""Which errors are worth a second request: the table of client-protocol, 9.4."""

from __future__ import annotations

import pytest

from stator.client.retries import is_last_word, pause_before_republishing, pause_before_retry
from stator.runtime.errors import ActorError
from stator.runtime.handles import Address

CREATING = Address("a", ("k",), create=True)
GETTING = Address("a", ("k",))
PINNED = Address("a", actor_id="x")

STALE = [
    "actor.not_found",
    "actor.starting",
    "actor.stopping",
    "actor.not_configured",
    "actor.dropped_reply",
    "actor.destroying",
    "actor.destroyed_while_waiting_for_ready",
    "actor.destroyed_during_creation",
    "guard.actor_ready_timeout",
    "guard.actor_runner_failed",
]
BOUNDARY = [
    "actor.restarting",
    "guard.service_unavailable",
    "guard.actor_wake_retries_exceeded",
    "guard.actor_stopped_while_waiting",
    "guard.tunnel_request_aborted",
    "guard.tunnel_message_timeout",
    "guard.tunnel_response_closed",
    "guard.gateway_response_start_timeout",
]
FINAL = [
    "user.not_found",
    "rivetkit.internal_error",
    "actor.internal_error",
    "actor.aborted",
    "actor.stopped",
    "actor.overloaded",
    "actor.action_not_found",
    "guard.request_timeout",
    "guard.retry_attempts_exceeded",
    "pegboard.service_unavailable",
]


def make(identity: str, message: str = "") -> ActorError:
    group, _, code = identity.partition(".")
    return ActorError(message, group=group, code=code)


def pauses(error: ActorError, address: Address, action: str = "act") -> list[float]:
    """Return the pauses of a call whose every answer is ``error``."""
    found: list[float] = []
    while (pause := pause_before_retry(error, len(found) + 1, address, action)) is not None:
        found.append(pause)
    return found


@pytest.mark.parametrize("identity", STALE)
def test_a_stale_actor_is_asked_for_as_often_as_its_handle_can_find_another(identity: str) -> None:
    assert pauses(make(identity), CREATING) == [0.1] * 59
    assert pauses(make(identity), GETTING) == [0.1] * 23
    assert pauses(make(identity), PINNED) == []


@pytest.mark.parametrize("identity", BOUNDARY)
@pytest.mark.parametrize("address", [CREATING, GETTING, PINNED])
def test_a_boundary_is_waited_out_by_every_handle(identity: str, address: Address) -> None:
    assert pauses(make(identity), address) == [0.025, 0.05, 0.1, 0.2]


def test_the_notice_that_an_actor_is_stopping_is_a_boundary() -> None:
    assert len(pauses(make("actor.internal_error", "Actor is stopping"), PINNED)) == 4


@pytest.mark.parametrize("identity", FINAL)
@pytest.mark.parametrize("address", [CREATING, GETTING, PINNED])
def test_other_errors_are_final(identity: str, address: Address) -> None:
    assert pauses(make(identity), address) == []


def test_destroy_is_not_repeated_where_it_may_have_happened() -> None:
    assert pauses(make("actor.restarting"), CREATING, "destroy") == []
    assert pauses(make("actor.destroying"), CREATING, "destroy") == []
    assert len(pauses(make("actor.stopping"), CREATING, "destroy")) == 59


def republications(error: ActorError, address: Address) -> int:
    """Return how often a message is sent again whose every answer is ``error``."""
    found = 0
    while pause_before_republishing(error, found + 1, address) is not None:
        found += 1
    return found


@pytest.mark.parametrize("identity", STALE)
def test_a_message_follows_its_actor(identity: str) -> None:
    error = make(identity)
    assert [republications(error, who) for who in (CREATING, GETTING, PINNED)] == [59, 23, 0]


@pytest.mark.parametrize("identity", BOUNDARY + FINAL)
def test_a_message_that_may_be_stored_is_not_sent_again(identity: str) -> None:
    assert republications(make(identity), CREATING) == 0


@pytest.mark.parametrize(
    ("metadata", "times"),
    [
        ({"channel": "dispatch_inbox", "operation": "dispatch_queue_send"}, 59),
        ({"channel": "dispatch_inbox", "operation": "dispatch_queue_send", "capacity": [1]}, 59),
        ({"channel": "dispatch_inbox", "operation": "dispatch_action"}, 0),
        ({"channel": "dispatch_inbox"}, 0),
        ("dispatch_inbox", 0),
        (None, 0),
    ],
)
def test_only_an_overload_of_queues_is_waited_out(metadata: object, times: int) -> None:
    error = ActorError("m", group="actor", code="overloaded", metadata=metadata)
    assert republications(error, CREATING) == times


def test_a_stator_service_knows_that_there_is_no_such_actor() -> None:
    missing = make("actor.not_found")
    assert is_last_word(missing, GETTING, by_actor=False)
    assert not is_last_word(missing, CREATING, by_actor=False)
    assert not is_last_word(make("actor.stopping"), GETTING, by_actor=False)


def test_what_an_actor_of_a_stator_service_raised_is_never_repeated() -> None:
    assert is_last_word(make("actor.restarting"), CREATING, by_actor=True)
