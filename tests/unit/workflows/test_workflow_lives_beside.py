"""A workflow beside the rest of its actor: actions, queues, hooks, threads; and much of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from stator import action
from stator.workflow import Failed, Step, Workflow
from tests.fakes.engine_in_process import output_of, turns, wait_until
from tests.fakes.workflow_life import GRACE_S, SLEEP_TIMEOUT_S, living

# -- what a step sees


async def test_a_step_has_no_connection_and_is_nobodys_call() -> None:
    seen: list[Any] = []

    async def look(self: Any) -> None:
        seen.append((self.conn, self.request, self.aborted))

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("look", self.look)

    async with living(body, look=look) as it:
        await it.begin()
        assert seen == [(None, None, False)]


async def test_on_state_change_is_told_once_for_each_step() -> None:
    told: list[int] = []

    def on_state_change(self: Any, state: Any) -> None:
        told.append(state.total)

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("one", self.bump)
        await wf.step("nothing", asyncio.sleep, 0)
        await wf.step("two", self.bump)
        await wf.receive("r", self.orders)

    async with living(body, on_state_change=on_state_change) as it:
        await it.begin()
        await turns(60)
        assert told == [1, 2]


async def test_actions_change_the_state_while_a_step_runs() -> None:
    gate = asyncio.Event()

    async def work(self: Any) -> None:
        self.state.total += 1
        await gate.wait()
        self.state.total += 1

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("work", self.work)

    async with living(body, work=work) as it:
        await it.begin()
        assert await it.call("add", 10) == 11
        gate.set()
        await turns(60)
        assert await it.call("total") == 12


async def test_what_a_step_keeps_awake_keeps_the_actor_awake() -> None:
    gate = asyncio.Event()

    async def work(self: Any) -> None:
        self.keep_awake(gate.wait())

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("work", self.work)
        await wf.receive("r", self.orders)

    async with living(body, work=work) as it:
        await it.begin()
        await it.pass_time(3 * SLEEP_TIMEOUT_S)
        assert it.is_awake
        gate.set()
        await it.fall_asleep()
        assert not it.is_awake


async def test_a_task_that_a_step_left_behind_may_not_use_the_actor() -> None:
    gate = asyncio.Event()
    seen: list[Any] = []
    tasks: list[asyncio.Future[None]] = []

    async def body(self: Any, wf: Workflow) -> None:
        async def work() -> None:
            async def later() -> None:
                await gate.wait()
                try:
                    self.state.total += 1
                except Exception as error:
                    seen.append(getattr(error, "code", error))

            tasks.append(asyncio.ensure_future(later()))

        await wf.step("work", work)
        await wf.receive("r", self.orders)

    async with living(body) as it:
        await it.begin()
        gate.set()
        await turns()
        assert seen == ["outside_step"]


# -- queues


async def test_an_action_and_the_workflow_receive_in_line() -> None:
    @action
    async def take(self: Any) -> Any:
        message = await self.queue.next(self.orders)
        return message.body

    async def body(self: Any, wf: Workflow) -> Any:
        got = [(await wf.receive(str(number), self.orders)).body for number in range(2)]
        await wf.step("note", self.note, got)
        return got

    async def note(self: Any, got: list[Any]) -> None:
        self.state.notes.extend(map(str, got))

    async with living(body, take=take, note=note) as it:
        await it.begin()
        taken = it.send("take")
        await turns()
        for number in range(3):
            await it.call("put", number)
        await turns(60)
        assert [*it.notes, str(output_of(await taken))] == ["0", "2", "1"]
        assert it.messages == 0


async def test_two_messages_at_once_are_two_turns() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async for _ in wf.loop("l"):
            async with await wf.receive("r", self.orders, ack=True) as message:
                await wf.step("s", self.bump, message.body)

    async with living(body) as it:
        await it.begin()
        await it.leave()
        first, second = it.send("put", 1), it.send("put", 10)
        await asyncio.gather(first, second)
        await turns(100)
        assert await it.call("total") == 11
        assert it.messages == 0


# -- plain bodies


async def test_a_plain_body_that_blocks_is_given_up_at_its_time_limit() -> None:
    gate = threading.Event()

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.attempt("s", gate.wait, timeout=5)
        await wf.step("after", self.bump)
        await wf.receive("r", self.orders)

    try:
        async with living(body) as it:
            await it.begin()
            await it.pass_time(6)
            assert await it.call("total") == 1
            await it.fall_asleep()
            assert not it.is_awake
    finally:
        gate.set()


async def test_a_plain_body_that_blocks_holds_up_neither_sleep_nor_the_end() -> None:
    gate = threading.Event()

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.step("s", gate.wait, timeout=None)

    try:
        async with living(body) as it:
            await it.begin()
            cell = it.cell
            cell.sleep()
            await it.pass_time(GRACE_S + 1)
            await wait_until(lambda: cell.status.value == "gone", "it left memory")
            assert it.entries["s"].attempts == 0
    finally:
        gate.set()


async def test_a_plain_body_that_was_given_up_may_not_use_the_actor() -> None:
    gate, began, ended = threading.Event(), threading.Event(), threading.Event()
    seen: list[Any] = []

    async def body(self: Any, wf: Workflow) -> Any:
        def block() -> None:
            began.set()
            gate.wait()
            try:
                self.state.total += 100
            except Exception as error:
                seen.append(getattr(error, "code", error))
            ended.set()

        await wf.attempt("s", block, timeout=5)
        await wf.receive("r", self.orders)

    async with living(body) as it:
        await it.begin()
        await wait_until(began.is_set, "the body runs")
        await it.pass_time(6)
        gate.set()
        await wait_until(ended.is_set, "the body ended")
        assert seen == ["outside_step"]
        assert await it.call("total") == 0


# -- much of it


@pytest.mark.parametrize("name", ["a/b", "~1", "~", "%", "ä ö 🙂", "..", "a" * 5000, "\n\0"])
async def test_names_may_be_anything(name: str) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def branch(w: Workflow) -> None:
            await w.sleep(name, 0)

        async with wf.scope(name), wf.saga(name):
            async for turn in wf.loop(name):
                await wf.step(name, self.bump, undo=self.bump)
                branches: dict[str, Any] = {name: branch}
                await wf.gather("g" + name, **branches)
                if turn.index == 1:
                    turn.stop()
        await wf.receive("r", self.orders)

    async with living(body) as it:
        await it.begin()
        await it.leave()
        await it.begin()
        await turns(60)
        assert it.stored_run.status == "running"
        assert "r" in it.entries
        assert await it.call("total") == 2


async def test_deep_nesting() -> None:
    async def nested(self: Any, wf: Workflow, depth: int) -> int:
        if not depth:
            return await wf.step("s", self.bump)
        async with wf.scope("c"):
            results = await wf.gather("g", a=lambda w: nested(self, w, depth - 1))
        return 1 + int(results["a"])

    async def body(self: Any, wf: Workflow) -> Any:
        depth = await nested(self, wf, 200)
        await wf.step("note", self.bump, depth)
        await wf.receive("r", self.orders)

    async with living(body) as it:
        await it.begin()
        await turns(800)
        assert await it.call("total") == 202
        await it.leave()
        await it.begin()
        await turns(800)
        assert it.stored_run.status == "running"
        assert await it.call("total") == 202


async def test_a_huge_output() -> None:
    seen: list[int] = []

    async def body(self: Any, wf: Workflow) -> Any:
        async def make() -> bytes:
            return bytes(30_000_000)

        seen.append(len(await wf.step("huge", make)))
        await wf.receive("r", self.orders)

    async with living(body) as it:
        await it.begin()
        await it.leave()
        await it.begin()
        assert seen == [30_000_000] * 2


async def test_thousands_of_promises() -> None:
    many = 2000

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.map("m", range(many), lambda w, number: w.promise(f"p{number}"))
        await wf.step("s", self.bump)

    async with living(body) as it:
        await it.call("total")
        await turns(300)
        for number in range(many):
            it.send("resolve", f"p{number}", number)
        await turns(500)
        assert await it.call("total") == 1


async def test_a_step_takes_its_output_for_failed_if_it_cannot_be_stored() -> None:
    seen: list[Any] = []

    async def body(self: Any, wf: Workflow) -> Any:
        async def make(step: Step) -> Any:
            return asyncio.get_running_loop()

        seen.append(await wf.attempt("s", make))

    async with living(body) as it:
        await it.begin()
        assert isinstance(seen[0], Failed) and seen[0].kind == "fatal"
