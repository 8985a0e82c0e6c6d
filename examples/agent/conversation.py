"""The conversation as it is kept: one row for each message, in the agent's own database.

Rule 1. A turn is a prompt and all that is said and done until its answer. Its id is that of the
        message in the queue, so a turn that is taken twice is one turn.
Rule 2. What the model asked of tools and what they answered is one transaction: no model is ever
        shown a question without its answer.
Rule 3. The last message of a turn that has ended has a status, the others have none.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stator.runtime.database import ActorDatabase, Statements

from .model import Reply

MIGRATIONS = (
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        turn INTEGER NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'tool')),
        content TEXT NOT NULL,
        call TEXT,      -- of what a tool answered: the call's id
        calls TEXT,     -- of an assistant that asks for tools: the calls, as JSON
        status TEXT CHECK (status IN ('finished', 'cancelled', 'failed'))
    ) STRICT;
    CREATE INDEX messages_of_a_turn ON messages (turn);
    CREATE TABLE facts (id INTEGER PRIMARY KEY, fact TEXT NOT NULL UNIQUE) STRICT;
    """,
)

REMEMBERED = 40
"""How many messages the model is shown at most."""
SHOWN = 200
"""How many messages a page is shown."""

Status = Literal["finished", "cancelled", "failed"]


class Message(msgspec.Struct):
    """A row."""

    id: int
    turn: int
    role: Literal["user", "assistant", "tool"]
    content: str
    call: str | None = None
    calls: str | None = None
    status: Status | None = None


class Conversation:
    """Reads and writes the messages."""

    def __init__(self, db: ActorDatabase, instructions: str) -> None:
        self._db = db
        self._instructions = instructions

    async def begin(self, turn: int, prompt: str) -> Message | None:
        """Keep the prompt, unless it is; return how the turn ended, if it has."""
        rows = await self._read("WHERE turn = ? ORDER BY id", turn)
        if not rows:
            await self._add(self._db, turn, "user", prompt)
        return rows[-1] if rows and rows[-1].status else None

    async def add_tools(self, turn: int, reply: Reply, results: list[str]) -> None:
        """Keep what the model asked of tools, with what they answered (rule 2)."""
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in reply.calls
        ]
        async with self._db.transaction() as tx:
            as_json = msgspec.json.encode(calls).decode()
            await self._add(tx, turn, "assistant", reply.text, calls=as_json)
            for call, result in zip(reply.calls, results, strict=True):
                await self._add(tx, turn, "tool", result, call=call.id)

    async def end(self, turn: int, text: str, status: Status) -> Message:
        """Keep the answer, unless there is one; return the one that is kept."""
        await self._db.execute(
            "INSERT INTO messages (turn, role, content, status) SELECT ?, 'assistant', ?, ? "
            "WHERE NOT EXISTS (SELECT 1 FROM messages WHERE turn = ? AND status IS NOT NULL)",
            turn,
            text,
            status,
            turn,
        )
        (ended,) = await self._read("WHERE turn = ? AND status IS NOT NULL", turn)
        return ended

    async def transcript(self) -> list[Message]:
        """Return the last messages."""
        return (await self._read("ORDER BY id DESC LIMIT ?", SHOWN))[::-1]

    async def for_the_model(self) -> list[dict[str, Any]]:
        """Return the last messages as the chat completion API wants them, from a prompt on."""
        rows = await self._read("WHERE status IS NOT 'failed' ORDER BY id DESC LIMIT ?", REMEMBERED)
        rows.reverse()
        while rows and rows[0].role != "user":
            del rows[0]
        return [{"role": "system", "content": self._instructions}, *map(_for_the_model, rows)]

    async def _read(self, condition: str, *args: Any) -> list[Message]:
        rows = await self._db.execute(f"SELECT * FROM messages {condition}", *args)
        return [msgspec.convert(dict(row), Message) for row in rows]

    async def _add(
        self,
        db: Statements,
        turn: int,
        role: str,
        content: str,
        *,
        call: str | None = None,
        calls: str | None = None,
    ) -> None:
        await db.execute(
            "INSERT INTO messages (turn, role, content, call, calls) VALUES (?, ?, ?, ?, ?)",
            turn,
            role,
            content,
            call,
            calls,
        )


def _for_the_model(message: Message) -> dict[str, Any]:
    form: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.call is not None:
        form["tool_call_id"] = message.call
    if message.calls is not None:
        form["tool_calls"] = msgspec.json.decode(message.calls)
    return form
