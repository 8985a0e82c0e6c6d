"""Looking at workflows from outside: status, history, output."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, action, setup
from stator.testing import running
from stator.workflow import Step, Workflow
from tests.fakes.scripted_flow import Deeds, Handle, flowing

LOOKS = ["status", "history", "output"]


def take_back(output: str) -> None:
    """Undo a step."""


async def _open(flow: Handle) -> list[tuple[str, str, str]]:
    return [(each.key, each.kind, each.status) for each in (await flow.workflow.status()).open]


# ------------------------------------------------------------------------------------- status


async def test_a_workflow_of_an_actor_that_is_created_begins() -> None:
    gate = asyncio.Event()

    async def run(wf: Workflow) -> None:
        await wf.step("a", gate.wait)

    async with flowing(run) as (client, flow):
        status = await flow.workflow.status()
        assert (status, status.run, status.error, status.finished_at) == ("running", 1, None, None)
        assert await _open(flow) == [("a", "step", "running")]
        assert status.started_at == pytest.approx(client.testing.now(), abs=0.01)


@pytest.mark.parametrize("is_asleep", [False, True], ids=["awake", "asleep"])
async def test_a_workflow_that_waits_sleeps_and_says_what_for(is_asleep: bool) -> None:
    async def branch(wf: Workflow) -> None:
        await wf.receive("order", "orders", timeout=60)

    async def run(wf: Workflow) -> None:
        async for _ in wf.loop("loop"):
            await wf.gather("all", one=branch, two=_ask)

    async with flowing(run) as (client, flow):
        if is_asleep:
            await client.testing.sleep(flow)
        status = await flow.workflow.status()
        assert status == "sleeping"
        assert sorted(await _open(flow)) == [
            ("loop", "loop", "running"),
            ("loop/~0", "turn", "running"),
            ("loop/~0/all", "gather", "running"),
            ("loop/~0/all/one/order", "receive", "waiting"),
            ("loop/~0/all/two/approved", "promise", "waiting"),
        ]
        due = {each.key: each.due_at for each in status.open}
        assert due["loop/~0/all/one/order"] == pytest.approx(client.testing.now() + 60, abs=0.01)
        assert due["loop/~0/all/two/approved"] is None
        assert await client.testing.is_awake(flow) is not is_asleep


async def _ask(wf: Workflow) -> None:
    await wf.promise("approved")


async def test_a_workflow_that_waits_while_a_step_runs_is_running() -> None:
    async def work(wf: Workflow) -> None:
        await wf.step("work", Deeds().hanging("work"))

    async def run(wf: Workflow) -> None:
        await wf.gather("all", one=work, two=_ask)

    async with flowing(run) as (_, flow):
        assert await flow.workflow.status() == "running"


async def test_a_workflow_whose_step_waits_for_its_next_attempt_sleeps() -> None:
    async def run(wf: Workflow) -> None:
        await wf.step("a", Deeds().failing("a"))

    async with flowing(run) as (client, flow):
        status = await flow.workflow.status()
        assert status == "sleeping"
        (entry,) = status.open
        assert (entry.status, entry.attempts) == ("retrying", 1)
        assert entry.due_at == pytest.approx(client.testing.now() + 0.2, abs=0.01)


async def test_a_failed_workflow_says_why_and_when() -> None:
    async def run(wf: Workflow) -> None:
        await wf.sleep("pause", 10)
        raise ValueError("wrong")

    async with flowing(run) as (client, flow):
        await client.testing.advance(10)
        status = await flow.workflow.status()
        assert (status, status.reason, status.open) == ("failed", "", ())
        assert status.error is not None
        assert (status.error.name, status.error.message) == ("ValueError", "wrong")
        assert status.finished_at == pytest.approx(client.testing.now(), abs=0.01)
        await client.testing.sleep(flow)
        assert await flow.workflow.status() == status
        assert (await flow.workflow.status()).error == status.error


@pytest.mark.parametrize("verb", LOOKS)
async def test_looking_wakes_nobody(verb: str) -> None:
    async def run(wf: Workflow) -> str:
        return "result"

    async with flowing(run) as (client, flow):
        await client.testing.sleep(flow)
        await getattr(flow.workflow, verb)()
        assert not await client.testing.is_awake(flow)


async def test_looking_keeps_nobody_awake() -> None:
    async with flowing(_ask) as (client, flow):
        for _ in range(4):
            await client.testing.advance(20)
            await flow.workflow.status()
        assert not await client.testing.is_awake(flow)


# ------------------------------------------------------------------------------------ history


class Receipt(msgspec.Struct):
    """What a step returns."""

    number: int


async def _shop(wf: Workflow) -> None:
    async def charge(step: Step, order: str, *, times: int = 1) -> Receipt:
        if step.attempt == 1:
            raise ValueError("not yet")
        return Receipt(len(order) * times)

    message = await wf.receive("order", "orders", ack=True)
    await wf.version("gate", 3)
    wf.removed("gone", "sleep")
    async with wf.saga("checkout") as saga:
        await saga.step("charge", charge, message.body, undo=take_back)
        await wf.sleep("pause", 10)
    await message.complete("thanks")
    await wf.first("race", fast=_fast, slow=wf.after(60))
    await wf.attempt("bad", Deeds().refusing("bad"))


async def _fast(wf: Workflow) -> None:
    await wf.step("a", Deeds().doing("a"))


async def _nothing(wf: Workflow) -> None:
    """Be a branch that does nothing."""


@pytest.mark.parametrize("is_asleep", [False, True], ids=["awake", "asleep"])
async def test_the_history_has_what_was_asked_for_in_order(is_asleep: bool) -> None:
    async with flowing(_shop) as (client, flow):
        begin = client.testing.now()
        await client.testing.advance(1)
        await flow.enqueue("orders", "tea")
        await client.testing.advance(20)
        if is_asleep:
            await client.testing.sleep(flow)
        history = await flow.workflow.history()
        assert [(each.key, each.kind, each.status) for each in history] == [
            ("order", "receive", "completed"),
            ("gate", "version", "completed"),
            ("gone", "removed", "completed"),
            ("checkout", "saga", "completed"),
            ("checkout/charge", "step", "completed"),
            ("checkout/pause", "sleep", "completed"),
            ("race", "first", "completed"),
            ("race/fast/a", "step", "completed"),
            ("race/slow/after", "sleep", "cancelled"),
            ("bad", "step", "failed"),
        ]
        assert (history.name, history.run, history.status) == ("flow", 1, "completed")
        seqs = [each.seq for each in history]
        assert seqs == sorted(set(seqs))

        charge = history.find("checkout/charge")
        assert charge is not None
        assert charge.undo is not None
        assert (charge.attempts, charge.output) == (2, {"number": 3})
        assert (charge.undo.saga, charge.undo.status) == ("checkout", "completed")
        assert list(charge.input) == ["tea"]
        times = [charge.created_at, charge.started_at, charge.finished_at]
        assert times == pytest.approx([begin + 1, begin + 1.2, begin + 1.2], abs=0.01)

        order, gate, race, bad = (history.find(key) for key in ("order", "gate", "race", "bad"))
        assert order is not None and gate is not None and race is not None and bad is not None
        (message,) = order.output
        assert (message.queue, message.body, message.status) == ("orders", "tea", "completed")
        assert (gate.detail, race.winner, bad.detail) == ([3, 3], "fast", "fatal")
        assert bad.error is not None
        assert (bad.error.name, bad.error.message) == ("Fatal", "bad is impossible")


async def test_the_history_of_an_actor_that_began_nothing_is_empty() -> None:
    async with flowing(_nothing) as (_, flow):
        assert len(await flow.workflow.history()) == 0


# ------------------------------------------------------------------------------------- output


async def _output(flow: Handle) -> Any:
    try:
        return await flow.workflow.output()
    except ActorError as error:
        return error.code, error.metadata


@pytest.mark.parametrize("is_asleep", [False, True], ids=["awake", "asleep"])
async def test_output_says_what_came_of_a_run(is_asleep: bool) -> None:
    async def run(wf: Workflow) -> Receipt:
        await wf.sleep("pause", 10)
        await wf.step("a", Deeds().doing("a"))
        return Receipt(5)

    async def failing(wf: Workflow) -> None:
        raise ValueError("wrong")

    async with flowing(run) as (client, flow):
        if is_asleep:
            await client.testing.sleep(flow)
        assert await _output(flow) == ("not_finished", {"status": "sleeping"})
        await client.testing.advance(10)
        assert await _output(flow) == {"number": 5}
        await flow.workflow.fork()
        await flow.workflow.cancel()
        assert (await _output(flow))[0] == "cancelled"
    async with flowing(failing) as (client, flow):
        if is_asleep:
            await client.testing.sleep(flow)
        assert await _output(flow) == ("failed", {"name": "ValueError", "message": "wrong"})


async def test_a_run_whose_output_cannot_be_stored_has_failed() -> None:
    async def run(wf: Workflow) -> Any:
        return object()

    async with flowing(run) as (_, flow):
        status = await flow.workflow.status()
        assert (status, status.reason) == ("failed", "output_not_serializable")


# ----------------------------------------------------------------------- actors, and no workflow


class Plain(Actor):
    """Has no workflow."""

    @action
    async def look(self) -> str:
        """Look at the workflow there is not."""
        try:
            return await self.workflow.status()
        except ActorError as error:
            return error.code

    @action
    def greet(self) -> str:
        """Do something else."""
        return "hello"


@pytest.mark.parametrize("verb", [*LOOKS, "cancel", "retry", "fork"])
async def test_an_actor_without_a_workflow_says_so_and_is_not_created(verb: str) -> None:
    async with running(setup(use={"plain": Plain})) as client:
        plain = client.get_or_create(Plain)
        with pytest.raises(ActorError) as caught:
            await getattr(plain.workflow, verb)()
        assert caught.value.code == "not_enabled"
        assert not await client.testing.is_awake(plain)
        assert await plain.look() == "not_enabled"


@pytest.mark.parametrize("verb", ["status", "cancel", "retry", "fork", "history"])
async def test_an_actor_that_there_is_not_is_not_created_by_get(verb: str) -> None:
    async with running(setup(use={"plain": Plain})) as client:
        with pytest.raises(ActorError) as caught:
            await getattr(client.get(Plain).workflow, verb)()
        assert caught.value.code == "not_found"


async def test_an_action_looks_at_the_workflow_of_its_actor() -> None:
    async with flowing(_ask) as (_, flow):
        assert await flow.control("status") == "sleeping"


async def test_a_step_looks_at_the_workflow_it_is_of() -> None:
    async def body(step: Step) -> list[str]:
        return [entry.key for entry in await step.actor.workflow.history()]

    async def run(wf: Workflow) -> list[str]:
        await wf.version("gate", 1)
        return await wf.step("look", body)

    async with flowing(run) as (_, flow):
        assert await flow.workflow.output() == ["gate", "look"]


async def test_a_step_controls_the_workflow_of_another_actor() -> None:
    async def body(step: Step) -> str:
        other = step.client.get("flow", ["other"])
        await other.workflow.resolve("approved", 1)
        return str(await other.workflow.status())

    async def run(actor: Any, wf: Workflow) -> Any:
        if actor.key:
            return await wf.promise("approved")
        await wf.promise("go")
        return await wf.step("resolve", body)

    async with flowing(run) as (client, flow):
        other = client.get_or_create("flow", ["other"])
        await other.workflow.status()
        await flow.workflow.resolve("go")
        await client.testing.settle()
        assert await other.workflow.output() == 1
        assert await flow.workflow.status() == "completed"
