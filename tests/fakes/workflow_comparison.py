"""What two runs of one generated program have in common, whatever interrupted them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from tests.fakes.workflow_programs import Program
from tests.fakes.workflow_world import Effect, Outcome


def differences(program: Program, expected: Outcome, found: Outcome) -> list[str]:
    """Return what is wrong with ``found``; ``expected`` is of a run that nothing interrupted."""
    return [*found.complaints, *_Comparison(program, expected, found).all()]


class _Comparison:
    def __init__(self, program: Program, expected: Outcome, found: Outcome) -> None:
        self._program = program
        self._expected = expected
        self._found = found
        self._strands = {place.key: place.strand for _, place in program.all()}
        self._is_strict = program.is_sequential and program.is_logged

    def all(self) -> Iterator[str]:
        """Give all differences."""
        expected, found = self._expected, self._found
        for name in ("status", "output", "error", "left"):
            yield from _differ(name, getattr(expected, name), getattr(found, name))
        yield from _differ("steps", _sure(expected.steps), _sure(found.steps))
        yield from _differ("txns", _sure(expected.txns), _sure(found.txns))
        yield from _differ("rows", _sure(expected.rows), _sure(found.rows))
        yield from _differ("effects", _keys(expected), _keys(found))
        yield from _differ_within("history", _history(expected), _history(found))
        yield from self._exactly_once()
        yield from self._noted()
        for body, reply in found.replies.items():
            yield from _differ(f"reply to {body}", expected.replies.get(body, "none"), reply)
        if self._program.is_logged:
            orders = self._orders(expected), self._orders(found)
            yield from _differ_within("order", *orders)

    def _exactly_once(self) -> Iterator[str]:
        """Transactions, also those that a race might have cut off."""
        for key, count in Counter(self._found.rows).items():
            if count > 1:
                yield f"the transaction {key} inserted {count} rows"
        for key, count in self._found.txns.items():
            if count > 1:
                yield f"the transaction {key} changed the state {count} times"

    def _noted(self) -> Iterator[str]:
        """What a step did to the state is in one commit with its outcome: no more and no less,
        unless others commit at the same time."""
        for key, count in filter(lambda item: _is_sure(item[0]), self._found.noted.items()):
            kept = self._found.steps.get(key, 0)
            is_exact = self._is_strict and not key.endswith("/undo")
            if kept < count or (is_exact and kept > count):
                yield f"the state has {key} {kept} times, history {count} times"

    def _orders(self, outcome: Outcome) -> dict[str, list[str]]:
        """Return the order of effects in each strand, repetitions of the last one left out. That
        of undo handlers is that of the steps' ends, so only in a program of one strand is it
        certain."""
        strands: dict[str, list[Effect]] = {}
        for effect in outcome.effects:
            is_undo = effect.key.endswith("/undo")
            if _is_sure(effect.key) and not (is_undo and not self._program.is_sequential):
                strand = self._strands[effect.key.removesuffix("/undo")]
                strands.setdefault(strand, []).append(effect)
        return {strand: _order(effects) for strand, effects in strands.items()}


def _is_sure(key: str) -> bool:
    """Whether it depends on nothing: not in a branch that loses, nor a promise that somebody
    resolved once more when it was forgotten."""
    return "/loser" not in key and not key.startswith("=")


def _sure(keys: Iterable[str]) -> list[str]:
    return sorted(filter(_is_sure, keys))


def _keys(outcome: Outcome) -> set[str]:
    return {effect.key for effect in outcome.effects if _is_sure(effect.key)}


def _history(outcome: Outcome) -> dict[str, tuple[str, str, str]]:
    return {key: told for key, told in outcome.history.items() if _is_sure(key)}


def _order(effects: Iterable[Effect]) -> list[str]:
    return [key for key, _ in groupby(effect.key for effect in effects)]


def _differ_within(
    name: str, expected: Mapping[str, object], found: Mapping[str, object]
) -> Iterator[str]:
    for key in sorted({*expected, *found}):
        yield from _differ(f"{name} of {key}", expected.get(key), found.get(key))


def _differ(name: str, expected: object, found: object) -> Iterator[str]:
    if expected != found:
        yield f"{name}: {expected} became {found}"
