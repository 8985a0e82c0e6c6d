"""What generated workflows consist of: data that is played through a ``Workflow``.

A program (``workflow_programs.py``) is a tree of nodes: steps and waits, which are here, and blocks
(``workflow_block_nodes.py``). What it does outside does not depend on when it does it: time limits
are either far away or surely over, a race has one branch that can win, each receive has a queue of
its own. So whatever interrupts a run, its effects are those of a run that nothing interrupted.

Rule 1. A node is named by its place among its siblings; a :class:`Place` knows the key of its
        entry. :func:`walk` gives all nodes that are played, each with its place.
Rule 2. What a loser of a race does may happen or not (``Place.is_lost``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from stator.runtime.workflow import keys
from stator.workflow import Backoff, Failed, Ok, Step, StepFailed, Workflow

SILENT = "silent"
"""The queue into which nobody sends."""
FOREVER_S = 1e7
MARGIN_S = 5000.0
RETRIES = 2
BACKOFF = Backoff(first=1.0, factor=2, max=30)

Ending = Literal["ok", "fatal", "exhausted"]
Undo = Literal["none", "method", "closure"]
Start = Literal["logged", "unlogged", "buffered"]


class Boom(Exception):
    """What a program raises."""


@dataclass(frozen=True)
class Place:
    """Where a node is played."""

    key: str = ""
    strand: str = ""
    queue: str = "q"
    """The key without turns, as the name of a queue."""
    is_lost: bool = False
    is_forgotten: bool = False
    """Whether a replay may leave out the code, and not that of the outermost saga around it."""
    is_in_saga: bool = False

    @property
    def name(self) -> str:
        """Its name in its scope."""
        return keys.last_name(self.key)

    def at(self, name: str, **changes: Any) -> Place:
        """Return the place of something in it."""
        key = keys.join(self.key, name)
        return replace(self, key=key, queue=f"{self.queue}_{name}", **changes)

    def beside(self, suffix: str) -> Place:
        """Return the place of a scope whose name is that of this with something more."""
        return replace(self, key=self.key + suffix)

    def turn(self, number: int) -> Place:
        """Return the place of a turn of the loop that is here."""
        return replace(self, key=keys.turn_key(self.key, number), is_forgotten=True)

    def branch(self, name: str, **changes: Any) -> Place:
        """Return the place of a branch."""
        place = self.at(name, **changes)
        return replace(place, strand=place.key)


Parts = Iterator[tuple["Nodes", Place]]


class Node:
    """Something that a program does."""

    letter = "?"

    @property
    def cost(self) -> float:
        """How many seconds it takes at most, without interruptions."""
        return 0.0

    def parts(self, place: Place) -> Parts:
        """Give the nodes in it, with the place of their scope, as often as they are played."""
        yield from ()

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        """Do it; return what came of it, as JSON has it."""
        raise NotImplementedError


Nodes = tuple[Node, ...]


def placed(nodes: Sequence[Node], place: Place) -> Iterator[tuple[Node, Place]]:
    """Give nodes of one scope with their places."""
    for index, node in enumerate(nodes):
        yield node, place.at(f"{node.letter}{index}")


def walk(nodes: Sequence[Node], place: Place) -> Iterator[tuple[Node, Place]]:
    """Give all that is played, depth first."""
    for node, there in placed(nodes, place):
        yield node, there
        for inner, scope in node.parts(there):
            yield from walk(inner, scope)


def cost_of(nodes: Sequence[Node]) -> float:
    """Return how long nodes take one after the other, in seconds."""
    return sum(node.cost for node in nodes)


async def play_all(nodes: Sequence[Node], player: Any, wf: Workflow, place: Place) -> list[Any]:
    """Play nodes one after the other."""
    return [await node.play(player, wf, there) for node, there in placed(nodes, place)]


# ---------------------------------------------------------------------------------- effects


@dataclass(frozen=True)
class DoStep(Node):
    """A step; it fails as often as it says, then ends as it says."""

    fails: int = 0
    ending: Ending = "ok"
    body: Literal["quick", "slow", "plain"] = "quick"
    start: Start = "logged"
    undo: Undo = "none"
    undo_fails: int = 0
    is_attempt: bool = False

    letter = "s"

    @property
    def cost(self) -> float:
        return 10.0

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        body = getattr(player, f"do_{self.body}")
        given = (place.key, self.fails, self.ending, wf.random.random(), wf.now())
        options: dict[str, Any] = {
            "retries": RETRIES,
            "backoff": BACKOFF,
            "log_start": self.start != "unlogged",
            "buffered": self.start == "buffered",
        }
        options |= _undo(self.undo, player, place)
        player.life.note_place(self, place, given[-2:])
        return await _outcome(wf, place.name, body, given, options, is_attempt=self.is_attempt)


def _undo(how: Undo, player: Any, place: Place) -> dict[str, Any]:
    """Return the option that says what undoes a step."""

    async def take_back(step: Step, output: str) -> None:
        await player.take_back(step, output)

    if how == "none":
        return {}
    is_closure = how == "closure" and not place.is_forgotten
    return {"undo": take_back if is_closure else player.take_back}


async def _outcome(
    wf: Workflow,
    name: str,
    body: Any,
    given: tuple[Any, ...],
    options: dict[str, Any],
    *,
    is_attempt: bool,
) -> Any:
    if is_attempt:
        match await wf.attempt(name, body, *given, **options):
            case Ok(value):
                return value
            case Failed(kind, error, _, step):
                return ["failed", kind, step, type(error).__name__, str(error)]
    try:
        return await wf.step(name, body, *given, **options)
    except StepFailed as failure:
        return ["failed", failure.kind, failure.step, *told(failure.error)]


def told(error: BaseException | None) -> list[str]:
    """Return what is compared of an error."""
    return [type(error).__name__, str(error)]


@dataclass(frozen=True)
class DoTxn(Node):
    """A transaction that inserts a row and counts itself in the state."""

    fails: int = 0
    ending: Ending = "ok"
    changes_state: bool = True
    undo: Undo = "none"
    undo_fails: int = 0

    letter = "t"

    @property
    def cost(self) -> float:
        return 10.0

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        player.life.note_place(self, place)
        given = (place.key, self.fails, self.ending, self.changes_state)
        try:
            options: dict[str, Any] = {"retries": RETRIES, "backoff": BACKOFF}
            options |= _undo(self.undo, player, place)
            return await wf.txn(place.name, player.do_txn, *given, **options)
        except StepFailed as failure:
            return ["failed", failure.kind, failure.step, *told(failure.error)]


# ---------------------------------------------------------------------------------- waits


@dataclass(frozen=True)
class Sleep(Node):
    """A wait for time."""

    seconds: float = 5.0
    letter = "z"

    @property
    def cost(self) -> float:
        return self.seconds

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        await wf.sleep(place.name, self.seconds)


@dataclass(frozen=True)
class Receive(Node):
    """A message of a queue of its own, and what is done while it is open."""

    mode: Literal["plain", "complete", "auto", "raise"] = "plain"
    body: Nodes = ()
    many: bool = False
    letter = "r"

    @property
    def cost(self) -> float:
        return MARGIN_S + cost_of(self.body)

    def parts(self, place: Place) -> Parts:
        yield self.body, place.beside("+")

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        ack, queue, name = self.mode != "plain", place.queue, place.name
        if self.many:
            [message] = await wf.receive_many(name, queue, max=1, ack=ack)
        else:
            message = await wf.receive(name, queue, ack=ack)
        try:
            async with message, wf.scope(name + "+"):
                done = await play_all(self.body, player, wf, place.beside("+"))
                if self.mode == "raise":
                    raise Boom(name)
                if self.mode == "complete":
                    await message.complete(f"re {message.body}")
        except Boom:
            return ["released", message.body]
        return [message.body, done]


@dataclass(frozen=True)
class ReceiveNothing(Node):
    """A receive whose time limit passes without a message."""

    seconds: float = 20.0
    letter = "n"

    @property
    def cost(self) -> float:
        return self.seconds

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        message = await wf.receive(place.name, SILENT, timeout=self.seconds, ack=True)
        assert message is None
        return "nothing"


@dataclass(frozen=True)
class Await(Node):
    """A promise that somebody outside resolves."""

    letter = "p"

    @property
    def cost(self) -> float:
        return MARGIN_S

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        return await wf.promise(place.name)
