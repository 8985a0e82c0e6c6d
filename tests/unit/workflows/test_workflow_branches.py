"""``gather``, ``map``, ``first`` and ``timeout`` (workflow page, sections 4.6, 4.7 and 12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stator.workflow import FirstFailed, GatherFailed, StepFailed, Winner, Workflow
from tests.fakes.workflow_flows import Body, Declined, Runner, failing, noting, running_flow

Ran = list[Any]
Branch = Callable[[Workflow], Awaitable[Any]]


def napping(name: str, seconds: float, ran: Ran) -> Branch:
    """Return a branch that makes a step after a pause."""

    async def branch(wf: Workflow) -> str:
        await wf.sleep("nap", seconds)
        return await wf.step("do", noting(ran, name, name))

    return branch


def raising(error: BaseException) -> Branch:
    """Return a branch that fails."""

    async def branch(wf: Workflow) -> None:
        raise error

    return branch


async def _nothing(wf: Workflow, item: int) -> None:
    return None


def _same_key(item: Any) -> str:
    return "x"


# ----------------------------------------------------------------------------- gather


async def test_branches_run_at_the_same_time() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        return await wf.gather("g", a=napping("a", 3, ran), b=napping("b", 1, ran))

    async with running_flow(body) as flow:
        await flow.pass_time(3)
        assert await flow.output() == {"a": "a", "b": "b"}
        assert ran == ["b", "a"]


async def test_all_branches_end_before_a_failure_is_told() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        try:
            await wf.gather("g", bad=raising(Declined("no")), good=napping("good", 5, ran))
        except GatherFailed as error:
            return [list(error.errors), type(error.errors["bad"]).__name__, error.name]

    async with running_flow(body) as flow:
        assert await flow.status() == "sleeping"
        await flow.pass_time(5)
        assert await flow.output() == [["bad"], "Declined", "g"]
        assert ran == ["good"]


@pytest.mark.parametrize("how", ["crash", "again"])
async def test_results_and_errors_are_the_same_in_a_replay(how: str) -> None:
    seen: Ran = []

    async def bad(wf: Workflow) -> None:
        await wf.step("s", failing([], "s", 9), retries=0)

    async def body(self: Any, wf: Workflow) -> None:
        found = await wf.gather("g", return_errors=True, bad=bad, good=napping("good", 1, []))
        error = found["bad"]
        seen.append((type(error), error.kind, str(error.error), found["good"]))
        await wf.receive("go")

    async with running_flow(body) as flow:
        await flow.pass_time(1)
        await getattr(flow, how)()
        assert seen == [(StepFailed, "exhausted", "no 1", "good")] * 2


async def test_a_retry_in_a_branch_fails_nothing() -> None:
    ran: Ran = []

    async def flaky(wf: Workflow) -> Any:
        return await wf.step("s", failing(ran, "s", 2))

    async def body(self: Any, wf: Workflow) -> Any:
        return await wf.gather("g", flaky=flaky, other=napping("other", 0.1, ran))

    async with running_flow(body) as flow:
        await flow.pass_time(2)
        assert await flow.output() == {"flaky": "s done", "other": "other"}
        assert ran == ["s", "other", "s", "s"]


async def test_a_branch_sees_messages_while_its_sibling_works() -> None:
    """Defect no. 7 of the peer."""

    async def work(wf: Workflow) -> None:
        await wf.step("long", asyncio.Event().wait, timeout=None)

    async def listen(wf: Workflow) -> None:
        message = await wf.receive("order")
        await wf.step("handle", noting(ran, message.body))

    async def body(self: Any, wf: Workflow) -> None:
        await wf.gather("g", work=work, listen=listen)

    ran: Ran = []
    async with running_flow(body) as flow:
        await flow.send("o1")
        assert ran == ["o1"]


async def test_a_gather_of_nothing_is_nothing() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        return [await wf.gather("g"), await wf.map("m", [], _nothing)]

    async with running_flow(body) as flow:
        assert await flow.output() == [{}, []]


# -------------------------------------------------------------------------------- map


async def test_map_returns_in_the_order_of_its_items() -> None:
    async def nap(wf: Workflow, seconds: int) -> int:
        await wf.sleep("nap", seconds)
        return seconds

    async def body(self: Any, wf: Workflow) -> Any:
        return await wf.map("m", [3, 1, 2], nap)

    async with running_flow(body) as flow:
        await flow.pass_time(3)
        assert await flow.output() == [3, 1, 2]


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_map_runs_so_many_at_a_time(concurrency: int) -> None:
    running: Ran = []
    most: Ran = []

    async def nap(wf: Workflow, item: int) -> None:
        running.append(item)
        most.append(len(running))
        await wf.sleep("nap", 1)
        running.remove(item)

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.map("m", range(5), nap, concurrency=concurrency)

    async with running_flow(body) as flow:
        await flow.pass_time(5)
        assert await flow.status() == "completed"
        assert max(most) == concurrency


async def test_the_key_names_the_branch() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def step(wf: Workflow, item: dict[str, str]) -> None:
            await wf.step("s", noting([], "s"))

        await wf.map("m", [{"id": "x"}, {"id": "y/z"}], step, key=lambda item: item["id"])

    async with running_flow(body) as flow:
        assert await flow.keys() == ["m", "m/x/s", "m/y%2Fz/s"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"concurrency": 0}, "concurrency is 1 or more"), ({"key": _same_key}, "two branches")],
)
async def test_a_map_that_makes_no_sense_is_refused(options: Any, problem: str) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        await wf.map("m", [1, 2], _nothing, **options)

    async with running_flow(body) as flow:
        assert problem in await flow.error()


# ------------------------------------------------------------------------------ first


async def test_the_first_branch_wins() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        winner = await wf.first("f", slow=napping("slow", 5, ran), fast=napping("fast", 1, ran))
        assert isinstance(winner, Winner)
        name, value = winner
        assert (name, value) == (winner.name, winner.value)
        await wf.sleep("more", 60)
        return [winner.name, winner.value]

    async with running_flow(body) as flow:
        await flow.pass_time(61)
        assert (await flow.output(), ran) == (["fast", "fast"], ["fast"])


async def test_a_branch_that_fails_does_not_win() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        return (await wf.first("f", bad=raising(Declined("no")), good=napping("good", 1, []))).name

    async with running_flow(body) as flow:
        await flow.pass_time(1)
        assert await flow.output() == "good"


async def test_all_branches_may_fail() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        try:
            await wf.first("f", a=raising(Declined("one")), b=raising(ValueError("two")))
        except FirstFailed as error:
            return {name: str(each) for name, each in error.errors.items()}

    async with running_flow(body) as flow:
        assert await flow.output() == {"a": "one", "b": "two"}


@pytest.mark.parametrize("how", ["crash", "again"])
async def test_the_winner_is_the_same_in_a_replay(how: str) -> None:
    seen: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        winner = await wf.first("f", slow=napping("slow", 5, []), fast=napping("fast", 1, []))
        seen.append(winner)
        await wf.receive("go")

    async with running_flow(body) as flow:
        await flow.pass_time(1)
        await flow.pass_time(60)
        await getattr(flow, how)()
        assert seen == [("fast", "fast")] * 2


async def test_a_loser_is_cancelled_and_may_clean_up() -> None:
    ran: Ran = []

    async def loser(wf: Workflow) -> None:
        try:
            await wf.sleep("long", 100)
        finally:
            ran.append("cleaned up")

    async def body(self: Any, wf: Workflow) -> Any:
        return (await wf.first("f", loser=loser, fast=napping("fast", 1, ran))).name

    async with running_flow(body) as flow:
        await flow.pass_time(1)
        assert (await flow.output(), ran) == ("fast", ["fast", "cleaned up"])


async def test_after_is_a_branch_that_waits() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        never = wf.promise("never")

        async def wait(wf: Workflow) -> Any:
            return await never

        winner = await wf.first("f", wait=wait, timer=wf.after(10))
        return [winner.name, winner.value]

    async with running_flow(body) as flow:
        await flow.crash()
        await flow.pass_time(9.9)
        assert await flow.status() == "sleeping"
        await flow.pass_time(0.1)
        assert await flow.output() == ["timer", None]


async def test_a_first_of_nothing_is_refused() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        await wf.first("f")

    async with running_flow(body) as flow:
        assert await flow.error() == "ValueError: first() needs a branch"


# ---------------------------------------------------------------------------- timeout


def limited(seconds: float, nap: float, ran: Ran) -> Body:
    """Return a workflow that naps within a time limit."""

    async def body(self: Any, wf: Workflow) -> str:
        try:
            async with wf.timeout("limit", seconds):
                await napping("within", nap, ran)(wf)
        except TimeoutError:
            await wf.step("late", noting(ran, "late"))
            return "late"
        await wf.sleep("more", 60)
        return "in time"

    return body


@pytest.mark.parametrize("how", ["live", "crash", "again"])
@pytest.mark.parametrize(("seconds", "outcome"), [(5.0, "in time"), (2.0, "late")])
async def test_a_block_has_its_time(how: str, seconds: float, outcome: str) -> None:
    ran: Ran = []
    async with running_flow(limited(seconds, 3, ran)) as flow:
        for _ in range(64):
            await flow.pass_time(1)
            if how != "live" and len(ran) < 2:
                await getattr(flow, how)()
        assert await flow.output() == outcome
        assert ran == ["late" if outcome == "late" else "within"]


async def test_the_first_deadline_counts() -> None:
    async with running_flow(limited(5, 100, [])) as flow:
        await flow.pass_time(4)
        await flow.replace(limited(500, 100, []))
        await flow.pass_time(1)
        assert await flow.output() == "late"


async def test_a_limit_cancels_the_body_of_a_step() -> None:
    ended: Ran = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def body(self: Any, wf: Workflow) -> str:
        try:
            async with wf.timeout("limit", 2):
                await wf.step("hang", hang)
        except TimeoutError as error:
            return str(error)
        return ""

    async with running_flow(body) as flow:
        await flow.pass_time(2)
        assert await flow.output() == "'limit' was not done within 2 s"
        assert ended == ["cancelled"]


async def test_the_inner_of_two_limits_is_told_apart() -> None:
    async def body(self: Any, wf: Workflow) -> list[str]:
        found: list[str] = []
        try:
            async with wf.timeout("outer", 5):
                try:
                    async with wf.timeout("inner", 2):
                        await wf.sleep("nap", 10)
                except TimeoutError as error:
                    found.append(str(error))
                await wf.sleep("nap", 10)
        except TimeoutError as error:
            found.append(str(error))
        return found

    async with running_flow(body) as flow:
        await _restarting(flow, 12)
        assert await flow.output() == [
            "'inner' was not done within 2 s",
            "'outer' was not done within 5 s",
        ]


async def _restarting(flow: Runner, seconds: int) -> None:
    for second in range(seconds):
        await flow.pass_time(1)
        await (flow.crash() if second % 2 else flow.again())
