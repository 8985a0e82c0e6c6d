"""The board on which everybody sees everybody's cursor move.

Nothing here is state: positions are not worth a disk write, so a move is answered at once.
Names and colours belong to connections and outlive a crash with them; a position does not, and
stays where it was on every page until its cursor moves again.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from stator import Actor, Conn, Event, Options, action

COLOURS = ("#ce2c31", "#0d74ce", "#218358", "#cc4e00", "#8145b5", "#c2298a", "#107d98", "#815e46")
"""Given out in turn; legible under white text."""

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""Of the board's width or height."""


class Introduction(msgspec.Struct):
    """The parameters of a connection."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class Look(msgspec.Struct):
    """The state of a connection: what its cursor looks like."""

    name: str
    colour: str


class Move(msgspec.Struct):
    """A cursor is somewhere else."""

    id: str
    """The connection's."""
    x: float
    y: float


class Cursor(msgspec.Struct):
    """A cursor on the board; no position is known before it moved."""

    id: str
    """The connection's."""
    name: str
    colour: str
    x: float | None
    y: float | None


class CursorRoom(Actor, rename="camel"):
    """One board per key."""

    options = Options(name="Shared cursors", icon="arrow-pointer")
    conn_state: Look | None
    vars: dict[str, tuple[float, float]]
    """Where the cursors are, by connection."""

    moved = Event[Move]()
    cursors = Event[list[Cursor]]()
    """All of them, whenever one came or went."""

    def create_conn_state(self, params: Introduction | None) -> Look | None:
        """Choose the colour that the fewest others have; who gave no name only looks on."""
        if params is None:
            return None
        taken = [conn.state.colour for conn in self.conns.values() if conn.state]
        return Look(params.name, min(COLOURS, key=taken.count))

    def on_connect(self, conn: Conn) -> None:
        """Show everybody the new cursor."""
        if conn.state:
            self.broadcast(self.cursors, self.get_cursors())

    def on_disconnect(self, conn: Conn) -> None:
        """Take the cursor away."""
        if conn.state:
            self.vars.pop(conn.id, None)
            self.broadcast(self.cursors, self.get_cursors())

    def on_wake(self) -> None:
        """Show the cursors that outlived this board's sleep, or its crash, who is still there."""
        self.broadcast(self.cursors, self.get_cursors())

    @action
    def get_cursors(self) -> list[Cursor]:
        """Return all cursors."""
        return [
            Cursor(
                conn.id, conn.state.name, conn.state.colour, *self.vars.get(conn.id, (None, None))
            )
            for conn in self.conns.values()
            if conn.state
        ]

    @action
    def move(self, x: Fraction, y: Fraction) -> None:
        """Move the caller's cursor; for connections that gave a name."""
        if self.conn and self.conn.state:
            self.vars[self.conn.id] = (x, y)
            self.broadcast(self.moved, Move(self.conn.id, x, y))
