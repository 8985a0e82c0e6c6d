"""The application of the realtime benchmark: one place where many listen."""

from __future__ import annotations

import msgspec

from stator import Actor, Event, action, setup

NEWS_SIZE = 100
"""Characters of an event, unless told."""


def text_of(size: int) -> str:
    """Return what an event of this size says."""
    return "n" * size


class Tally(msgspec.Struct):
    """What a plaza stores."""

    count: int = 0


class Plaza(Actor):
    """Counts and shouts."""

    state: Tally

    news = Event[str]()

    @action
    def get(self) -> int:
        """Return the count; changes nothing."""
        return self.state.count

    @action
    def increment(self) -> int:
        """Add one and return the count; durable before it is answered."""
        self.state.count += 1
        return self.state.count

    @action
    def shout(self, size: int = NEWS_SIZE) -> int:
        """Send everybody a text of this size; changes nothing."""
        self.broadcast(self.news, text_of(size))
        return size


registry = setup(use={"plaza": Plaza})
