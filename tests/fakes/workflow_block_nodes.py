"""Blocks of generated workflows: nodes that have others in them (``workflow_nodes.py``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from stator.workflow import GatherFailed, Workflow
from tests.fakes.workflow_nodes import (
    FOREVER_S,
    MARGIN_S,
    SILENT,
    Boom,
    Node,
    Nodes,
    Parts,
    Place,
    cost_of,
    play_all,
    told,
)

Forever = Literal["after", "receive", "promise", "saga"]


@dataclass(frozen=True)
class Repeat(Node):
    """A loop of so many turns, which counts in its state."""

    turns: int = 2
    keep: int = 20
    breaks: bool = False
    """Whether it is left by ``break`` in its last turn, or ends by itself."""
    body: Nodes = ()
    letter = "l"

    @property
    def cost(self) -> float:
        return self.turns * cost_of(self.body)

    def parts(self, place: Place) -> Parts:
        for number in range(self.turns):
            yield self.body, place.turn(number)

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        begin: list[Any] = [100]
        loop = wf.loop(place.name, state=begin, keep=self.keep)
        async for turn in loop:
            done = await play_all(self.body, player, wf, place.turn(turn.index))
            turn.state = [*turn.state, [turn.index, done]]
            if turn.index == self.turns - 1:
                if self.breaks:
                    break
                turn.stop(turn.state)
        return loop.result


@dataclass(frozen=True)
class Scope(Node):
    """A scope, or a saga that goes well or fails and is undone."""

    kind: Literal["scope", "saga", "failing"] = "scope"
    body: Nodes = ()
    letter = "c"

    @property
    def cost(self) -> float:
        return 2 * cost_of(self.body)

    def parts(self, place: Place) -> Parts:
        yield self.body, self._within(place)

    def _within(self, place: Place) -> Place:
        if self.kind == "scope":
            return place
        is_forgotten = place.is_forgotten and place.is_in_saga
        return replace(place, is_forgotten=is_forgotten, is_in_saga=True)

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        within = self._within(place)
        if self.kind == "scope":
            async with wf.scope(place.name):
                return await play_all(self.body, player, wf, within)
        try:
            async with wf.saga(place.name):
                done = await play_all(self.body, player, wf, within)
                if self.kind == "failing":
                    raise Boom(place.name)
                return done
        except Boom as error:
            return ["undone", *told(error)]


@dataclass(frozen=True)
class Gather(Node):
    """Branches side by side, of which one may fail."""

    branches: tuple[Nodes, ...] = ((), ())
    fails: bool = False
    letter = "g"

    @property
    def cost(self) -> float:
        return max(map(cost_of, self.branches))

    def parts(self, place: Place) -> Parts:
        for index, nodes in enumerate(self.branches):
            yield nodes, place.branch(f"b{index}")

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        def branch(index: int, nodes: Nodes) -> Any:
            async def run(wf: Workflow) -> Any:
                done = await play_all(nodes, player, wf, place.branch(f"b{index}"))
                if self.fails and index == 0:
                    raise Boom(place.name)
                return done

            return run

        branches = {f"b{index}": branch(index, each) for index, each in enumerate(self.branches)}
        try:
            return await wf.gather(place.name, **branches)
        except GatherFailed as failure:
            return {name: told(error) for name, error in failure.errors.items()}


@dataclass(frozen=True)
class Map(Node):
    """The same for several items, so many at a time."""

    items: int = 2
    concurrency: int | None = None
    body: Nodes = ()
    letter = "m"

    @property
    def cost(self) -> float:
        return self.items * cost_of(self.body)

    def parts(self, place: Place) -> Parts:
        for index in range(self.items):
            yield self.body, place.branch(str(index))

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        async def each(wf: Workflow, item: int) -> Any:
            return [item, await play_all(self.body, player, wf, place.branch(str(item)))]

        return await wf.map(place.name, range(self.items), each, concurrency=self.concurrency)


@dataclass(frozen=True)
class First(Node):
    """A race that one branch wins: the other waits for ever in the end, or for very long."""

    winner: Nodes = ()
    loser: Nodes = ()
    forever: Forever = "after"
    letter = "f"

    @property
    def cost(self) -> float:
        return cost_of(self.winner)

    def parts(self, place: Place) -> Parts:
        yield self.winner, place.branch("winner", is_forgotten=True)
        yield self.loser, place.branch("loser", is_forgotten=True, is_lost=True)

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        (winner, won), (loser, lost) = self.parts(place)

        async def win(wf: Workflow) -> Any:
            return await play_all(winner, player, wf, won)

        async def lose(wf: Workflow) -> Any:
            await play_all(loser, player, wf, lost)
            await wait_forever(wf, self.forever)

        last = wf.after(FOREVER_S) if self.forever == "after" and not loser else lose
        found = await wf.first(place.name, loser=last, winner=win)
        return [found.name, found.value]


@dataclass(frozen=True)
class Limit(Node):
    """A time limit that is far away, or over before its block is."""

    expires: bool = False
    forever: Forever = "after"
    body: Nodes = ()
    letter = "o"

    @property
    def cost(self) -> float:
        return cost_of(self.body) + (self._seconds if self.expires else 0)

    @property
    def _seconds(self) -> float:
        return 2 * cost_of(self.body) + MARGIN_S

    def parts(self, place: Place) -> Parts:
        yield self.body, place

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        done: list[Any] = []
        try:
            async with wf.timeout(place.name, self._seconds):
                done = await play_all(self.body, player, wf, place)
                if self.expires:
                    await wait_forever(wf, self.forever)
        except TimeoutError:
            return ["expired", done]
        return done


async def wait_forever(wf: Workflow, how: Forever) -> None:
    """Wait for what does not happen."""
    match how:
        case "after":
            await wf.sleep("forever", FOREVER_S)
        case "receive":
            await wf.receive("forever", SILENT)
        case "promise":
            await wf.promise("forever")
        case "saga":
            async with wf.saga("in vain"):
                await wf.sleep("forever", FOREVER_S)


@dataclass(frozen=True)
class Gate(Node):
    """A gate for changed code."""

    letter = "v"

    async def play(self, player: Any, wf: Workflow, place: Place) -> Any:
        return [await wf.version(place.name, 3), await wf.patched(place.name + "+")]
