"""Steps: what may be one, its attempts, how it fails (workflow page, sections 4.1, 9 and 12)."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from stator.workflow import Backoff, Fatal, Step, StepFailed, Undo, Workflow
from tests.fakes.workflow_flows import Body, Declined, Receipt, failing, noting, running_flow

Ran = list[Any]


def returning(make: Callable[[Any, Workflow], Any]) -> Body:
    """Return a workflow that returns what ``make(self, wf)`` does."""

    async def body(self: Any, wf: Workflow) -> Any:
        return await make(self, wf)

    return body


# ---------------------------------------------------------------------- what may be a step


async def add(a: int, b: int = 1) -> int:
    """Add; an async function of a module."""
    return a + b


def add_plainly(a: int, b: int = 1) -> int:
    """Add; a plain function of a module."""
    return a + b


class Adder:
    """An object that can be called."""

    async def __call__(self, a: int, b: int = 1) -> int:
        return a + b


async def add_as_step(step: Step, a: int, b: int = 1) -> int:
    """Add; asks for the step."""
    assert isinstance(step, Step)
    return a + b


def add_plainly_as_step(step: Step, a: int, b: int = 1) -> int:
    """Add; asks for the step."""
    assert isinstance(step, Step)
    return a + b


BODIES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "async function": (add, (2, 3)),
    "plain function": (add_plainly, (2, 3)),
    "default argument": (add, (4,)),
    "lambda": (lambda *args: sum(args), (2, 3)),
    "lambda of a coroutine": (lambda *args: add(*args), (2, 3)),
    "partial": (functools.partial(add, 2), (3,)),
    "object": (Adder(), (2, 3)),
    "bound method": (Adder().__call__, (2, 3)),
    "with the step": (add_as_step, (2, 3)),
    "plain with the step": (add_plainly_as_step, (2, 3)),
    "partial with the step": (functools.partial(add_as_step, b=3), (2,)),
}


@pytest.mark.parametrize("name", BODIES)
async def test_any_callable_is_a_step(name: str) -> None:
    function, args = BODIES[name]
    async with running_flow(returning(lambda self, wf: wf.step("add", function, *args))) as flow:
        assert await flow.output() == 5


async def test_a_method_of_the_actor_is_a_step() -> None:
    async def add(self: Any, step: Step, a: int) -> int:
        self.state.total += a
        total: int = self.state.total
        return total

    async with running_flow(returning(lambda self, wf: wf.step("a", self.more, 5)), more=add) as f:
        assert await f.output() == 5
        assert await f.actor.total() == 5


async def test_call_runs_a_function_as_the_step_of_its_name() -> None:
    async with running_flow(returning(lambda self, wf: wf.call(add, 2, 3))) as flow:
        assert (await flow.output(), await flow.keys()) == (5, ["add"])


async def test_a_plain_function_runs_in_a_thread() -> None:
    async with running_flow(
        returning(lambda self, wf: wf.step("where", lambda: threading.current_thread().name))
    ) as flow:
        assert await flow.output() != threading.current_thread().name


async def test_steps_run_one_after_the_other() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> list[Any]:
        return [await wf.step(name, noting(ran, name, name)) for name in "abc"]

    async with running_flow(body) as flow:
        assert (await flow.output(), ran) == (["a", "b", "c"], ["a", "b", "c"])


async def test_the_arguments_are_in_the_history() -> None:
    async with running_flow(returning(lambda self, wf: wf.step("a", add, 2, 3))) as flow:
        assert (await flow.workflow.history())[0].input == [2, 3]


async def test_what_a_step_returns_is_nobody_elses() -> None:
    kept = [1]

    async def body(self: Any, wf: Workflow) -> Any:
        found = await wf.step("a", noting([], "a", kept))
        kept.append(2)
        return found

    async with running_flow(body) as flow:
        assert await flow.output() == [1]


# -------------------------------------------------------------------------------- attempts


async def test_a_flaky_step_succeeds_in_its_third_attempt() -> None:
    ran: Ran = []
    body = returning(lambda self, wf: wf.step("a", failing(ran, "a", 2)))
    async with running_flow(body) as flow:
        await flow.pass_time(1)
        assert (await flow.output(), len(ran)) == ("a done", 3)


async def test_a_step_tells_its_attempt_and_one_key_for_all() -> None:
    seen: Ran = []

    async def charge(step: Step) -> None:
        seen.append((step.attempt, step.idempotency_key, step.name))
        if step.attempt < 3:
            raise Declined

    async with running_flow(returning(lambda self, wf: wf.step("charge", charge))) as flow:
        await flow.pass_time(0.2)
        await flow.crash()
        await flow.pass_time(0.4)
        assert [number for number, _, _ in seen] == [1, 2, 3]
        assert len({key for _, key, _ in seen}) == 1
        assert {name for _, _, name in seen} == {"charge"}


async def test_no_two_steps_share_an_idempotency_key() -> None:
    async def key(step: Step) -> str:
        return step.idempotency_key

    async def body(self: Any, wf: Workflow) -> list[str]:
        async def branch(wf: Workflow) -> str:
            return await wf.step("a", key)

        found = [await wf.step("a", key), await wf.step("a", key, key="1")]
        return [*found, *(await wf.gather("g", a=branch, b=branch)).values()]

    async with running_flow(body) as flow:
        assert len(set(await flow.output())) == 4


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff(), [0.2, 0.4, 0.8]),
        (Backoff(first=1, factor=3), [1, 3, 9]),
        (Backoff(first=1, factor=10, max=20), [1, 10, 20]),
        (Backoff(first=0), [0, 0, 0]),
    ],
)
async def test_the_backoff_says_how_long_to_wait(backoff: Backoff, delays: list[float]) -> None:
    times: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        async def charge() -> None:
            times.append(flows[0].testing.now())
            raise Declined

        await wf.receive("go")
        await wf.step("charge", charge, backoff=backoff)

    flows: Ran = []
    async with running_flow(body) as flow:
        flows.append(flow)
        await flow.send("go")
        await flow.pass_time(60)
        assert [round(b - a, 3) for a, b in itertools.pairwise(times)] == delays


async def test_within_the_backoff_a_restart_does_not_run_the_body() -> None:
    ran: Ran = []
    body = returning(
        lambda self, wf: wf.step("a", failing(ran, "a", 1), backoff=Backoff(first=600, max=600))
    )
    async with running_flow(body) as flow:
        await flow.pass_time(60)
        assert not await flow.testing.is_awake(flow.actor)
        await flow.crash()
        await flow.again()
        assert len(ran) == 1
        await flow.pass_time(541)
        assert await flow.output() == "a done"


@pytest.mark.parametrize("retries", [0, 1, 5])
async def test_retries_are_the_attempts_after_the_first(retries: int) -> None:
    ran: Ran = []
    body = returning(lambda self, wf: wf.step("a", failing(ran, "a", 99), retries=retries))
    async with running_flow(body) as flow:
        await flow.pass_time(60)
        assert len(ran) == retries + 1
        assert await flow.status() == "failed"


async def test_what_a_failed_attempt_did_to_the_state_stays() -> None:
    async def body(self: Any, wf: Workflow) -> int:
        async def add(step: Step) -> int:
            self.state.total += 1
            if step.attempt < 3:
                raise Declined
            total: int = self.state.total
            return total

        return await wf.step("add", add)

    async with running_flow(body) as flow:
        await flow.pass_time(1)
        assert await flow.output() == 3


# --------------------------------------------------------------------- failures for good


async def _failure(flow_body: Body) -> tuple[Any, ...]:
    """Return kind, attempts, step and error of the step that a workflow returns these of."""
    async with running_flow(flow_body) as flow:
        await flow.pass_time(600)
        return tuple(await flow.output())


def told(function: Any, **options: Any) -> Body:
    """Return a workflow that tells how the step ``charge`` fails."""

    async def body(self: Any, wf: Workflow) -> Any:
        try:
            await wf.step("charge", function, **options)
        except StepFailed as error:
            return [error.kind, error.attempts, error.step, type(error.error).__name__]
        return ["well", 0, "", ""]

    return body


@pytest.mark.parametrize(
    ("error", "kind"), [(Fatal("no"), "fatal"), (Undo("back"), "undone"), (Declined("n"), "exh")]
)
async def test_fatal_and_undo_are_not_retried(error: Exception, kind: str) -> None:
    async def charge() -> None:
        raise error

    found = await _failure(told(charge))
    assert found[0].startswith(kind)
    assert found[1] == (4 if kind == "exh" else 1)
    assert found[2:] == ("charge", type(error).__name__)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"fail_on": (Declined,)}, "fatal"),
        ({"fail_on": Declined}, "fatal"),
        ({"fail_on": (KeyError,)}, "exhausted"),
        ({"retry_on": (KeyError, OSError)}, "fatal"),
        ({"retry_on": (Declined,)}, "exhausted"),
        ({"retry_on": (Declined,), "fail_on": (Declined,)}, "fatal"),
    ],
)
async def test_errors_say_whether_they_are_worth_a_retry(options: Any, kind: str) -> None:
    found = await _failure(told(failing([], "charge", 99), **options))
    assert found[:2] == (kind, 4 if kind == "exhausted" else 1)


async def _hang() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("timeout", 1)),
        ({"timeout": 1}, ("timeout", 1)),
        ({"timeout": timedelta(seconds=1)}, ("timeout", 1)),
        ({"timeout": 1, "retry_timeouts": True, "retries": 2}, ("exhausted", 3)),
    ],
)
async def test_a_step_that_takes_too_long_fails(options: Any, expected: Any) -> None:
    assert (await _failure(told(_hang, **options)))[:2] == expected


@pytest.mark.parametrize("limit", [29.99, 30.01])
async def test_a_step_has_30_seconds(limit: float) -> None:
    async with running_flow(told(_hang)) as flow:
        await flow.pass_time(limit)
        assert await flow.status() == ("running" if limit < 30 else "completed")


@pytest.mark.parametrize("limit", [None, 0, -1])
async def test_a_step_may_have_no_limit(limit: Any) -> None:
    async with running_flow(told(_hang, timeout=limit)) as flow:
        await flow.pass_time(300)
        assert await flow.status() == "running"


async def test_a_body_that_takes_too_long_is_cancelled() -> None:
    ended: Ran = []

    async def charge() -> None:
        try:
            await _hang()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    await _failure(told(charge, timeout=1))
    assert ended == ["cancelled"]


async def test_a_heartbeat_begins_the_limit_anew() -> None:
    steps: list[Step] = []

    async def charge(step: Step) -> None:
        steps.append(step)
        await _hang()

    async with running_flow(told(charge, timeout=10)) as flow:
        await flow.pass_time(9)
        steps[0].heartbeat({"done": 1})
        await flow.pass_time(9)
        assert await flow.status() == "running"
        assert (await flow.workflow.history())[0].progress == {"done": 1}


async def test_a_failed_step_stores_its_error_and_no_output() -> None:
    async with running_flow(told(failing([], "charge", 9), retries=0)) as flow:
        entry = (await flow.workflow.history())[0]
        assert (entry.status, entry.detail, entry.output) == ("failed", "exhausted", None)
        assert entry.error is not None
        assert (entry.error.name, entry.error.message) == ("Declined", "no 1")


async def test_the_error_of_a_failed_step_is_of_its_class_after_a_restart() -> None:
    seen: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        try:
            await wf.step("charge", failing([], "charge", 9), retries=0)
        except StepFailed as error:
            seen.append((type(error.error), str(error.error), error.kind, error.attempts))
        await wf.receive("go")

    async with running_flow(body) as flow:
        await flow.again()
        assert seen == [(Declined, "no 1", "exhausted", 1)] * 2


class Local:
    """No record: it cannot be stored."""


async def test_an_output_that_cannot_be_stored_fails_the_step_at_once() -> None:
    found = await _failure(told(noting([], "charge", Local())))
    assert found == ("fatal", 1, "charge", "OutputNotSerializable")


async def test_a_record_is_returned_as_it_was() -> None:
    async def body(self: Any, wf: Workflow) -> bool:
        found = await wf.step("a", noting([], "a", [Receipt("x", 3)]))
        return bool(found == [Receipt("x", 3)])

    async with running_flow(body) as flow:
        assert await flow.output() is True
