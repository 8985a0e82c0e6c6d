"""A roll: every worker is replaced by a process that loads what is on disk now.

Rule 1. A worker is told to leave only while all workers are ready, so one is missing at a time.
Rule 2. A worker is done once a process of it was started after the roll began, also if the one
        before died of itself.
Rule 3. A process that was started after the roll began and ends before it is ready stops the
        roll: the other workers go on with what they have loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from .policy import Phase

Progress = tuple[Phase, int]
"""How far the supervisor is with a worker, and the generation of its last process."""


class Roll:
    """One roll, from its beginning; workers are known by their index."""

    def __init__(self, generations: Sequence[int]) -> None:
        """``generations`` are those of the workers when the roll begins."""
        self._before = tuple(generations)

    def is_over(self, workers: Sequence[Progress]) -> bool:
        """Whether every worker was replaced and is ready."""
        return _all_ready(workers) and not self._left(workers)

    def whose_turn(self, workers: Sequence[Progress]) -> int | None:
        """Return the worker to be told to leave now; ``None`` if another must be ready first."""
        left = self._left(workers)
        return left[0] if left and _all_ready(workers) else None

    def is_stopped_by(self, worker: int, generation: int) -> bool:
        """Whether a failed start of this generation of a worker stops the roll (rule 3)."""
        return generation > self._before[worker]

    def _left(self, workers: Sequence[Progress]) -> list[int]:
        pairs = zip(self._before, workers, strict=True)
        return [index for index, (before, (_, now)) in enumerate(pairs) if now <= before]


def _all_ready(workers: Sequence[Progress]) -> bool:
    return all(phase is Phase.READY for phase, _ in workers)
