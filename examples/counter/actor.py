"""The counter: durable state, two actions."""

from __future__ import annotations

from stator import Actor, action


class Counter(Actor):
    """Counts. What ``increment`` returned is on disk, whatever happens next."""

    state = {"count": 0}  # noqa: RUF012 - copied for each actor

    @action
    def increment(self, amount: int = 1) -> int:
        """Add ``amount`` and return the total."""
        self.state["count"] += amount
        return self.state["count"]

    @action
    def get(self) -> int:
        """Return the total."""
        return self.state["count"]
