"""An await of a promise that was cut off stays so, unless a retry opens its block again."""

from __future__ import annotations

from stator import Actor, setup
from stator.testing import running
from stator.workflow import Workflow, workflow


class Asking(Actor):
    """Asks once, for five seconds, then for as long as it takes."""

    @workflow
    async def run(self, wf: Workflow) -> str:
        answer = wf.promise("answer")
        try:
            async with wf.timeout("limit", 5):
                return f"early {await answer}"
        except TimeoutError:
            await wf.step("late", echo, "late")
        await wf.sleep("pause", 5)
        return f"late {await answer}"


async def echo(text: str) -> str:
    """Return what it is given."""
    return text


async def output_after(seconds: float) -> object:
    """Return the output of a run that was cancelled and retried after so many seconds, then was
    answered, and lost its worker."""
    async with running(setup(use={"asking": Asking})) as client:
        asking = client.get_or_create(Asking)
        await asking.resolve()
        await client.testing.settle()
        await client.testing.advance(seconds)
        await asking.workflow.cancel()
        await asking.workflow.retry()
        await asking.workflow.resolve("answer", "yes")
        await client.testing.crash()
        await client.testing.advance(10)
        return await asking.workflow.output()


async def test_a_retry_waits_again_for_what_the_cancelled_run_waited_for() -> None:
    assert await output_after(1) == "early yes"


async def test_an_answer_to_the_retry_does_not_turn_back_a_time_limit_that_was_over() -> None:
    assert await output_after(6) == "late yes"


async def test_a_retry_waits_again_after_a_time_limit_that_was_over() -> None:
    assert await output_after(11) == "late yes"
