"""A roll: every worker is replaced by a process that loads what is on disk now.

Rule 1. A worker is told to leave only while all workers are ready, so one is missing at a time.
Rule 2. A worker is done once a process of it was started after the roll began, also if the one
        before died of itself.
Rule 3. A replaced worker is watched for a time from when it is ready; the next is told to leave
        once that is over. With a time of 0 nobody is watched.
Rule 4. A process that was started after the roll began and ends before it is ready, or while it
        is watched, stops the roll: the other workers go on with what they have loaded.
Rule 5. So does a replaced worker in which actors failed to start and none started while it was
        watched. The last one is not watched: nobody is left who could keep the old code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .policy import Phase


class Progress(NamedTuple):
    """How far the supervisor is with a worker, and how its last process does."""

    phase: Phase
    generation: int
    """Of its last process."""
    ready_for: float = 0.0
    """Seconds from when that was ready to its last sign of life."""
    starts: int = 0
    """Actors that started in it, as of that sign of life."""
    failures: int = 0
    """Actors that failed to start in it, as of that sign of life."""


class Roll:
    """One roll, from its beginning; workers are known by their index."""

    def __init__(self, generations: Sequence[int], watch: float = 0.0) -> None:
        """``generations`` are those of the workers when the roll begins; ``watch`` in seconds."""
        self._before = tuple(generations)
        self._watch = watch

    def is_over(self, workers: Sequence[Progress]) -> bool:
        """Whether every worker was replaced and is ready."""
        return _all_ready(workers) and not self._left(workers)

    def whose_turn(self, workers: Sequence[Progress]) -> int | None:
        """Return the worker to be told to leave now; ``None`` if others are to be waited for.

        Ask ``who_fails`` first.
        """
        left = self._left(workers)
        if not left or not _all_ready(workers):
            return None
        is_watching = any(workers[index].ready_for < self._watch for index in self._done(workers))
        return None if is_watching else left[0]

    def who_fails(self, workers: Sequence[Progress]) -> int | None:
        """Return the replaced worker whose actors stop the roll (rule 5), if there is one."""
        for index in self._done(workers) if self._watch and self._left(workers) else ():
            worker = workers[index]
            was_watched = worker.phase is Phase.READY and worker.ready_for >= self._watch
            if was_watched and worker.failures and not worker.starts:
                return index
        return None

    def is_stopped_by(self, worker: int, generation: int, ready_for: float | None) -> bool:
        """Whether the end of this generation of a worker stops the roll (rule 4).

        ``ready_for`` is ``None`` if it never was.
        """
        was_proven = ready_for is not None and ready_for >= self._watch
        return generation > self._before[worker] and not was_proven

    def _left(self, workers: Sequence[Progress]) -> list[int]:
        pairs = zip(self._before, workers, strict=True)
        return [
            index for index, (before, worker) in enumerate(pairs) if worker.generation <= before
        ]

    def _done(self, workers: Sequence[Progress]) -> list[int]:
        left = self._left(workers)
        return [index for index in range(len(workers)) if index not in left]


def _all_ready(workers: Sequence[Progress]) -> bool:
    return all(worker.phase is Phase.READY for worker in workers)
