"""An AI agent: one actor for each conversation.

* Prompts come by a durable queue: none is lost, and they are answered one after the other.
* Words go out as events while the model speaks; they are nobody's state.
* The conversation is in the agent's own database: see ``conversation.py``.
* A turn is completed when its answer is on disk. One that a crash or an upgrade interrupted is
  still in the queue and is taken again, from the last message that was kept.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from stator import Actor, Database, Event, Options, Queue, action, setup

from .conversation import MIGRATIONS, Conversation, Message, Status
from .model import Model, ModelFailed, Settings
from .tools import describe_tools, use_tool

MAX_STEPS = 8
"""How often the model may ask for tools in one turn."""
RESUME_S = 30.0

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]


class Prompt(msgspec.Struct):
    """What the user says."""

    text: Text


class Answer(msgspec.Struct):
    """How a turn ended."""

    turn: int
    text: str
    status: Status


class Speech(msgspec.Struct):
    """Words of the user, or a few words of the answer while the model speaks."""

    turn: int
    text: str


class ToolUse(msgspec.Struct):
    """The agent used a tool."""

    turn: int
    name: str
    arguments: str
    result: str


class Talk(msgspec.Struct):
    """The conversation so far."""

    messages: list[Message]
    speaking: Speech | None
    """What was said of the answer that is under way."""


class Persona(msgspec.Struct):
    """What the agent is told about itself; the input of its creation."""

    instructions: str = "You are a helpful assistant. Use tools where they help."


class Agent(Actor, rename="camel"):
    """Answers the prompts of one conversation."""

    options = Options(name="Agent", icon="robot", action_timeout=600.0, sleep_timeout=10.0)
    state: Persona
    db = Database(migrations=MIGRATIONS)

    prompts = Queue[Prompt, Answer]()
    started = Event[Speech]()
    token = Event[Speech]()
    tool = Event[ToolUse]()
    ended = Event[Answer]()

    def create_state(self, input: Persona | None) -> Persona:  # noqa: A002 - hook signature
        """Take the persona from whoever begins the conversation."""
        return input or Persona()

    def on_wake(self) -> None:
        """Get ready. Nothing of this is kept: what must be is state, queue or database."""
        self.conversation = Conversation(self.db, self.state.instructions)
        self.model = Model(Settings.from_environment())
        self.speaking: Speech | None = None
        self.answering: asyncio.Task[Answer] | None = None

    async def run(self) -> None:
        """Answer one prompt after the other until the actor sleeps."""
        async for prompt in self.queue.iter(self.prompts, completable=True):
            answer = await self._take_turn(prompt.id, prompt.body.text)
            if answer is None:
                return  # not completed: the next life takes this turn again
            await prompt.complete(answer)
            self.speaking = self.answering = None

    async def _take_turn(self, turn: int, prompt: str) -> Answer | None:
        self.speaking, self.is_cancelled = Speech(turn, ""), False
        self.answering = asyncio.create_task(self._answer(turn, prompt))
        try:
            return await self.answering
        except asyncio.CancelledError:
            if not self.is_cancelled:
                return None
            return await self._end(turn, self.speaking.text, "cancelled")
        except ModelFailed as error:
            return await self._end(turn, str(error), "failed")

    def on_sleep(self) -> None:
        """Stop speaking at once: there is a turn to come back to."""
        if self.answering:
            self.answering.cancel()

    async def _answer(self, turn: int, prompt: str) -> Answer:
        # A schedule wakes an actor, a message that waits does not: after a crash this one does.
        await self.cron.every(name="resume", interval=RESUME_S, action=self.resume, max_history=0)
        if ended := await self.conversation.begin(turn, prompt):
            return Answer(turn, ended.content, ended.status or "finished")
        self.broadcast(self.started, Speech(turn, prompt))
        for _ in range(MAX_STEPS):
            self.speaking = Speech(turn, "")
            history = await self.conversation.for_the_model()
            reply = await self.model.ask(history, describe_tools(), self._hear)
            if not reply.calls:
                return await self._end(turn, reply.text, "finished")
            results: list[str] = []
            for call in reply.calls:
                results.append(await use_tool(self.db, call.name, call.arguments))
                used = ToolUse(turn, call.name, call.arguments, results[-1])
                self.broadcast(self.tool, used)
            await self.conversation.add_tools(turn, reply, results)
        raise ModelFailed(f"the model came to no end in {MAX_STEPS} steps")

    def _hear(self, text: str) -> None:
        if self.speaking:
            self.speaking.text += text
            self.broadcast(self.token, Speech(self.speaking.turn, text))

    async def _end(self, turn: int, text: str, status: Status) -> Answer:
        ended = await self.conversation.end(turn, text, status)
        answer = Answer(turn, ended.content, ended.status or status)
        self.broadcast(self.ended, answer)
        return answer

    @action
    async def ask(self, text: Text) -> int:
        """Put a prompt into the queue, once that is durable return the turn it will be.

        For pages, which have a connection; who wants to wait for the answer uses the queue itself.
        """
        return await self.queue.send(self.prompts, Prompt(text))

    @action
    async def get_talk(self) -> Talk:
        """Return what was said last, and what is being said right now."""
        return Talk(await self.conversation.transcript(), self.speaking)

    @action
    def cancel(self) -> bool:
        """Stop speaking, keep what was said, go on with the next prompt; say whether it spoke."""
        self.is_cancelled = self.answering is not None and self.answering.cancel()
        return self.is_cancelled

    @action
    async def resume(self) -> None:
        """Be awake; once all prompts are answered, end the schedule that calls this."""
        if self.speaking is None:
            await self.cron.delete("resume")


registry = setup(use={"agent": Agent})
