"""The error tree: identities, statuses, and what of an error may leave the service."""

import copy
import pickle

import pytest

from stator.runtime import errors
from stator.runtime.error_views import ErrorView, is_public, public_view
from stator.runtime.errors import (
    INTERNAL_MESSAGE,
    ActorError,
    ActorNotFound,
    ActorRestarting,
    ApplicationError,
    CallerError,
    InternalError,
    KnownError,
    NamespaceNotFound,
    StateUnreadable,
    StorageUnavailable,
    SystemTrouble,
    UserError,
)
from stator.runtime.public_codes import PUBLIC_CODES, PUBLIC_GROUPS, RUNTIME_GROUPS

BLAMES = (CallerError, ApplicationError, SystemTrouble)
KNOWN = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, KnownError) and kind not in (KnownError, *BLAMES)
]
each_known = pytest.mark.parametrize("kind", KNOWN)


@each_known
def test_a_known_error_says_who_is_to_blame_and_what_it_means(kind: type[KnownError]) -> None:
    error = kind()
    assert isinstance(error, BLAMES)
    assert "known" in vars(kind), "its identity stands in the class itself"
    assert (error.group, error.code, error.status) == kind.known
    assert error.group in RUNTIME_GROUPS
    assert 400 <= error.status < 600
    assert kind.__doc__ is not None
    assert error.message == " ".join(kind.__doc__.split())
    assert str(error) == f"{error.group}.{error.code}: {error.message}"


MAY_COME_AGAIN = {408, 429}
"""Statuses that blame the caller's timing, not the request (RFC 9110, 15.5.9; RFC 6585, 4)."""


@each_known
def test_the_status_and_retry_follow_the_blame(kind: type[KnownError]) -> None:
    error = kind()
    if isinstance(error, SystemTrouble):
        assert (error.status, error.retry) == (503, "later")
    elif error.status not in MAY_COME_AGAIN:
        assert error.retry == "never"
    if isinstance(error, CallerError):
        assert error.status < 500


def test_two_errors_with_one_identity_have_one_status() -> None:
    statuses: dict[tuple[str, str], int] = {}
    for kind in KNOWN:
        group, code, status = kind.known
        assert statuses.setdefault((group, code), status) == status


def test_the_message_and_metadata_of_a_known_error_can_be_given() -> None:
    error = ActorRestarting("gone", metadata={"retryable": True})
    assert (error.message, error.metadata) == ("gone", {"retryable": True})
    assert ActorNotFound("").message == ""


def test_an_actor_error_is_for_the_caller_unless_it_says_otherwise() -> None:
    error = ActorError("no", group="shop", code="sold_out")
    assert (error.status, error.metadata, error.retry) == (400, None, "never")
    assert ActorError("no", group="shop", code="sold_out", status=503).status == 503


def test_a_user_error_has_the_group_user() -> None:
    assert (UserError("no").group, UserError("no").code) == ("user", "user_error")
    error = UserError("no", code="empty", metadata={"min": 1})
    assert (error.code, error.metadata, error.status) == ("empty", {"min": 1}, 400)


@pytest.mark.parametrize(
    "error",
    [
        ActorError("m", group="g", code="c", metadata=[1], status=418),
        UserError("m", code="c", metadata={"a": 1}),
        ActorNotFound("m"),
        StorageUnavailable(),
    ],
)
def test_an_error_keeps_its_identity_when_pickled_or_copied(error: ActorError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert isinstance(again, ActorError)
        assert vars(again) == vars(error)
        assert str(again) == str(error)


# -- what crosses the wire


@pytest.mark.parametrize("kind", [kind for kind in KNOWN if issubclass(kind, CallerError)])
def test_a_caller_can_read_what_it_did_wrong(kind: type[KnownError]) -> None:
    error = kind("told so", metadata={"at": "x"})
    view = public_view(error)
    assert view == ErrorView(error.group, error.code, "told so", {"at": "x"}, error.status)


PASSED_WHOLE = [
    ("user", "user_error"),
    ("user", "anything"),
    ("auth", "forbidden"),
    ("actor", "not_found"),
    ("actor", "action_not_found"),
    ("actor", "method_not_allowed"),
    ("actor", "action_timed_out"),
    ("actor", "aborted"),
    ("actor", "validation_error"),
    ("message", "incoming_too_long"),
    ("message", "outgoing_too_long"),
    ("schedule", "invalid_name"),
    ("kv", "key_too_large"),
    ("queue", "full"),
    ("queue", "timed_out"),
    ("workflow", "outside_step"),
    ("shop", "sold_out"),
]


@pytest.mark.parametrize(("group", "code"), PASSED_WHOLE)
def test_a_public_error_passes_whole(group: str, code: str) -> None:
    error = ActorError("text", group=group, code=code, metadata={"a": 1}, status=409)
    assert is_public(error)
    assert public_view(error) == ErrorView(group, code, "text", {"a": 1}, 409)


@pytest.mark.parametrize(
    ("group", "code"),
    [
        ("actor", "state_unreadable"),
        ("actor", "secret"),
        ("core", "internal_error"),
        ("guard", "secret"),
        ("queue", "secret"),
        ("rivetkit", "internal_error"),
        ("sqlite", "closed"),
    ],
)
def test_any_other_error_of_the_runtime_keeps_its_identity_only(group: str, code: str) -> None:
    error = ActorError("a secret", group=group, code=code, metadata={"secret": 1})
    assert not is_public(error)
    assert public_view(error) == ErrorView(group, code, INTERNAL_MESSAGE, None, 500)


@pytest.mark.parametrize("error", [StateUnreadable("a secret"), InternalError("a secret")])
def test_the_text_of_an_internal_error_stays_inside(error: KnownError) -> None:
    view = public_view(error)
    assert (view.message, view.metadata) == (INTERNAL_MESSAGE, None)
    assert (view.group, view.code) == (error.group, error.code)


@pytest.mark.parametrize("error", [ValueError("a secret"), KeyError("a"), KeyboardInterrupt()])
def test_any_other_exception_is_the_internal_error(error: BaseException) -> None:
    view = public_view(error)
    assert view == ErrorView("rivetkit", "internal_error", INTERNAL_MESSAGE, None, 500)


def test_a_redacted_error_never_looks_like_the_callers_fault() -> None:
    gone = ActorError("m", group="core", code="x", status=404)
    broken = ActorError("m", group="core", code="x", status=503)
    assert (public_view(gone).status, public_view(broken).status) == (500, 503)


def test_development_sees_everything() -> None:
    hidden = ActorError("m", group="core", code="x", metadata=1, status=404)
    assert public_view(hidden, expose=True) == ErrorView("core", "x", "m", 1, 404)
    assert public_view(ValueError("m"), expose=True).message == "ValueError: m"


def test_what_is_public_belongs_to_the_runtime() -> None:
    assert {code.partition(".")[0] for code in PUBLIC_CODES} <= RUNTIME_GROUPS - PUBLIC_GROUPS
    assert PUBLIC_GROUPS - {"user"} <= RUNTIME_GROUPS


def test_a_worker_can_tell_a_gateway_which_namespace_is_missing() -> None:
    view = public_view(NamespaceNotFound("the namespace 'x' does not exist"))
    assert (view.message, view.status) == ("the namespace 'x' does not exist", 400)
