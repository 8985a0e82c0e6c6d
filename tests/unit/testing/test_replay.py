"""Replays of histories against the code of the day: ``stator.testing.replay``."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, setup
from stator.testing import replay, running
from stator.workflow import StepFailed, Workflow, WorkflowHistory, workflow
from tests.fakes.recorded_runs import RAN, do, fail, history_after, history_of


class Plain(Actor):
    """Two steps with a wait in between."""

    @workflow
    async def run(self, wf: Workflow) -> str:
        await wf.step("first", do, "first")
        await wf.sleep("pause", 60)
        return await wf.step("second", do, "second")


# -- the same code


async def test_the_same_code_goes_on_where_the_run_waits() -> None:
    report = await replay(await history_of(Plain), Plain)

    assert report.ok
    assert (report.replayed, report.frontier) == (2, (("pause", "sleep"),))


async def test_a_finished_run_is_replayed_to_its_end() -> None:
    history = await history_of(Plain, seconds=60)

    report = await replay(history, Plain)

    assert history.status == "completed"
    assert report.ok
    assert (report.replayed, report.frontier) == (3, ())


async def test_a_replay_runs_no_step() -> None:
    await replay(await history_of(Plain), Plain)

    assert RAN == []


async def test_a_history_without_entries_begins_at_the_beginning() -> None:
    class Mute(Actor):
        @workflow
        async def run(self, wf: Workflow) -> None:
            return

    report = await replay(await history_of(Mute), Plain)

    assert report.frontier == (("first", "step"),)


async def test_a_history_from_a_file_is_replayed() -> None:
    kept = (await history_of(Plain)).to_bytes()

    assert (await replay(WorkflowHistory.from_bytes(kept), Plain)).ok


# -- other code


class Renamed(Actor):
    """``Plain`` with another name for its first step."""

    @workflow
    async def run(self, wf: Workflow) -> str:
        await wf.step("begin", do, "first")
        await wf.sleep("pause", 60)
        return await wf.step("second", do, "second")


async def test_a_renamed_step_is_reported_with_both_sides() -> None:
    report = await replay(await history_of(Plain), Renamed)

    assert report.diverged and not report.ok
    assert report.divergence is not None
    assert report.divergence.metadata == {
        "history": {"key": "first", "kind": "step"},
        "code": {"key": "begin", "kind": "step"},
    }


async def test_a_report_of_a_divergence_can_be_read() -> None:
    report = await replay(await history_of(Plain), Renamed)

    assert str(report) == (
        "replay of subject ['one']: diverged after 0 entries\n"
        "  history has:   step 'first'\n"
        "  code asks for: step 'begin'\n"
        "  use `wf.version` or `wf.removed` where the code was changed"
    )


async def test_a_report_of_a_replay_says_where_the_code_goes_on() -> None:
    report = await replay(await history_of(Plain), Plain)

    assert str(report) == (
        "replay of subject ['one']: 2 entries, as the code asks for them\n"
        "  would go on with sleep 'pause'"
    )


async def test_code_that_asks_for_less_diverges() -> None:
    class Shorter(Actor):
        @workflow
        async def run(self, wf: Workflow) -> str:
            return await wf.step("first", do, "first")

    report = await replay(await history_of(Plain), Shorter)

    assert report.divergence is not None
    assert report.divergence.metadata["code"] is None
    assert "code asks for: nothing more" in str(report)


async def test_code_that_goes_on_longer_does_not_diverge() -> None:
    class Longer(Plain):
        @workflow
        async def run(self, wf: Workflow) -> str:
            await super().run(wf)
            return await wf.step("third", do, "third")

    report = await replay(await history_of(Plain, seconds=60), Longer)

    assert report.ok
    assert report.frontier == (("third", "step"),)


async def test_a_removed_step_is_passed_over() -> None:
    class Removed(Actor):
        @workflow
        async def run(self, wf: Workflow) -> str:
            await wf.removed("first", kind="step")
            await wf.sleep("pause", 60)
            return await wf.step("second", do, "second")

    assert (await replay(await history_of(Plain), Removed)).ok


async def test_a_gate_lets_an_old_run_go_its_old_way() -> None:
    class Gated(Actor):
        @workflow
        async def run(self, wf: Workflow) -> str:
            if await wf.patched("greeting"):
                await wf.step("greet", do, "greet")
            await wf.step("first", do, "first")
            await wf.sleep("pause", 60)
            return await wf.step("second", do, "second")

    old = await replay(await history_of(Plain), Gated)
    new = await replay(await history_of(Gated), Gated)

    assert old.ok and new.ok


async def test_a_run_that_diverged_goes_on_with_the_right_code() -> None:
    async with running(setup(use={"subject": Plain})) as client:
        handle = client.get_or_create("subject", ["one"])
        await history_after(client, handle, 0)
        await client.testing.reload(setup(use={"subject": Renamed}))
        await handle.resolve()
        await client.testing.advance(60)
        history = await handle.workflow.history()

    assert history.status.reason == "diverged"
    assert (await replay(history, Renamed)).diverged
    assert (await replay(history, Plain)).ok


# -- how runs end


class Failing(Actor):
    """Fails, and undoes what it did."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        await wf.step("buy", do, "buy", undo=self.give_back)
        async with wf.saga("checkout") as saga:
            await saga.step("reserve", do, "reserve", undo=self.give_back)
            await saga.step("charge", fail)

    async def give_back(self, what: str) -> None:
        await do(f"undo {what}")

    async def on_workflow_error(self, event: Any) -> None:
        await do("hook")

    def on_wake(self) -> None:
        RAN.append("on_wake")


