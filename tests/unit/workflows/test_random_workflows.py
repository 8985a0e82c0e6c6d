"""Generated workflows are played, interrupted at any moment, and have the effects that they have
when nothing interrupts them: each step's at least once, each transaction's exactly once.

``STATOR_WORKFLOW_EXAMPLES=50`` tries so many times more programs, other ones on each run.
"""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.workflow_block_nodes import Gather, Limit, Repeat, Scope
from tests.fakes.workflow_comparison import differences
from tests.fakes.workflow_nodes import Await, DoStep, DoTxn, Node, Receive, Sleep
from tests.fakes.workflow_programs import Program, programs
from tests.fakes.workflow_world import Cut, Outcome, Plan, World

TIMES = int(os.environ.get("STATOR_WORKFLOW_EXAMPLES", "1"))
MEMORY = Path("/dev/shm")
DEADLINE_S = 60.0

cuts = st.sampled_from([Cut.KILL, Cut.KILL, Cut.KILL, Cut.SLEEP, Cut.FULL])


def _play(program: Program, plan: Plan = (), *, no_sleep: bool = False) -> Outcome:
    """Play a program from its beginning to its end, on a disk of its own."""
    caught: list[dict[str, Any]] = []

    async def play(directory: str) -> Outcome:
        asyncio.get_running_loop().set_exception_handler(lambda _, each: caught.append(each))
        world = World(program, Path(directory), plan, no_sleep=no_sleep)
        return await asyncio.wait_for(world.play(), DEADLINE_S)

    where = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="st-", dir=where) as directory,
        asyncio.Runner() as runner,
    ):
        outcome = runner.run(play(directory))
    assert not caught, f"the event loop caught: {caught}"
    return outcome


def _check(program: Program, expected: Outcome, plan: Plan) -> Outcome:
    found = _play(program, plan)
    wrong = differences(program, expected, found)
    assert not wrong, f"interrupted at {plan}: " + "\n".join(wrong)
    return found


def _check_everywhere(program: Program, *, most: int = 1000) -> None:
    """Interrupt a program at every point that it passes, in every way; at ``most`` points."""
    expected = _play(program, no_sleep=True)
    assert not expected.complaints
    points = _check(program, expected, ()).points
    for number in range(0, len(points), len(points) // most + 1):
        other = Cut.FULL if points[number] == "commit" else Cut.SLEEP
        _check(program, expected, ((number, Cut.KILL),))
        _check(program, expected, ((number, other),))


# A promise is resolved, a message comes, a deadline passes in the moment in which the actor falls
# asleep; a commit fails that has the end; a loop keeps no turns; a step waits to be tried again
# while a message is open; a time limit within another one is over already; a number of an entry
# that is forgotten is given again; a saga in a turn of a loop goes well, the one around it fails.
KNOWN: list[tuple[Node, ...]] = [
    (DoStep(),),
    (DoTxn(), DoStep(fails=1)),
    (Scope("failing", (DoTxn(undo="method"), DoStep(undo="closure"), DoTxn(undo="closure"))),),
    (Limit(body=(Limit(body=(Await(), Await())),)),),
    (Limit(expires=True, body=(Limit(expires=True, forever="saga", body=(Await(),)),)),),
    (Limit(expires=True, forever="receive", body=(Sleep(100.0), Receive("complete"))),),
    (Receive("auto", (DoStep(fails=2),)), Receive("raise", (DoStep(fails=1),))),
    (Repeat(turns=3, keep=0, body=(DoStep(body="slow"), Receive("plain"))),),
    (Repeat(turns=1, keep=0, body=(DoTxn(),)), Receive(), DoTxn(changes_state=False)),
    (Scope("failing", (Repeat(keep=0, body=(Scope("saga", (DoStep(undo="closure"),)),)),)),),
    (Gather(((DoStep(), Scope("failing", (DoStep(undo="method"), Sleep(20.0)))), (DoTxn(),))),),
]


@pytest.mark.parametrize(
    "nodes", KNOWN, ids=lambda nodes: " ".join(type(n).__name__ for n in nodes)
)
def test_a_workflow_may_be_interrupted_at_every_point(nodes: tuple[Node, ...]) -> None:
    _check_everywhere(Program(nodes))


@settings(max_examples=6 * TIMES, derandomize=TIMES == 1)
@given(program=programs(size=3, with_txns=True))
def test_a_small_workflow_may_be_interrupted_at_every_point(program: Program) -> None:
    _check_everywhere(program, most=25)


@settings(max_examples=12 * TIMES, derandomize=TIMES == 1)
@given(
    program=programs(size=10, with_txns=True),
    places=st.lists(st.tuples(st.floats(0, 1), cuts), min_size=1, max_size=4),
)
def test_a_workflow_may_be_interrupted_anywhere(
    program: Program, places: list[tuple[float, Cut]]
) -> None:
    expected = _play(program, no_sleep=True)
    count = len(_check(program, expected, ()).points)
    for place, cut in places:
        _check(program, expected, ((int(place * count), cut),))


@settings(max_examples=12 * TIMES, derandomize=TIMES == 1)
@given(
    program=programs(size=10, with_txns=True),
    place=st.floats(0, 1),
    first=cuts,
    others=st.lists(st.tuples(st.integers(0, 25), cuts), min_size=1, max_size=3),
)
def test_a_workflow_may_be_interrupted_again_while_it_is_replayed(
    program: Program, place: float, first: Cut, others: list[tuple[int, Cut]]
) -> None:
    expected = _play(program, no_sleep=True)
    count = len(_play(program).points)
    _check(program, expected, ((int(place * count), first), *others))
