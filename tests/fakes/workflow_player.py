"""The actor that plays generated programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from stator import Actor, Database, Options, Queue, action
from stator.workflow import Fatal, Step, Workflow, workflow
from tests.fakes.workflow_nodes import SILENT, Boom, DoStep, DoTxn, Receive
from tests.fakes.workflow_programs import Program

if TYPE_CHECKING:
    from tests.fakes.workflow_world import Life


class Counts(msgspec.Struct):
    """How often bodies came to their end, by key."""

    steps: dict[str, int] = {}
    txns: dict[str, int] = {}


class Player(Actor):
    """Plays one program; made for each life by :func:`make_player`."""

    program: Program
    life: Life
    state: Counts

    def create_state(self, _: Any) -> Counts:
        """Begin without counts."""
        return Counts({}, {})

    @workflow
    async def run(self, wf: Workflow) -> Any:
        """Play the program."""
        return await self.program.play(self, wf)

    @action
    def wake(self) -> None:
        """Be in memory."""

    @action
    async def report(self) -> list[Any]:
        """Return the counts, and the rows that transactions inserted."""
        rows: list[str] = []
        if "db" in vars(type(self)):
            rows = [row["key"] for row in await self.db.execute("SELECT key FROM rows")]
        return [self.state.steps, self.state.txns, rows]

    # -- bodies

    async def do_quick(self, step: Step, key: str, *spec: Any) -> str:
        """Do something at once."""
        return self._do(step, key, *spec)

    async def do_slow(self, step: Step, key: str, *spec: Any) -> str:
        """Do something and take a moment for it."""
        life = self.life
        life.pass_or_end("slow " + key)
        await life.linger()
        return self._do(step, key, *spec)

    def do_plain(self, step: Step, key: str, *spec: Any) -> str:
        """Do something in a thread."""
        return self._do(step, key, *spec)

    def _do(self, step: Step, key: str, fails: int, ending: str, *given: Any) -> str:
        before = self.life.begin(key, step.attempt, given)
        self.life.pass_or_end("end " + key)
        _count(self.state.steps, key)
        return _end(key, before, fails, ending)

    async def do_txn(self, step: Step, key: str, fails: int, ending: str, changes: bool) -> str:
        """Insert a row and, perhaps, count it in the state."""
        before = self.life.begin(key, step.attempt, None)
        await self.db.execute("INSERT INTO rows (key) VALUES (?)", key)
        if changes:
            _count(self.state.txns, key)
        self.life.pass_or_end("end " + key)
        return _end(key, before, fails, ending)

    async def take_back(self, step: Step, output: str) -> None:
        """Undo a step."""
        key = output.removeprefix("did ")
        node, _ = self.life.world.places[key]
        assert isinstance(node, DoStep | DoTxn)
        before = self.life.begin(key, step.attempt, None, is_undo=True)
        self.life.pass_or_end("undone " + key)
        _count(self.state.steps, key + "/undo")
        _end(key, before, node.undo_fails, "ok")


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _end(key: str, before: int, fails: int, ending: str) -> str:
    """Fail as often as is wanted, then end as is wanted."""
    if before < fails or ending == "exhausted":
        raise Boom(f"{key} fails")
    if ending == "fatal":
        raise Fatal(f"{key} is hopeless")
    return "did " + key


def make_player(program: Program, life: Life, *, no_sleep: bool) -> type[Player]:
    """Return the class of the actor that plays a program, with the queues of its receives."""
    played = program.all()
    options = Options(no_sleep=True) if no_sleep else Options(sleep_timeout=10.0)
    queues = {place.queue for node, place in played if isinstance(node, Receive)}
    members: dict[str, Any] = {name: Queue[str, str]() for name in {*queues, SILENT}}
    if any(isinstance(node, DoTxn) for node, _ in played):
        members["db"] = Database(["CREATE TABLE rows (key TEXT)"])
    members |= {"program": program, "life": life, "options": options}
    return type("ThisPlayer", (Player,), {"__module__": __name__, **members})
