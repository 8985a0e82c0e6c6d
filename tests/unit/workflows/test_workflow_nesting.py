"""Everything within everything, live and over restarts: the outcome is the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stator.workflow import Failed, Ok, StepFailed, Workflow
from tests.fakes.workflow_blocks import BLOCKS, at_root
from tests.fakes.workflow_flows import Body, Runner, failing, noting, running_flow

Ran = list[Any]
Inner = Callable[[Workflow, Any, Ran], Awaitable[Any]]
"""Takes the workflow, the actor and where bodies note that they ran."""

RESTARTS = ["live", "restarted"]

# ------------------------------------------------------------------------ what is nested


async def _step(wf: Workflow, actor: Any, ran: Ran) -> Any:
    return await wf.step("s", noting(ran, "s", "stepped"))


async def _plain_step(wf: Workflow, actor: Any, ran: Ran) -> Any:
    return await wf.step("s", lambda: ran.append("s"))


async def _retried(wf: Workflow, actor: Any, ran: Ran) -> Any:
    return await wf.step("s", failing(ran, "s", 2))


async def _failed(wf: Workflow, actor: Any, ran: Ran) -> Any:
    try:
        await wf.step("s", failing(ran, "s", 9), retries=1)
    except StepFailed as error:
        return [error.kind, error.attempts, str(error.error)]


async def _attempt(wf: Workflow, actor: Any, ran: Ran) -> Any:
    match await wf.attempt("s", failing(ran, "s", 9), retries=1):
        case Ok(value):
            return value
        case Failed(kind, error, attempts):
            return [kind, str(error), attempts]


async def _txn(wf: Workflow, actor: Any, ran: Ran) -> Any:
    async def add() -> int:
        ran.append("t")
        actor.state.total += 1
        total: int = actor.state.total
        return total

    return await wf.txn("t", add)


async def _undone(wf: Workflow, actor: Any, ran: Ran) -> Any:
    try:
        async with wf.saga("failing"):
            await wf.step("s", actor.note, "s", undo=actor.undo_note)
            await wf.sleep("pause", 1)
            await wf.step("bad", failing(ran, "bad", 9), retries=0)
    except StepFailed as error:
        return error.step


async def _sleep(wf: Workflow, actor: Any, ran: Ran) -> Any:
    before = wf.now()
    await wf.sleep("nap", 2)
    return wf.now() - before


async def _receive(wf: Workflow, actor: Any, ran: Ran) -> Any:
    async with await wf.receive("order", "orders", ack=True) as message:
        await wf.step("handle", noting(ran, "handle"), message.body)
        return message.body


async def _receive_in_vain(wf: Workflow, actor: Any, ran: Ran) -> Any:
    return await wf.receive("order", "others", timeout=2)


async def _receive_many(wf: Workflow, actor: Any, ran: Ran) -> Any:
    return [each.body for each in await wf.receive_many("order", "orders", max=3)]


async def _promise(wf: Workflow, actor: Any, ran: Ran) -> Any:
    return await wf.promise("approved")


async def _timed_out(wf: Workflow, actor: Any, ran: Ran) -> Any:
    try:
        async with wf.timeout("limit", 2):
            await wf.step("s", noting(ran, "s"))
            await wf.receive("order", "others")
    except TimeoutError as error:
        return str(error)


async def _raced(wf: Workflow, actor: Any, ran: Ran) -> Any:
    async def work(wf: Workflow) -> None:
        await wf.step("s", noting(ran, "s"))
        await wf.receive("order", "others")

    return list(await wf.first("either", work=work, late=wf.after(5), timer=wf.after(2)))


async def _random(wf: Workflow, actor: Any, ran: Ran) -> Any:
    found = [wf.random.random(), str(wf.uuid())]
    await wf.sleep("nap", 1)
    return found == await wf.step("s", noting(ran, "s", found)) and wf.random.random() > 0


INNER: dict[str, Inner] = {
    "step": _step,
    "plain step": _plain_step,
    "retried step": _retried,
    "failed step": _failed,
    "attempt": _attempt,
    "txn": _txn,
    "undone saga": _undone,
    "sleep": _sleep,
    "receive": _receive,
    "receive in vain": _receive_in_vain,
    "receive_many": _receive_many,
    "promise": _promise,
    "timeout that is over": _timed_out,
    "first with a timer": _raced,
    "random": _random,
}


def _waiting_block(block: str) -> Inner:
    async def inner(wf: Workflow, actor: Any, ran: Ran) -> Any:
        async def code(wf: Workflow) -> Any:
            await wf.step("before", noting(ran, "before"))
            await wf.sleep("nap", 1)
            return await wf.step("after", noting(ran, "after", block))

        return await BLOCKS[block](wf, "inner", code)

    return inner


INNER.update({block: _waiting_block(block) for block in BLOCKS})

# ---------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("outer", BLOCKS)
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("how", RESTARTS)
async def test_a_block_changes_nothing_of_what_is_in_it(outer: str, inner: str, how: str) -> None:
    if inner not in _expected:
        _expected[inner] = await _play(at_root, INNER[inner], "live")
    assert await _play(BLOCKS[outer], INNER[inner], how) == _expected[inner]


_expected: dict[str, tuple[Any, Ran, list[str]]] = {}
"""What comes of each of :data:`INNER` in no block."""


async def _play(block: Any, inner: Inner, how: str) -> tuple[Any, Ran, list[str]]:
    """Return the output of the run, what its steps did, and what they noted in the state."""
    ran: Ran = []
    async with running_flow(_body(block, inner, ran), note=note, undo_note=undo_note) as flow:
        for place in range(12):
            if how != "live":
                await (flow.again() if place % 2 else flow.crash())
            if await flow.status() == "completed":
                break
            await _move_on(flow)
        return await flow.output(), ran, await flow.notes()


def _body(block: Any, inner: Inner, ran: Ran) -> Body:
    async def body(self: Any, wf: Workflow) -> Any:
        async def code(wf: Workflow) -> Any:
            found = await inner(wf, self, ran)
            await wf.step("last", noting(ran, "last"))
            return found

        return await block(wf, "outer", code)

    return body


async def _move_on(flow: Runner) -> None:
    """Give the run what it waits for."""
    waits = {entry.key: entry for entry in (await flow.workflow.status()).open}
    kinds = {entry.kind: entry for key, entry in waits.items() if not key.endswith("never")}
    promise, receive = kinds.get("promise"), kinds.get("receive")
    if promise is not None:
        await flow.workflow.resolve(promise.key, "yes")
        await flow.testing.settle()
    elif receive is not None and receive.due_at is None and not _is_in_vain(receive.key):
        await flow.send("o1")
    else:
        await flow.pass_time(1)


def _is_in_vain(key: str) -> bool:
    return "limit" in key or "either" in key


async def note(self: Any, text: str) -> str:
    self.state.notes.append(text)
    return text


async def undo_note(self: Any, text: str) -> None:
    self.state.notes.append(f"undo {text}")
