"""The application of the memory benchmark: an actor whose stored state is 100 bytes."""

from __future__ import annotations

from stator import Actor, action, setup

PADDING = 100 - len(b"\x81\xa7content\xd9\x00")


class Parcel(Actor):
    """Holds a text of its own, so that no two actors share it in memory."""

    state = {"content": ""}  # noqa: RUF012 - copied for each actor

    @action
    def get(self) -> int:
        """Return the length of the text."""
        return len(self.state["content"])

    @action
    def fill(self) -> int:
        """Fill the state up to 100 bytes and return the length of the text."""
        self.state["content"] = self.key[-1].rjust(PADDING, ".")
        return len(self.state["content"])


registry = setup(use={"parcel": Parcel})