async def test_a_failed_run_is_replayed_without_undoing_anything() -> None:
    history = await history_of(Failing)

    report = await replay(history, Failing)

    assert history.status == "failed"
    assert report.ok
    assert RAN == []


async def test_another_error_than_that_of_the_run_is_reported() -> None:
    class Broken(Failing):
        @workflow
        async def run(self, wf: Workflow) -> None:
            await wf.step("buy", do, "buy", undo=self.give_back)
            raise RuntimeError("broken")

    report = await replay(await history_of(Failing), Broken)

    assert not report.ok and not report.diverged
    assert str(report).endswith("the code raised RuntimeError: broken")


async def test_code_that_catches_a_failure_goes_on() -> None:
    class Careful(Failing):
        @workflow
        async def run(self, wf: Workflow) -> None:
            try:
                await super().run(wf)
            except StepFailed:
                await wf.step("apologise", do, "apologise")

    report = await replay(await history_of(Failing), Careful)

    assert report.frontier == (("apologise", "step"),)


async def test_a_cancelled_run_is_replayed() -> None:
    async with running(setup(use={"subject": Plain})) as client:
        handle = client.get_or_create("subject", ["one"])
        await history_after(client, handle, 0)
        await handle.workflow.cancel()
        history = await handle.workflow.history()

    report = await replay(history, Plain)

    assert history.status == "cancelled"
    assert (report.ok, report.replayed) == (True, 2)


async def test_a_saga_that_is_being_undone_is_where_it_goes_on() -> None:
    class Stuck(Failing):
        async def give_back(self, what: str) -> None:
            raise OSError("not now")

        @workflow
        async def run(self, wf: Workflow) -> None:
            try:
                async with wf.saga("checkout") as saga:
                    await saga.step("reserve", do, "reserve", undo=self.give_back)
                    await saga.step("charge", fail)
            except StepFailed:
                await wf.step("apologise", do, "apologise")

    report = await replay(await history_of(Stuck), Stuck)

    assert report.frontier == (("checkout", "saga"),)


# -- what cannot be replayed


class Receipt(msgspec.Struct):
    """An output that is there in one release and not in the next."""

    order: str


async def receipt() -> Any:
    """Return a record that no annotation says the class of."""
    return Receipt("tea")


class Receiving(Actor):
    """Keeps a record in its history."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        await wf.step("receipt", receipt)
        await wf.sleep("pause", 60)


async def test_a_class_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    history = await history_of(Receiving)
    monkeypatch.delattr(f"{__name__}.Receipt")

    report = await replay(history, Receiving)

    assert not report.ok
    assert report.missing == (f"{__name__}:Receipt",)
    assert f"not there any more: {__name__}:Receipt" in str(report)
    assert "cannot be read" in str(report.error)


async def test_an_actor_without_a_workflow_is_refused() -> None:
    class Other(Actor):
        pass

    with pytest.raises(ActorError, match="Other has no workflow"):
        await replay(await history_of(Plain), Other)


async def test_the_body_may_use_no_more_of_its_actor_than_in_a_service() -> None:
    class Peeking(Actor):
        state: int = 0

        @workflow
        async def run(self, wf: Workflow) -> None:
            await wf.step(f"first {self.key[0]} {self.state}", do, "first")

    report = await replay(await history_of(Plain), Peeking)

    assert isinstance(report.error, ActorError)
    assert report.error.code == "outside_step"


async def test_code_that_waits_for_something_else_is_given_up() -> None:
    class Hanging(Actor):
        @workflow
        async def run(self, wf: Workflow) -> None:
            await asyncio.Event().wait()

    report = await replay(await history_of(Plain), Hanging, patience=0.05)

    assert isinstance(report.error, TimeoutError)
