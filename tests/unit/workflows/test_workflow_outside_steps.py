"""What of the actor is for steps only, and what is over with a step (python-api, section 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stator import ActorError, Database
from stator.workflow import Step, Workflow
from tests.fakes.workflow_blocks import PLACES
from tests.fakes.workflow_flows import running_flow


def _create_vars(self: Any) -> dict[str, int]:
    return {"n": 0}


MEMBERS: dict[str, Any] = {
    "db": Database(migrations=["CREATE TABLE notes (text TEXT)"]),
    "create_vars": _create_vars,
}

FEATURES: dict[str, Callable[[Any], Any]] = {
    "state": lambda self: self.state,
    "state, set": lambda self: setattr(self, "state", None),
    "vars": lambda self: self.vars,
    "vars, set": lambda self: setattr(self, "vars", None),
    "db": lambda self: self.db,
    "kv": lambda self: self.kv,
    "client": lambda self: self.client,
    "broadcast": lambda self: self.broadcast("told", 1),
    "schedule": lambda self: self.schedule,
    "cron": lambda self: self.cron,
    "queue": lambda self: self.queue,
    "conns": lambda self: self.conns,
}


def _code_of(use: Callable[[Any], Any], actor: Any) -> str:
    try:
        use(actor)
    except ActorError as error:
        return f"{error.group}.{error.code}"
    return "used"


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("place", PLACES)
async def test_the_body_of_a_workflow_may_not_use_it(place: str, feature: str) -> None:
    async def body(self: Any, wf: Workflow) -> str:
        async def code(wf: Workflow) -> str:
            return _code_of(FEATURES[feature], self)

        return str(await PLACES[place](wf, "block", code))

    async with running_flow(body, **MEMBERS) as flow:
        await flow.pass_time(1)
        assert await flow.output() == "workflow.outside_step"


@pytest.mark.parametrize("feature", FEATURES)
async def test_nor_after_a_step_a_wait_or_a_restart(feature: str) -> None:
    async def body(self: Any, wf: Workflow) -> list[str]:
        use = FEATURES[feature]
        await wf.step("quick", lambda: None)
        found = [_code_of(use, self)]
        await wf.sleep("nap", 1)
        found.append(_code_of(use, self))
        return found

    async with running_flow(body, **MEMBERS) as flow:
        await flow.crash()
        await flow.pass_time(1)
        assert await flow.output() == ["workflow.outside_step"] * 2


@pytest.mark.parametrize("feature", [each for each in FEATURES if "set" not in each])
@pytest.mark.parametrize("kind", ["step", "txn"])
@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_a_step_may(feature: str, kind: str, is_plain: bool) -> None:
    async def body(self: Any, wf: Workflow) -> str:
        async def use() -> str:
            return _code_of(FEATURES[feature], self)

        def use_plainly() -> str:
            return _code_of(FEATURES[feature], self)

        return str(await getattr(wf, kind)("use", use_plainly if is_plain else use))

    async with running_flow(body, **MEMBERS) as flow:
        await flow.pass_time(1)
        assert await flow.output() == "used"


@pytest.mark.parametrize("feature", FEATURES)
async def test_a_step_whose_attempt_is_over_may_not(feature: str) -> None:
    found: list[str] = []
    late = asyncio.Event()

    async def body(self: Any, wf: Workflow) -> None:
        async def use_late() -> None:
            await late.wait()
            found.append(_code_of(FEATURES[feature], self))

        async def leave_something_behind() -> None:
            tasks.append(asyncio.create_task(use_late()))

        await wf.step("quick", leave_something_behind)
        await wf.receive("go")

    tasks: list[asyncio.Task[None]] = []
    async with running_flow(body, **MEMBERS) as flow:
        late.set()
        await flow.testing.settle()
        assert found == ["workflow.outside_step"]


STEP_FEATURES: dict[str, Callable[[Step], Any]] = {
    "actor": lambda step: step.actor,
    "state": lambda step: step.state,
    "vars": lambda step: step.vars,
    "db": lambda step: step.db,
    "kv": lambda step: step.kv,
    "conns": lambda step: step.conns,
    "client": lambda step: step.client,
    "broadcast": lambda step: step.broadcast("told", 1),
    "heartbeat": lambda step: step.heartbeat(1),
    "destroy": lambda step: step.destroy(),
}


@pytest.mark.parametrize("feature", STEP_FEATURES)
async def test_a_step_that_is_over_offers_nothing(feature: str) -> None:
    kept: list[Step] = []

    async def keep(step: Step) -> None:
        kept.append(step)

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("keep", keep)
        await wf.receive("go")

    async with running_flow(body, **MEMBERS):
        with pytest.raises(ActorError, match="outside_step"):
            STEP_FEATURES[feature](kept[0])


@pytest.mark.parametrize("feature", [name for name in STEP_FEATURES if name != "destroy"])
async def test_a_step_offers_the_actor(feature: str) -> None:
    async def use(step: Step) -> bool:
        found = STEP_FEATURES[feature](step)
        return feature in ("broadcast", "heartbeat") or found is not None

    async def body(self: Any, wf: Workflow) -> bool:
        return await wf.step("use", use)

    async with running_flow(body, **MEMBERS) as flow:
        await flow.pass_time(1)
        assert await flow.output() is True


async def test_actions_use_the_actor_while_its_workflow_waits() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.receive("go")

    async with running_flow(body) as flow:
        assert await flow.actor.total() == 0


async def test_a_step_may_send_to_its_own_queue() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def send(step: Step) -> None:
            await step.send("orders", "mine")

        await wf.step("send", send)
        return (await wf.receive("order")).body

    async with running_flow(body) as flow:
        await flow.testing.settle()
        assert await flow.output() == "mine"


async def test_a_step_may_call_another_actor() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def ask(step: Step) -> Any:
            if self.key == ("b",):
                return None
            return await step.client.get_or_create("flow", ["b"]).total()

        return await wf.step("ask", ask)

    async with running_flow(body) as flow:
        await flow.testing.settle()
        assert await flow.output() == 0


async def test_a_step_may_destroy_the_actor() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async def destroy(step: Step) -> None:
            step.destroy()

        await wf.receive("go")
        await wf.step("destroy", destroy)
        await wf.receive("never")

    async with running_flow(body) as flow:
        handle = flow.client.get("flow", ["a"])
        await flow.send("go")
        with pytest.raises(ActorError, match="not_found"):
            await handle.total()
