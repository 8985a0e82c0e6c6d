"""The counter: durable state, two actions, an event."""

from __future__ import annotations

from stator import Actor, Event, action


class Counter(Actor):
    """Counts. What ``increment`` returned is on disk, whatever happens next."""

    state = {"count": 0}  # noqa: RUF012 - copied for each actor

    changed = Event[int]()

    @action
    def increment(self, amount: int = 1) -> int:
        """Add ``amount``, tell all who listen, and return the total."""
        self.state["count"] += amount
        self.broadcast(self.changed, self.state["count"])
        return self.state["count"]

    @action
    def get(self) -> int:
        """Return the total."""
        return self.state["count"]
