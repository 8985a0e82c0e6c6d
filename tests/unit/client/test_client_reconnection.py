"""When a connection is opened again: the rules alone (client-protocol, 7.8)."""

from __future__ import annotations

import pytest

from stator.client.reconnection import BackOff, Failure, Verdict, reason_of, verdict_on
from stator.runtime.errors import ActorError
from stator.runtime.handles import Address

GET = Address("room")
GET_OR_CREATE = Address("room", create=True)
BY_ID = Address("room", actor_id="i1")


def verdict(
    identity: str,
    address: Address,
    *,
    was_open: bool = False,
    is_stator: bool = False,
    is_silence: bool = False,
) -> Verdict:
    group, _, code = identity.partition(".")
    failure = Failure(ActorError("no", group=group, code=code), is_silence)
    return verdict_on(failure, address, was_open=was_open, is_stator=is_stator)


@pytest.mark.parametrize("was_open", [False, True])
@pytest.mark.parametrize(
    "identity",
    [
        "actor.not_found",
        "actor.starting",
        "actor.stopping",
        "actor.not_configured",
        "actor.dropped_reply",
        "actor.destroyed_while_waiting_for_ready",
    ],
)
def test_an_actor_that_comes_or_goes_is_waited_for_unless_it_was_meant_by_id(
    identity: str, was_open: bool
) -> None:
    verdicts = [verdict(identity, address, was_open=was_open) for address in (GET, GET_OR_CREATE)]
    assert verdicts == [Verdict.RETRY_SILENTLY] * 2
    assert verdict(identity, BY_ID, was_open=was_open) is Verdict.GIVE_UP


@pytest.mark.parametrize("address", [GET, GET_OR_CREATE, BY_ID])
@pytest.mark.parametrize(
    "identity",
    [
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
    ],
)
def test_a_restart_is_waited_for_by_every_handle(identity: str, address: Address) -> None:
    assert verdict(identity, address) is Verdict.RETRY


@pytest.mark.parametrize("was_open", [False, True])
@pytest.mark.parametrize(
    "identity",
    [
        "user.denied",
        "actor.destroying",
        "guard.actor_ready_timeout",
        "guard.websocket_open_timeout",
        "rivetkit.internal_error",
        "client.connection_open_failed",
    ],
)
def test_every_other_reason_is_final(identity: str, was_open: bool) -> None:
    assert verdict(identity, GET_OR_CREATE, was_open=was_open) is Verdict.GIVE_UP


def test_silence_is_final_only_before_the_first_connection() -> None:
    silence = "client.connection_open_failed"
    assert verdict(silence, GET, is_silence=True) is Verdict.GIVE_UP
    assert verdict(silence, BY_ID, is_silence=True, was_open=True) is Verdict.RETRY


def test_a_stator_service_knows_that_an_actor_is_not_there() -> None:
    assert verdict("actor.not_found", GET, is_stator=True) is Verdict.GIVE_UP
    assert verdict("actor.stopping", GET, is_stator=True) is Verdict.RETRY_SILENTLY
    assert verdict("actor.not_found", GET_OR_CREATE, is_stator=True) is Verdict.RETRY_SILENTLY


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("user.denied", ("user", "denied")),
        ("actor.not_found#ray", ("actor", "not_found")),
        ("a.b.c", ("a", "b")),
    ],
)
def test_a_reason_of_two_parts_is_an_error(text: str, identity: tuple[str, str]) -> None:
    error = reason_of(text)
    assert error is not None
    assert (error.group, error.code) == identity


@pytest.mark.parametrize("text", ["", "bye", ".x", "x.", "#a.b", "x#.b"])
def test_a_reason_of_another_form_names_no_error(text: str) -> None:
    assert reason_of(text) is None


def test_the_ray_id_of_a_reason_is_a_note() -> None:
    error = reason_of("actor.not_found#r1")
    assert error is not None
    assert error.__notes__ == ["ray id: r1"]


def test_refusals_are_apart_from_a_quarter_second_to_thirty() -> None:
    back_off = BackOff()
    assert [back_off.after_refusal() for _ in range(9)] == [
        *(0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
        *(30.0, 30.0),
    ]


def test_a_loss_is_followed_at_once_and_then_by_pauses() -> None:
    back_off = BackOff()
    assert [back_off.after_loss(100), back_off.after_refusal(), back_off.after_refusal()] == [
        0.0,
        0.25,
        0.5,
    ]


def test_connections_that_do_not_last_are_not_opened_without_a_pause() -> None:
    back_off = BackOff()
    assert [back_off.after_loss(0.1) for _ in range(4)] == [0.0, 0.25, 0.5, 1.0]


def test_a_connection_that_lasted_starts_the_pauses_over() -> None:
    back_off = BackOff()
    pauses = [back_off.after_loss(0.1), back_off.after_loss(0.1), back_off.after_loss(5.0)]
    assert [*pauses, back_off.after_refusal()] == [0.0, 0.25, 0.0, 0.25]
