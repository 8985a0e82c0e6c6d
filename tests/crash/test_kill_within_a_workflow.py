"""A worker that dies within a workflow: in a body, around a transaction, while it undoes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.crash

CODE = """
import os, signal
from pathlib import Path

from stator import Actor, Database, Queue, action, setup
from stator.runtime import faults
from stator.workflow import Fatal, Step, StepFailed, Workflow, workflow

ROOT = Path("{root}")

def note(*words):
    with open(ROOT / "notes", "a") as notes:
        notes.write(" ".join(map(str, words)) + "\\n")

def is_first(name):
    marker = ROOT / name
    if marker.exists():
        return False
    marker.touch()
    return True

def die_once(name):
    if is_first(name):
        os.kill(os.getpid(), signal.SIGKILL)

class Flow(Actor):
    state: list[str]
    jobs = Queue[str, str]()
    db = Database(migrations=["CREATE TABLE rows (name TEXT)"])

    @workflow
    async def run(self, wf: Workflow) -> None:
        await getattr(self, self.key[0])(wf)

    async def in_a_body(self, wf):
        await wf.step("before", self.mark, "before")
        await wf.step("deadly", self.deadly)

    async def in_every_attempt(self, wf):
        await wf.step("suicidal", self.suicidal, retries=1)

    async def at_a_commit(self, wf, point):
        await wf.step("arm", self.arm, point)
        await wf.txn("insert", self.insert)

    async def before_the_commit(self, wf):
        await self.at_a_commit(wf, "database.before_commit")

    async def after_the_commit(self, wf):
        await self.at_a_commit(wf, "database.after_commit")

    async def while_it_waits(self, wf):
        await wf.sleep("pause", 2)
        await wf.step("after", self.mark, "after")

    async def with_a_message(self, wf):
        async with await wf.receive("job", self.jobs, ack=True) as job:
            await wf.step("work", self.deadly)
            await wf.step("note", self.mark, job.body)
            await job.complete("done")
        await wf.receive("nothing more", self.jobs, timeout=0)

    async def while_it_undoes(self, wf):
        try:
            async with wf.saga("saga") as saga:
                for name in "ab":
                    await saga.step(name, self.mark, name, undo=self.unmark)
                await saga.step("refused", self.refuse)
        except StepFailed:
            await wf.step("after", self.mark, "after")

    async def deadly(self, step: Step) -> None:
        note("attempt", step.attempt)
        die_once("deadly")

    async def suicidal(self, step: Step) -> None:
        note("attempt", step.attempt)
        os.kill(os.getpid(), signal.SIGKILL)

    async def mark(self, name: str) -> str:
        note("mark", name)
        self.state.append(name)
        return name

    async def unmark(self, name: str) -> None:
        note("unmark", name)
        die_once("undoing-" + name)
        self.state.remove(name)

    async def refuse(self) -> None:
        raise Fatal("no")

    async def arm(self, point: str) -> None:
        if is_first("armed"):
            faults.arm(point, faults.kill_process)

    async def insert(self) -> None:
        self.state.append("row")
        await self.db.execute("INSERT INTO rows VALUES ('row')")

    @action
    async def seen(self) -> dict:
        status = await self.workflow.status()
        return {{
            "status": str(status),
            "reason": status.reason,
            "state": self.state,
            "rows": [row[0] for row in await self.db.execute("SELECT name FROM rows")],
            "left": len(await self.queue.try_next_batch(count=9)) if status == "completed" else 0,
        }}

registry = setup(use={{"flow": Flow}})
"""


@pytest.fixture
def service(short_tmp: Path) -> Iterator[ServiceUnderFire]:
    (short_tmp / "deadly_app.py").write_text(CODE.format(root=short_tmp))
    with service_under_fire(
        short_tmp,
        application__registry="deadly_app:registry",
        application__path=short_tmp,
        server__gateways=1,
        workers__count=1,
    ) as running:
        yield running


@pytest.fixture
def notes(short_tmp: Path) -> Path:
    return short_tmp / "notes"


def seen(service: ServiceUnderFire, play: str) -> dict[str, Any]:
    value: dict[str, Any] = service.read("flow", play, "seen").value
    return value


def ended(service: ServiceUnderFire, play: str) -> dict[str, Any]:
    """Return what is seen of a workflow once it has ended; only the first look asks for it."""
    service.call("flow", play, "seen")
    wait_until(lambda: seen(service, play)["status"] in ("completed", "failed"), "it has ended")
    return seen(service, play)


def lines(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


def test_a_body_that_was_cut_off_runs_again_and_what_was_done_does_not(
    service: ServiceUnderFire, notes: Path
) -> None:
    assert ended(service, "in_a_body")["state"] == ["before"]
    assert lines(notes) == ["mark before", "attempt 1", "attempt 2"]


def test_a_body_that_always_ends_its_process_is_given_up(
    service: ServiceUnderFire, notes: Path
) -> None:
    service.call("flow", "in_every_attempt", "seen")
    wait_until(lambda: len(lines(notes)) == 4, "it was tried again and again, by itself")
    result = ended(service, "in_every_attempt")
    assert (result["status"], result["reason"]) == ("failed", "step_failed")
    assert lines(notes) == [f"attempt {number}" for number in range(1, 5)]


@pytest.mark.parametrize("play", ["before_the_commit", "after_the_commit"])
def test_a_transaction_takes_effect_once(service: ServiceUnderFire, play: str) -> None:
    result = ended(service, play)
    assert (result["status"], result["rows"], result["state"]) == ("completed", ["row"], ["row"])


@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.TREE], ids=lambda victim: victim.value)
def test_who_waits_goes_on_at_its_deadline_without_being_asked(
    service: ServiceUnderFire, notes: Path, victim: Victim
) -> None:
    service.call("flow", "while_it_waits", "seen")
    service.strike(victim)
    wait_until(lambda: lines(notes) == ["mark after"], "its time came")


def test_a_message_is_received_and_completed_once(service: ServiceUnderFire, notes: Path) -> None:
    service.call("flow", "with_a_message", "seen")
    assert service.enqueue("flow", "with_a_message", "jobs", "job").status == 200
    result = ended(service, "with_a_message")
    assert (result["status"], result["state"], result["left"]) == ("completed", ["job"], 0)
    assert lines(notes) == ["attempt 1", "attempt 2", "mark job"]


def test_undo_handlers_run_until_all_are_done(service: ServiceUnderFire, notes: Path) -> None:
    result = ended(service, "while_it_undoes")
    assert (result["status"], result["state"]) == ("completed", ["after"])
    undone = [line for line in lines(notes) if line.startswith("unmark")]
    assert undone == ["unmark b", "unmark b", "unmark a", "unmark a"]


def test_an_ended_run_stays_ended(service: ServiceUnderFire, notes: Path) -> None:
    before = ended(service, "in_a_body")
    service.strike(Victim.TREE)
    assert seen(service, "in_a_body") == before
    assert len(lines(notes)) == 3
