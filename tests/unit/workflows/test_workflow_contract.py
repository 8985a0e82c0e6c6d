"""The words of section 8 of the contract: names, signatures, defaults, fields (python-api)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import stator.workflow
from stator import Actor, ActorError, setup
from stator.runtime.workflow.options import GivenOptions, StepOptions
from stator.workflow import (
    Backoff,
    Failed,
    FirstFailed,
    GatherFailed,
    Ok,
    StepFailed,
    Turn,
    Winner,
    Workflow,
    WorkflowErrorEvent,
    WorkflowHandle,
    workflow,
)
from tests.fakes.workflow_flows import failing, noting, running_flow

# -------------------------------------------------------------------------- signatures

EMPTY = inspect.Parameter.empty

SIGNATURES: dict[str, dict[str, Any]] = {
    "step": {"name": EMPTY, "function": EMPTY},
    "attempt": {"name": EMPTY, "function": EMPTY},
    "txn": {"name": EMPTY, "function": EMPTY},
    "call": {"function": EMPTY},
    "loop": {"name": EMPTY, "state": None, "keep": 20},
    "sleep": {"name": EMPTY, "seconds": EMPTY},
    "sleep_until": {"name": EMPTY, "when": EMPTY},
    "receive": {"name": EMPTY, "timeout": None, "ack": False},
    "receive_many": {"name": EMPTY, "max": 1, "timeout": None, "ack": False},
    "gather": {"name": EMPTY, "return_errors": False},
    "map": {
        "name": EMPTY,
        "items": EMPTY,
        "fn": EMPTY,
        "key": None,
        "concurrency": None,
        "return_errors": False,
    },
    "first": {"name": EMPTY},
    "after": {"seconds": EMPTY},
    "timeout": {"name": EMPTY, "seconds": EMPTY},
    "saga": {"name": EMPTY},
    "scope": {"name": EMPTY},
    "removed": {"name": EMPTY, "kind": "step"},
    "version": {"name": EMPTY, "latest": EMPTY},
    "patched": {"name": EMPTY},
    "now": {},
    "uuid": {},
    "promise": {"name": EMPTY},
}

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_method_has_the_parameters_of_the_contract(name: str) -> None:
    parameters = list(inspect.signature(getattr(Workflow, name)).parameters.values())[1:]
    named = {each.name: each.default for each in parameters if each.kind not in VARIADIC}
    assert named == SIGNATURES[name]


VARIADICS = {
    "step": ["args", "options"],
    "attempt": ["args", "options"],
    "txn": ["args", "options"],
    "receive": ["queues"],
    "receive_many": ["queues"],
    "gather": ["branches"],
    "first": ["branches"],
}


@pytest.mark.parametrize("name", VARIADICS)
def test_a_method_takes_any_number_of_these(name: str) -> None:
    parameters = inspect.signature(getattr(Workflow, name)).parameters.values()
    assert [each.name for each in parameters if each.kind in VARIADIC] == VARIADICS[name]


def test_the_options_of_a_step_have_the_defaults_of_the_contract() -> None:
    assert msgspec.structs.asdict(StepOptions()) == {
        "retries": 3,
        "backoff": Backoff(first=0.2, factor=2, max=30, jitter=0),
        "timeout": 30.0,
        "retry_timeouts": False,
        "retry_on": (Exception,),
        "fail_on": (),
        "undo": None,
        "key": None,
        "log_start": True,
        "buffered": False,
    }


def test_type_checkers_know_every_option() -> None:
    assert set(GivenOptions.__annotations__) == {*StepOptions.__struct_fields__}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("status", []),
        ("history", []),
        ("output", []),
        ("cancel", []),
        ("retry", []),
        ("fork", ["from_key"]),
        ("resolve", ["promise", "value"]),
    ],
)
def test_a_handle_has_the_verbs_of_the_contract(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(WorkflowHandle, name)).parameters)[1:] == parameters


@pytest.mark.parametrize("name", stator.workflow.__all__)
def test_all_that_is_public_is_there_and_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(stator.workflow, name))


# ------------------------------------------------------------------------------- fields


def test_a_failed_has_its_fields() -> None:
    error = ValueError("x")
    failed = Failed("timeout", error, 2, "charge")
    assert (failed.kind, failed.step, failed.attempts, failed.error) == (
        "timeout",
        "charge",
        2,
        error,
    )


def test_a_failed_is_matched_by_kind_error_and_attempts() -> None:
    """As the page writes it (section 16.2)."""
    match Failed("fatal", None, 1, "charge"):
        case Failed(kind, error, attempts):
            assert (kind, error, attempts) == ("fatal", None, 1)


def test_an_ok_has_its_value() -> None:
    match Ok(5):
        case Ok(value):
            assert value == 5


def test_the_kinds_of_failures_are_those_of_the_contract() -> None:
    assert StepFailed.kinds == {"exhausted", "timeout", "fatal", "undone"}


def test_a_winner_has_name_and_value() -> None:
    winner = Winner("work", 5)
    assert (winner.name, winner.value) == ("work", 5)


@pytest.mark.parametrize("kind", [GatherFailed, FirstFailed])
def test_the_errors_of_branches_are_a_dict(kind: Any) -> None:
    error = ValueError("x")
    assert kind.of({"a": error}).errors == {"a": error}


def test_a_turn_has_index_state_and_stop() -> None:
    turn = Turn(3, "x")
    turn.stop(5)
    assert (turn.index, turn.state, turn.is_last) == (3, "x", True)


def test_an_event_has_the_fields_of_the_page() -> None:
    fields = {*WorkflowErrorEvent.__struct_fields__}
    assert fields >= {
        "workflow_id",
        "step_name",
        "attempt",
        "max_retries",
        "remaining_retries",
        "will_retry",
        "retry_delay",
        "retry_at",
        "error",
    }


# ---------------------------------------------------------------------------- attempts


@pytest.mark.parametrize(
    ("times", "expected"), [(0, ["Ok", "s done"]), (9, ["exhausted", "no 2", 2, "s"])]
)
async def test_attempt_returns_how_it_went(times: int, expected: list[Any]) -> None:
    async def body(self: Any, wf: Workflow) -> list[Any]:
        match await wf.attempt("s", failing([], "s", times), retries=1):
            case Ok(value):
                return ["Ok", value]
            case Failed() as failed:
                return [failed.kind, str(failed.error), failed.attempts, failed.step]

    async with running_flow(body) as flow:
        await flow.pass_time(1)
        assert await flow.output() == expected


async def test_a_caught_failure_is_the_same_in_every_replay() -> None:
    """Defect no. 3 of the peer."""
    seen: list[Any] = []
    ran: list[Any] = []

    async def body(self: Any, wf: Workflow) -> None:
        found = await wf.attempt("s", failing(ran, "s", 1), fail_on=Exception)
        seen.append(type(found).__name__)
        await wf.receive("go")

    async with running_flow(body) as flow:
        await flow.crash()
        await flow.again()
        assert (seen, ran) == (["Failed"] * 3, ["s"])


# --------------------------------------------------------------------------- the class


def test_run_takes_the_workflow() -> None:
    class Wrong(Actor):
        @workflow
        def run() -> None:  # type: ignore[misc]
            ...

    with pytest.raises(Exception, match="takes the workflow"):
        setup(use={"wrong": Wrong})


@pytest.mark.parametrize("make", [workflow, workflow()])
async def test_a_function_that_takes_the_workflow_alone_is_one(make: Callable[..., Any]) -> None:
    async def ignored(self: Any, wf: Workflow) -> None: ...

    async def alone(wf: Workflow) -> str:
        return await wf.step("s", noting([], "s", "alone"))

    async with running_flow(ignored, run=make(alone)) as flow:
        assert await flow.output() == "alone"


async def test_an_actor_has_no_workflow_without_the_decorator() -> None:
    async def ignored(self: Any, wf: Workflow) -> None: ...

    async def run(self: Any) -> None: ...

    async with running_flow(ignored, run=run) as flow:
        with pytest.raises(ActorError, match="not_enabled"):
            await flow.workflow.status()


async def test_on_failure_retry_goes_on_when_the_actor_starts() -> None:
    ran: list[Any] = []

    async def body(self: Any, wf: Workflow) -> str:
        return str(await wf.step("s", failing(ran, "s", 1), retries=0))

    async with running_flow(body, run=workflow(body, on_failure="retry")) as flow:
        assert await flow.status() == "failed"
        await flow.again()
        assert (await flow.output(), ran) == ("s done", ["s", "s"])


# ------------------------------------------------------------------------- determinism


async def test_time_and_chance_are_the_same_in_every_replay() -> None:
    seen: list[Any] = []

    async def look(self: Any, wf: Workflow) -> None:
        found = [wf.now(), wf.random.random(), wf.uuid()]
        await wf.sleep("nap", 10)
        found += [wf.now(), wf.random.random(), wf.uuid()]
        seen.append(found)
        await wf.receive("go")

    async with running_flow(look) as flow:
        await flow.pass_time(10)
        await flow.crash()
        await flow.pass_time(100)
        await flow.again()
        assert seen[0] == seen[1] == seen[2]
        assert seen[0][3] == pytest.approx(seen[0][0] + 10, abs=0.01)
        assert len({*map(str, seen[0])}) == 6
