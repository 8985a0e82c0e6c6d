"""Exceptions that come back after a restart."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.errors import ActorError, ActorNotFound, UserError
from stator.runtime.workflow.entries import ErrorRecord, encode_record
from stator.runtime.workflow.failures import (
    MAX_STACK_BYTES,
    RecordedError,
    as_recorded,
    record_error,
    revive_error,
)
from stator.runtime.workflow_errors import Fatal, GatherFailed, StepFailed, Undo, UndoFailed

decode_record = msgspec.msgpack.Decoder(ErrorRecord).decode


def restarted(error: BaseException) -> Exception:
    """Return what an exception is after it was stored and read."""
    return revive_error(decode_record(encode_record(record_error(error))))


def raised(call: Any, *args: Any) -> Exception:
    """Return what a call raises."""
    try:
        call(*args)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


class Declined(Exception):
    """Cannot be made without its parts."""

    def __init__(self, order: int, *, reason: str) -> None:
        super().__init__(f"order {order}: {reason}")
        self.order = order
        self.reason = reason
        self.client = object()


class Refused(UserError):
    def __init__(self, shop: str) -> None:
        super().__init__(f"{shop} refused", code="refused", metadata={"shop": shop})
        self.shop = shop


class Told(Exception):
    def __str__(self) -> str:
        return f"told {self.args[0]['what']}"


EXCEPTIONS: list[Exception] = [
    ValueError("boom"),
    ValueError(),
    ValueError("boom", 3, (1, 2)),
    KeyError("k"),
    raised(json.loads, "{"),
    raised(open, "/nowhere/at/all"),
    raised(b"\xff".decode),
    OSError(28, "No space left on device"),
    Declined(7, reason="no funds"),
    Told({"what": "so"}),
    UserError("no", code="x", metadata={"left": 3}),
    ActorError("sold out", group="shop", code="sold_out", status=409),
    ActorNotFound(),
    Fatal("no", code="declined"),
    Refused("fish"),
    StepFailed.of(step="charge", kind="timeout", attempts=2, error=ValueError("boom")),
    GatherFailed.of({"a": ValueError("boom"), "b": Undo("x")}, name="g"),
    UndoFailed.of(step="reserve", error=Declined(7, reason="no funds")),
    ExceptionGroup("several", [ValueError("boom"), ExceptionGroup("inner", [KeyError(1)])]),
]


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_an_exception_comes_back_as_its_class_with_its_text(error: Exception) -> None:
    revived = restarted(error)
    assert type(revived) is type(error)
    assert str(revived) == str(error)
    assert revived.args == error.args or isinstance(error, ExceptionGroup)


def test_what_an_exception_knows_comes_back() -> None:
    revived = restarted(Declined(7, reason="no funds"))
    assert isinstance(revived, Declined)
    assert (revived.order, revived.reason) == (7, "no funds")
    assert not hasattr(revived, "client"), "which is nothing plain"


def test_an_exception_of_the_system_knows_its_number_and_file() -> None:
    revived = restarted(raised(open, "/nowhere/at/all"))
    assert isinstance(revived, FileNotFoundError)
    assert (revived.errno, revived.filename) == (2, "/nowhere/at/all")


def test_an_actor_error_keeps_its_identity() -> None:
    revived = restarted(ActorError("m", group="g", code="c", metadata={"a": [1]}, status=409))
    assert isinstance(revived, ActorError)
    assert (revived.group, revived.code, revived.message) == ("g", "c", "m")
    assert (revived.metadata, revived.status) == ({"a": [1]}, 409)


def test_a_failed_step_comes_back_with_its_error() -> None:
    error = StepFailed.of(step="charge", attempts=4, error=Declined(7, reason="no funds"))
    revived = restarted(error)
    assert isinstance(revived, StepFailed)
    assert (revived.kind, revived.step, revived.key) == ("exhausted", "charge", "charge")
    assert revived.attempts == 4
    assert isinstance(revived.error, Declined)


def test_failed_branches_come_back_with_their_errors() -> None:
    inner = StepFailed.of(step="a", error=ValueError("boom"))
    revived = restarted(GatherFailed.of({"a": inner, "b": KeyError("k")}, name="g"))
    assert isinstance(revived, GatherFailed)
    assert [type(error) for error in revived.errors.values()] == [StepFailed, KeyError]
    assert isinstance(revived.errors["a"], StepFailed)
    assert str(revived.errors["a"].error) == "boom"


def test_a_group_comes_back_with_its_members() -> None:
    revived: Any = restarted(ExceptionGroup("several", [Declined(7, reason="x"), KeyError("k")]))
    assert [str(member) for member in revived.exceptions] == ["order 7: x", "'k'"]


# ------------------------------------------------------------------- what cannot come back


def local_error() -> Exception:
    class Local(Exception):
        pass

    return Local("boom")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (local_error(), "Local: boom"),
        (KeyboardInterrupt("stop"), "KeyboardInterrupt: stop"),
        (asyncio.CancelledError(), "CancelledError"),
        (BaseExceptionGroup("g", [KeyboardInterrupt()]), "BaseExceptionGroup: g"),
    ],
    ids=["local", "interrupt", "cancelled", "group"],
)
def test_something_stands_for_an_exception_that_cannot_come_back(
    error: BaseException, text: str
) -> None:
    revived = restarted(error)
    assert type(revived) is RecordedError
    assert str(revived) == text


def test_what_stands_for_an_exception_may_be_recorded_again() -> None:
    again = restarted(RecordedError("Local", "boom"))
    assert str(again) == "Local: boom"
    assert record_error(RecordedError("Local", "boom")).name == "Local"


def test_a_class_that_has_gone_is_stood_for() -> None:
    record = msgspec.structs.replace(record_error(Declined(7, reason="x")), home="no.where:Gone")
    assert str(revive_error(record)) == "Declined: order 7: x"


def test_something_else_under_the_name_of_a_class_is_stood_for() -> None:
    record = msgspec.structs.replace(record_error(ValueError("x")), home="json:loads")
    assert str(revive_error(record)) == "ValueError: x"


@pytest.mark.parametrize("argument", [object(), "\ud800", "x" * 100_000, ValueError("inner")])
def test_arguments_that_cannot_be_stored_leave_the_text(argument: Any) -> None:
    revived = restarted(ValueError(argument))
    assert type(revived) is ValueError
    assert isinstance(revived.args[0], str)


@pytest.mark.parametrize(
    "metadata", [{"a": object()}, {"a": 2**90}, "x" * 100_000, {"a": "\ud800"}], ids=type
)
def test_metadata_that_cannot_be_stored_are_described(metadata: Any) -> None:
    revived = restarted(UserError("no", metadata=metadata))
    assert isinstance(revived, UserError)
    assert isinstance(revived.metadata, str)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class Unmade(Exception):
    def __new__(cls, *_: Any) -> "Unmade":
        raise RuntimeError("not even that")


def test_an_exception_that_has_no_text_is_stood_for() -> None:
    assert type(restarted(Unspeakable())) is RecordedError


def test_an_exception_that_cannot_be_made_is_stood_for() -> None:
    record = msgspec.structs.replace(record_error(ValueError("x")), home=f"{__name__}:Unmade")
    assert type(revive_error(record)) is RecordedError


def test_exceptions_within_one_another_are_recorded_to_some_depth() -> None:
    error: Exception = ValueError("innermost")
    for _ in range(50):
        error = StepFailed.of(step="s", error=error)
    assert isinstance(restarted(error), StepFailed)


def test_an_exception_within_itself_is_recorded() -> None:
    error = Declined(1, reason="x")
    error.__dict__["again"] = error
    assert isinstance(restarted(error), Declined)


RECORDS = st.builds(
    ErrorRecord,
    name=st.text("ab"),
    message=st.text("ab"),
    home=st.sampled_from(
        [
            "",
            ":",
            "builtins:",
            "builtins:OSError",
            "builtins:UnicodeDecodeError",
            "builtins:ExceptionGroup",
            "builtins:SystemExit",
            "builtins:int",
            "json:dumps",
            f"{__name__}:Told",
        ]
    ),
    arguments=st.binary(max_size=8),
    attributes=st.dictionaries(st.text("ab_"), st.none() | st.integers() | st.text()),
    inner=st.just({}),
)


@given(RECORDS)
def test_whatever_record_there_is_some_exception_is_made_of_it(record: ErrorRecord) -> None:
    assert str(revive_error(record)) is not None


# ------------------------------------------------------------------------- live, and the stack


def test_live_the_original_is_the_cause() -> None:
    error = ValueError("boom")
    record, revived = as_recorded(error)
    assert revived is not error
    assert revived.__cause__ is error
    assert (record.name, record.message) == ("ValueError", "boom")


def test_what_came_back_and_is_raised_again_has_the_record_it_had() -> None:
    record = record_error(raised(json.loads, "{"))
    assert record_error(revive_error(record)) == record


def test_the_stack_says_where_it_was_raised_and_of_what() -> None:
    stack = record_error(raised(json.loads, "{")).stack
    assert "raw_decode" in stack
    assert "JSONDecodeError: Expecting property name" in stack


def nested(depth: int) -> None:
    if depth == 0:
        raise ValueError("at the bottom")
    try:
        nested(depth - 1)
    except Exception as error:
        raise RuntimeError("on the way") from error


def test_a_long_stack_keeps_its_end() -> None:
    stack = record_error(raised(nested, 20)).stack
    assert len(stack.encode()) <= MAX_STACK_BYTES
    assert stack.startswith("...\n")
    assert stack.endswith("RuntimeError: on the way\n")
