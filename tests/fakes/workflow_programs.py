"""Workflow programs as data, and how they are drawn: the material of the randomised test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from stator.workflow import Workflow
from tests.fakes.workflow_block_nodes import First, Forever, Gate, Gather, Limit, Map, Repeat, Scope
from tests.fakes.workflow_nodes import (
    Await,
    Boom,
    DoStep,
    DoTxn,
    Node,
    Nodes,
    Place,
    Receive,
    ReceiveNothing,
    Sleep,
    Start,
    Undo,
    cost_of,
    play_all,
    walk,
)

MOST_SECONDS = 1e6
"""Far less than for ever."""


@dataclass(frozen=True)
class Program:
    """What a workflow does from its beginning to its end."""

    nodes: Nodes
    fails: bool = False
    """Whether it raises in the end, so that what it did outside of sagas is undone."""
    interval: float = 0.0
    """Seconds between the messages and resolutions from outside."""

    async def play(self, player: Any, wf: Workflow) -> Any:
        """Do all of it."""
        done = await play_all(self.nodes, player, wf, Place())
        if self.fails:
            raise Boom("in the end")
        return done

    def all(self) -> list[tuple[Node, Place]]:
        """Return all that is played, each with its place."""
        return list(walk(self.nodes, Place()))

    @property
    def is_sequential(self) -> bool:
        """Whether nothing of it happens side by side."""
        return not any(isinstance(node, Gather | Map | First) for node, _ in self.all())

    @property
    def is_logged(self) -> bool:
        """Whether all of a strand is on disk before anything of it has an effect."""
        steps = (node for node, _ in self.all() if isinstance(node, DoStep))
        return all(step.start == "logged" for step in steps)


# ---------------------------------------------------------------------------------- drawing


_undos: st.SearchStrategy[Undo] = st.sampled_from(["none", "method", "closure"])


def _steps(starts: Sequence[Start]) -> st.SearchStrategy[Node]:
    return st.builds(
        DoStep,
        fails=st.sampled_from([0, 0, 0, 1, 2]),
        ending=st.sampled_from(["ok", "ok", "ok", "fatal", "exhausted"]),
        body=st.sampled_from(["quick", "quick", "slow", "plain"]),
        start=st.sampled_from(starts),
        undo=_undos,
        undo_fails=st.sampled_from([0, 0, 1]),
        is_attempt=st.booleans(),
    )


_starts: st.SearchStrategy[tuple[Start, ...]] = st.sampled_from(
    [("logged",), ("logged",), ("logged",), ("logged", "unlogged", "buffered")]
)
_txns = st.builds(
    DoTxn,
    fails=st.sampled_from([0, 0, 1]),
    ending=st.sampled_from(["ok", "ok", "ok", "fatal", "exhausted"]),
    changes_state=st.booleans(),
    undo=_undos,
    undo_fails=st.sampled_from([0, 0, 1]),
)
_sleeps = st.builds(Sleep, st.sampled_from([0.0, 0.5, 5.0, 100.0]))
_forevers: st.SearchStrategy[Forever] = st.sampled_from(["after", "receive", "promise", "saga"])


def _lists(nodes: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Nodes]:
    return st.lists(nodes, max_size=most).map(tuple)


def _leaves(starts: Sequence[Start], *, with_txns: bool) -> st.SearchStrategy[Node]:
    """Give what asks for nothing from outside."""
    steps = _steps(starts)
    some: list[st.SearchStrategy[Node]] = [steps, steps, _sleeps]
    some += [st.builds(ReceiveNothing), st.builds(Gate)]
    return st.one_of(*some, _txns) if with_txns else st.one_of(*some)


def _loops(nodes: st.SearchStrategy[Nodes]) -> st.SearchStrategy[Node]:
    return st.builds(
        Repeat,
        turns=st.integers(1, 3),
        keep=st.sampled_from([0, 1, 20]),
        breaks=st.booleans(),
        body=nodes,
    )


def _blocks(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Give what may be anywhere, also in what is played several times at once."""
    nodes = _lists(inner, 3)
    return st.one_of(
        _loops(nodes),
        st.builds(Scope, kind=st.sampled_from(["scope", "saga", "failing", "failing"]), body=nodes),
        st.builds(
            Gather,
            branches=st.lists(nodes, min_size=1, max_size=3).map(tuple),
            fails=st.booleans(),
        ),
        st.builds(
            Map,
            items=st.integers(0, 3),
            concurrency=st.sampled_from([None, 1, 2]),
            body=nodes,
        ),
        st.builds(First, winner=nodes, loser=nodes, forever=_forevers),
        st.builds(Limit, expires=st.booleans(), forever=_forevers, body=nodes),
    )


def _outer_blocks(
    inner: st.SearchStrategy[Node], closed: st.SearchStrategy[Node]
) -> st.SearchStrategy[Node]:
    """Give blocks in which messages and promises may be asked for; ``closed`` asks for none."""
    nodes, silent = _lists(inner, 3), _lists(closed, 3)
    return st.one_of(
        _loops(nodes),
        st.builds(Scope, kind=st.sampled_from(["scope", "saga", "failing"]), body=nodes),
        st.builds(
            Gather,
            branches=st.lists(nodes, min_size=1, max_size=3).map(tuple),
            fails=st.booleans(),
        ),
        st.builds(First, winner=nodes, loser=silent, forever=_forevers),
        st.builds(Limit, expires=st.booleans(), forever=_forevers, body=nodes),
    )


def programs(*, size: int, with_txns: bool) -> st.SearchStrategy[Program]:
    """Give programs of about so many nodes; those with transactions need a database."""
    return _starts.flatmap(lambda starts: _programs(starts, size, with_txns=with_txns))


def _programs(starts: Sequence[Start], size: int, *, with_txns: bool) -> st.SearchStrategy[Program]:
    leaves = _leaves(starts, with_txns=with_txns)
    closed = st.recursive(leaves, _blocks, max_leaves=max(2, size // 2))
    receives = st.builds(
        Receive,
        mode=st.sampled_from(["plain", "complete", "auto", "raise"]),
        body=_lists(leaves.filter(lambda node: not isinstance(node, ReceiveNothing)), 2),
        many=st.booleans(),
    )
    asking = st.one_of(leaves, leaves, receives, st.builds(Await))
    nodes = st.recursive(
        asking, lambda inner: st.one_of(_outer_blocks(inner, closed), closed), max_leaves=size
    )
    return st.builds(
        Program,
        nodes=st.lists(nodes, min_size=1, max_size=5).map(tuple),
        fails=st.sampled_from([False, False, False, True]),
        interval=st.sampled_from([0.0, 40.0]),
    ).filter(lambda program: cost_of(program.nodes) < MOST_SECONDS)
