"""The books of the crash test: what clients were told, against what is there afterwards.

Rule 1. An answer with status 200 is acknowledged. Any other outcome is unknown: the change may be
        there or not, and nobody repeats it.
Rule 2. An acknowledged token is in its ledger once, at the place its answer named; so the order
        of acknowledged tokens is that of their answers.
Rule 3. A tally is at least what was acknowledged and at most that and everything unknown.
Rule 4. What an answer showed, of a change or of a question, never goes away again: nobody is
        told of what a crash can still take back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Book:
    """What is known of one actor."""

    actor: str
    key: str
    acknowledged: dict[str, int] = field(default_factory=dict[str, int])
    """The answer to each acknowledged change, by its token."""
    unknown: set[str] = field(default_factory=set[str])
    """The tokens of all changes with another outcome."""
    seen: int = 0
    """The greatest length or total that any answer showed."""
    violations: list[str] = field(default_factory=list[str])

    def note_acknowledged(self, token: str, answer: int, floor: int) -> None:
        """Enter a change; ``floor`` is what had been seen when it was asked for."""
        self.acknowledged[token] = answer
        if answer <= floor:
            self._complain(f"{token} was answered {answer}, but {floor} had been seen before")
        self.seen = max(self.seen, answer)

    def note_seen(self, answer: int, floor: int) -> None:
        """Enter the answer to a question."""
        if answer < floor:
            self._complain(f"a reader was told {answer}, but {floor} had been seen before")
        self.seen = max(self.seen, answer)

    def _complain(self, problem: str) -> None:
        self.violations.append(f"{self.actor} {self.key}: {problem}")


@dataclass
class Findings:
    """What is wrong with the actors that were read back."""

    lost: list[str] = field(default_factory=list[str])
    duplicated: list[str] = field(default_factory=list[str])
    violations: list[str] = field(default_factory=list[str])

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicated or self.violations)

    def check_ledger(self, book: Book, tokens: list[str]) -> None:
        """Compare a book with the ledger's tokens."""
        counted = Counter(tokens)
        known = book.acknowledged
        self.lost += [token for token in known if token not in counted]
        self.duplicated += [token for token, times in counted.items() if times > 1]
        self.violations += book.violations
        self.violations += [
            f"{book.key}: {token} was acknowledged as number {place}"
            for token, place in known.items()
            if token in counted and tokens[place - 1 : place] != [token]
        ]
        self.violations += [
            f"{book.key}: nobody wrote {token}"
            for token in counted.keys() - known.keys() - book.unknown
        ]
        if len(tokens) < book.seen:
            self.violations.append(f"{book.key}: {book.seen} tokens were seen, {len(tokens)} left")

    def check_tally(self, book: Book, total: int) -> None:
        """Compare a book with the tally's total."""
        told = Counter(book.acknowledged.values())
        least, most = len(book.acknowledged), len(book.acknowledged) + len(book.unknown)
        self.violations += book.violations
        self.duplicated += [f"{book.key} = {answer}" for answer in told if told[answer] > 1]
        if total < max(least, book.seen):
            self.lost.append(f"{book.key} is {total}, {least} acknowledged, {book.seen} seen")
        if total > most:
            self.duplicated.append(f"{book.key} is {total}, at most {most} were asked for")
