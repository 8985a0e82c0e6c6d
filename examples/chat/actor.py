"""The chat room: typed state, validation, errors a caller can act on."""

from __future__ import annotations

import time

import msgspec

from stator import Actor, Options, UserError, action

HISTORY = 200
"""How many messages a room keeps."""


class Message(msgspec.Struct):
    """One message."""

    id: int
    author: str
    text: str
    sent_at: float
    """Unix seconds."""


class Room(msgspec.Struct):
    """What a room remembers."""

    topic: str = ""
    last_id: int = 0
    messages: list[Message] = []


class ChatRoom(Actor, rename="camel"):
    """One room per key; keeps the last messages."""

    options = Options(name="Chat room", icon="comments")
    state: Room

    def create_state(self, input: dict[str, str] | None) -> Room:  # noqa: A002 - hook signature
        """Take the topic from the room's creator."""
        return Room(topic=(input or {}).get("topic", ""))

    @action
    def send_message(self, author: str, text: str) -> Message:
        """Add a message and return it."""
        if not text.strip():
            raise UserError("A message needs a text", code="empty_message", metadata={"min": 1})
        self.state.last_id += 1
        message = Message(self.state.last_id, author, text, time.time())
        self.state.messages.append(message)
        del self.state.messages[:-HISTORY]
        return message

    @action
    def get_messages(self, after: int = 0) -> list[Message]:
        """Return the messages with a greater id than ``after``."""
        return [message for message in self.state.messages if message.id > after]

    @action
    def get_topic(self) -> str:
        """Return the room's topic."""
        return self.state.topic
