"""Errors of workflows: what they say, and that copies of them are what they were."""

import copy
import pickle

import pytest

from stator.runtime import workflow_errors
from stator.runtime.error_views import is_public
from stator.runtime.errors import ActorError, CallerError, KnownError, UserError
from stator.runtime.public_codes import RUNTIME_GROUPS
from stator.runtime.workflow_errors import (
    Diverged,
    Fatal,
    FirstFailed,
    GatherFailed,
    InFlight,
    RecordedError,
    StepFailed,
    Undo,
    UndoFailed,
    describe,
)

KNOWN = [
    kind
    for kind in vars(workflow_errors).values()
    if isinstance(kind, type) and issubclass(kind, KnownError) and "known" in vars(kind)
]
BOOM = ValueError("boom")


@pytest.mark.parametrize("kind", [kind for kind in KNOWN if kind is not KnownError])
def test_an_error_says_by_itself_what_it_means_and_reaches_who_asks(kind: type[KnownError]) -> None:
    error = kind()
    assert (error.group, error.code, error.status) == kind.known
    assert error.group in RUNTIME_GROUPS
    assert error.message == " ".join((kind.__doc__ or "").split())
    assert is_public(error)


@pytest.mark.parametrize(
    ("kind", "attempts", "message"),
    [
        ("exhausted", 4, "step 'charge' failed after 4 attempts: ValueError: boom"),
        ("exhausted", 1, "step 'charge' failed after 1 attempt: ValueError: boom"),
        (
            "timeout",
            2,
            "step 'charge' took longer than its timeout, after 2 attempts: ValueError: boom",
        ),
        ("fatal", 1, "step 'charge' failed for good after 1 attempt: ValueError: boom"),
        ("undone", 1, "step 'charge' asked to be undone after 1 attempt: ValueError: boom"),
    ],
)
def test_a_failed_step_says_how_it_failed(kind: str, attempts: int, message: str) -> None:
    error = StepFailed.of(step="charge", kind=kind, attempts=attempts, error=BOOM)
    assert error.message == message
    assert kind in StepFailed.kinds


def test_a_failed_step_has_its_facts_as_attributes() -> None:
    error = StepFailed.of(step="charge", key="orders/~1/charge", attempts=4, error=BOOM)
    assert (error.step, error.key, error.kind) == ("charge", "orders/~1/charge", "exhausted")
    assert (error.attempts, error.error) == (4, BOOM)
    assert error.metadata == {
        "step": "charge",
        "key": "orders/~1/charge",
        "kind": "exhausted",
        "attempts": 4,
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            GatherFailed.of({"a": BOOM, "b": KeyError("k")}, name="g"),
            "branches of 'g' failed: a: ValueError: boom; b: KeyError: 'k'",
        ),
        (FirstFailed.of({"a": BOOM}, name="f"), "all branches of 'f' failed: a: ValueError: boom"),
        (
            UndoFailed.of(step="reserve", error=BOOM),
            "undoing step 'reserve' failed: ValueError: boom",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_around_others_says_what_they_say(error: ActorError, message: str) -> None:
    assert error.message == message
    assert error.args == (message,)


def test_a_divergence_says_both_sides() -> None:
    error = Diverged.between(("orders/~3/charge", "step"), ("pause", "sleep"))
    assert "has step 'orders/~3/charge' where its code asks for sleep 'pause'" in error.message
    assert error.metadata == {
        "history": {"key": "orders/~3/charge", "kind": "step"},
        "code": {"key": "pause", "kind": "sleep"},
    }


def test_a_divergence_may_have_one_side_only() -> None:
    missing = Diverged.between(None, ("pause", "sleep"))
    left = Diverged.between(("charge", "step"), None)
    assert "has nothing more where its code asks for sleep 'pause'" in missing.message
    assert "has step 'charge' where its code asks for nothing more" in left.message
    assert (missing.metadata["history"], left.metadata["code"]) == (None, None)


def test_a_replay_in_flight_is_refused_in_the_words_of_the_peer() -> None:
    assert isinstance(InFlight(), CallerError)
    assert InFlight().message == (
        "Workflow replay is unavailable while the workflow is currently in flight."
    )


@pytest.mark.parametrize(("kind", "code"), [(Fatal, "fatal"), (Undo, "undo")])
def test_a_body_says_by_its_exception_what_to_do(kind: type[Fatal | Undo], code: str) -> None:
    error = kind("no funds", metadata={"left": 3})
    assert isinstance(error, UserError)
    assert (error.group, error.code, error.metadata) == ("user", code, {"left": 3})
    assert kind("no funds", code="declined").code == "declined"


COPIED = [
    Fatal("no", code="declined", metadata={"a": 1}),
    Undo("no"),
    StepFailed.of(step="charge", kind="timeout", attempts=2, error=BOOM),
    GatherFailed.of({"a": BOOM}, name="g"),
    UndoFailed.of(step="reserve", error=BOOM),
]


@pytest.mark.parametrize("error", COPIED, ids=lambda error: type(error).__name__)
def test_a_copy_is_what_it_was(error: ActorError) -> None:
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is type(error)
        assert (str(other), other.args) == (str(error), error.args)
        assert vars(other).keys() == vars(error).keys()


def test_a_pickled_error_brings_the_errors_in_it_along() -> None:
    error = pickle.loads(pickle.dumps(GatherFailed.of({"a": BOOM}, name="g")))
    assert repr(error.errors) == "{'a': ValueError('boom')}"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BOOM, "ValueError: boom"),
        (ValueError(), "ValueError"),
        (Fatal("no"), "user.fatal: no"),
        (RecordedError("Declined", "no"), "Declined: no"),
        (RecordedError("Declined", ""), "Declined"),
        (Unspeakable(), "Unspeakable: <its text cannot be made: RuntimeError>"),
    ],
)
def test_an_error_is_described_in_a_line(error: BaseException, text: str) -> None:
    assert describe(error) == text
