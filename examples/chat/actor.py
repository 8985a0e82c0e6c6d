"""The chat room: durable history, presence from the connections, typing indicators.

What is where, and why:

* messages are state: on disk before anybody sees them;
* a guest's name is the state of their connection: it outlives sleep and crashes with it;
* who is typing is a variable: after a crash nobody is, and every page is told so.
"""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from stator import Actor, Conn, Event, Options, UserError, action

HISTORY = 200
"""How many messages a room keeps."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class Message(msgspec.Struct):
    """One message."""

    id: int
    """Counts up from 1 in each room, without gaps: a page sees that it missed one."""
    author: str
    text: str
    sent_at: float
    """Unix seconds."""
    token: str = ""
    """Chosen by the sender: what is sent twice with one token is one message."""


class RoomState(msgspec.Struct):
    """What a room remembers."""

    topic: str = ""
    last_id: int = 0
    messages: list[Message] = []


class Introduction(msgspec.Struct):
    """The parameters of a connection."""

    name: Name


class Guest(msgspec.Struct):
    """The state of a connection; without a name it only looks on."""

    name: str = ""
    came_at: float = 0.0


class Person(msgspec.Struct):
    """Somebody who is here; two connections of one name are two of them."""

    id: str
    """The connection's."""
    name: str


class Presence(msgspec.Struct):
    """Who is here and what was said last; sent whenever the first may have changed."""

    people: list[Person]
    last_id: int
    """Tells a page that came back whether it missed messages."""


class ChatRoom(Actor, rename="camel"):
    """One room per key; keeps the last messages."""

    options = Options(name="Chat room", icon="comments")
    state: RoomState
    conn_state: Guest
    vars: set[str]
    """The ids of the connections that are typing."""

    message = Event[Message]()
    presence = Event[Presence]()
    typing = Event[list[Person]]()

    def create_state(self, input: dict[str, str] | None) -> RoomState:  # noqa: A002 - hook signature
        """Take the topic from the room's creator."""
        return RoomState(topic=(input or {}).get("topic", ""))

    # -- coming and going

    def create_conn_state(self, params: Introduction | None) -> Guest:
        """Keep the name with the connection."""
        return Guest(params.name, time.time()) if params else Guest()

    def on_connect(self, conn: Conn) -> None:
        """Tell the others who came."""
        if _is_present(conn):
            self.broadcast(self.presence, self.get_presence())

    def on_disconnect(self, conn: Conn) -> None:
        """Tell the others who left."""
        if _is_present(conn):
            self._note_typing(conn.id, False)
            self.broadcast(self.presence, self.get_presence())

    def on_wake(self) -> None:
        """Tell those whose connections outlived this room's sleep, or its crash, how it is now."""
        self.broadcast(self.presence, self.get_presence())
        self.broadcast(self.typing, [])

    @action
    def get_presence(self) -> Presence:
        """Return who is here, the longest first, and the id of the last message."""
        here = sorted(
            (conn for conn in self.conns.values() if _is_present(conn)),
            key=lambda conn: (conn.state.came_at, conn.id),
        )
        return Presence([_person(conn) for conn in here], self.state.last_id)

    # -- talking

    @action
    def send_message(self, author: str, text: str, token: str = "") -> Message:
        """Add a message and return it; ``author`` is for callers that gave no name on connecting.

        A sender that does not know whether a message arrived sends it again with the same token.
        """
        if not text.strip():
            raise UserError("A message needs a text", code="empty_message", metadata={"min": 1})
        if known := self._find(token):
            return known
        self.state.last_id += 1
        name = (self.conn and self.conn.state.name) or author
        message = Message(self.state.last_id, name, text, time.time(), token)
        self.state.messages.append(message)
        del self.state.messages[:-HISTORY]
        self.broadcast(self.message, message)
        return message

    def _find(self, token: str) -> Message | None:
        if not token:
            return None
        return next((each for each in self.state.messages if each.token == token), None)

    @action
    def get_messages(self, after: int = 0) -> list[Message]:
        """Return the messages with a greater id than ``after``."""
        return [message for message in self.state.messages if message.id > after]

    @action
    def get_history(self, before: int = 0, limit: int = 50) -> list[Message]:
        """Return the last messages, or the last with a smaller id than ``before``."""
        older = [each for each in self.state.messages if not before or each.id < before]
        return older[-limit:] if limit > 0 else []

    @action
    def set_typing(self, typing: bool) -> None:
        """Say whether the caller is typing; only those who gave a name are shown."""
        if self.conn and _is_present(self.conn):
            self._note_typing(self.conn.id, typing)

    def _note_typing(self, conn_id: str, typing: bool) -> None:
        if typing == (conn_id in self.vars):
            return
        (self.vars.add if typing else self.vars.discard)(conn_id)
        typists = [_person(conn) for conn in self.conns.values() if conn.id in self.vars]
        self.broadcast(self.typing, typists)

    @action
    def get_topic(self) -> str:
        """Return the room's topic."""
        return self.state.topic


def _is_present(conn: Conn) -> bool:
    """Whether somebody stays: a call over HTTP has a connection too, but only for a moment."""
    return conn.is_hibernatable and bool(conn.state.name)


def _person(conn: Conn) -> Person:
    return Person(conn.id, conn.state.name)
