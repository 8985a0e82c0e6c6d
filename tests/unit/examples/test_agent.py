"""The agent of the examples: what it says, remembers, stops and comes back to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest

from examples.agent.app import MAX_STEPS, RESUME_S, Agent, Answer, Persona, Prompt, registry
from stator.client import Connection, Handle
from stator.testing import TestingClient, running
from tests.fakes.scripted_model import Piece, ScriptedModel, call_of, words

PROMPTS = Agent.prompts


@asynccontextmanager
async def agent_with(
    monkeypatch: pytest.MonkeyPatch, *answers: Sequence[Piece] | int
) -> AsyncGenerator[tuple[TestingClient, Handle, ScriptedModel]]:
    """Serve an agent whose model gives these answers, in order."""
    async with ScriptedModel(*answers) as model:
        monkeypatch.setenv("AGENT_BASE_URL", model.base_url)
        async with running(registry) as client:
            yield client, client.get_or_create(Agent, ["home"]), model


async def ask(agent: Handle, text: str) -> Answer:
    outcome = await agent.enqueue(PROMPTS, Prompt(text), wait=True)
    assert outcome.reply
    return outcome.reply


async def heard_first(conn: Connection) -> str:
    """Return the next piece of the answer."""
    return (await anext(conn.events(Agent.token))).text


async def roles(agent: Handle) -> list[str]:
    return [message.role for message in (await agent.call(Agent.get_talk)).messages]


async def test_a_prompt_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent_with(monkeypatch, words("Good", " day")) as (_, agent, _model):
        assert await ask(agent, "Hello") == Answer(1, "Good day", "finished")


async def test_words_are_heard_while_the_model_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent_with(monkeypatch, words("Good", " day")) as (_, agent, model):
        model.gate.clear()
        async with agent.connect() as conn:
            tokens, ended = conn.events(Agent.token), conn.events(Agent.ended)
            await agent.enqueue(PROMPTS, Prompt("Hello"))
            first = await anext(tokens)
            model.gate.set()
            second, answer = await anext(tokens), await anext(ended)

    assert (first.text, second.text) == ("Good", " day")
    assert answer == Answer(1, "Good day", "finished")


async def test_who_comes_in_the_middle_is_told_what_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with agent_with(monkeypatch, words("Good", " day")) as (_, agent, model):
        model.gate.clear()
        async with agent.connect() as conn:
            heard = asyncio.create_task(heard_first(conn))
            await agent.enqueue(PROMPTS, Prompt("Hello"))
            await heard
            talk = await agent.call(Agent.get_talk)

    assert [message.content for message in talk.messages] == ["Hello"]
    assert talk.speaking and talk.speaking.text == "Good"


async def test_the_model_is_shown_the_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent_with(monkeypatch, words("One"), words("Two")) as (_, agent, model):
        await ask(agent, "first")
        await ask(agent, "second")

    assert model.asked[1]["messages"][1:] == [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "One"},
        {"role": "user", "content": "second"},
    ]


async def test_an_agent_is_what_it_was_told_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent_with(monkeypatch, words("Arr")) as (client, _, model):
        pirate = client.get_or_create(Agent, ["pirate"], input=Persona("You are a pirate."))
        await ask(pirate, "Hello")

    assert model.asked[0]["messages"][0] == {"role": "system", "content": "You are a pirate."}


async def test_a_conversation_outlives_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent_with(monkeypatch, words("One"), words("Two")) as (client, agent, model):
        await ask(agent, "first")
        await client.testing.sleep(agent)
        await ask(agent, "second")

    assert len(model.asked[1]["messages"]) == 4


async def test_a_tool_is_used_and_its_answer_shown_to_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = call_of("calculate", expression="6 * 7")
    async with agent_with(monkeypatch, [call], words("It is 42")) as (_, agent, model):
        async with agent.connect() as conn:
            uses = conn.events(Agent.tool)
            answer = await ask(agent, "What is 6 * 7?")
            use = await anext(uses)
        kept = await roles(agent)

    assert answer.text == "It is 42"
    assert (use.name, use.result) == ("calculate", "42")
    assert model.asked[1]["messages"][-1] == {
        "role": "tool",
        "content": "42",
        "tool_call_id": "call-calculate",
    }
    assert kept == ["user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("calculate", {"expression": "1 / 0"}, "division by zero"),
        ("calculate", {"expression": "open('x')"}, "not a sum"),
        ("calculate", {}, "missing 1 required"),
        ("shout", {}, "there is no tool"),
    ],
)
async def test_a_tool_that_fails_tells_the_model(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: dict[str, str], problem: str
) -> None:
    call = call_of(name, **arguments)
    async with agent_with(monkeypatch, [call], words("Sorry")) as (_, agent, model):
        answer = await ask(agent, "Do it")

    assert answer.status == "finished"
    assert problem in model.asked[1]["messages"][-1]["content"]


async def test_what_is_remembered_can_be_recalled_later(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [call_of("remember", fact="It rains")], words("Yes"), [call_of("recall")], words("So")
    async with agent_with(monkeypatch, *script) as (client, agent, model):
        await ask(agent, "Remember")
        await client.testing.crash()
        await ask(agent, "Recall")

    assert model.asked[3]["messages"][-1]["content"] == "It rains"


async def test_a_model_that_asks_for_tools_for_ever_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with agent_with(monkeypatch, [call_of("recall")]) as (_, agent, model):
        answer = await ask(agent, "Go")

    assert answer.status == "failed"
    assert len(model.asked) == MAX_STEPS


async def test_who_stops_the_agent_keeps_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent_with(monkeypatch, words("Well", " then")) as (_, agent, model):
        model.gate.clear()
        async with agent.connect() as conn:
            heard = asyncio.create_task(heard_first(conn))
            answer = asyncio.create_task(ask(agent, "Hello"))
            await heard
            stopped = await conn.call(Agent.cancel)

        assert stopped
        assert await answer == Answer(1, "Well", "cancelled")


async def test_an_agent_that_was_stopped_answers_the_next_prompt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = words("Well", " then"), words("Fine")
    async with agent_with(monkeypatch, *script) as (_, agent, model):
        model.gate.clear()
        async with agent.connect() as conn:
            heard = asyncio.create_task(heard_first(conn))
            await agent.enqueue(PROMPTS, Prompt("first"))
            await heard
            await conn.call(Agent.cancel)
            model.gate.set()

            assert (await ask(agent, "second")).text == "Fine"


async def test_an_agent_that_is_silent_cannot_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent_with(monkeypatch, words("Yes")) as (_, agent, _model):
        await ask(agent, "Hello")

        assert not await agent.call(Agent.cancel)


async def test_a_model_that_fails_ends_the_turn_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with agent_with(monkeypatch, 401, words("Better")) as (_, agent, model):
        failed = await ask(agent, "first")
        answered = await ask(agent, "second")

    assert (failed.status, answered.text) == ("failed", "Better")
    assert "401" in failed.text
    assert "401" not in str(model.asked[1]["messages"])


async def interrupted(agent: Handle) -> None:
    """Ask, and return when the agent has begun to speak."""
    async with agent.connect() as conn:
        heard = asyncio.create_task(heard_first(conn))
        await agent.enqueue(PROMPTS, Prompt("Hello"))
        await heard


async def test_a_turn_that_a_crash_interrupted_is_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = words("Well", " then"), words("Good day")
    async with agent_with(monkeypatch, *script) as (client, agent, model):
        model.gate.clear()
        await interrupted(agent)
        await client.testing.crash()
        model.gate.set()
        await client.testing.advance(RESUME_S)  # nobody calls: the schedule wakes it
        second = await ask(agent, "And?")
        messages = (await agent.call(Agent.get_talk)).messages

    assert [each.content for each in messages] == ["Hello", "Good day", "And?", second.text]


async def test_tools_that_were_used_before_a_crash_are_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = [call_of("recall")], words("Well", " then"), words("Good day")
    async with agent_with(monkeypatch, *script) as (client, agent, model):
        model.gate.clear()
        await interrupted(agent)
        await client.testing.crash()
        model.gate.set()
        await ask(agent, "And?")
        kept = await roles(agent)

    assert kept[:4] == ["user", "assistant", "tool", "assistant"]


async def test_an_agent_that_must_sleep_stops_speaking_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = words("Well", " then"), words("Good day")
    async with agent_with(monkeypatch, *script) as (client, agent, model):
        model.gate.clear()
        await interrupted(agent)
        before = client.testing.now()
        await client.testing.sleep(agent)
        took = client.testing.now() - before
        model.gate.set()
        await client.testing.advance(RESUME_S)
        await ask(agent, "And?")
        messages = (await agent.call(Agent.get_talk)).messages

    assert took == 0
    assert [each.content for each in messages[:2]] == ["Hello", "Good day"]


async def test_an_upgrade_interrupts_an_answer_and_the_new_code_gives_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = words("Well", " then"), words("Good day")
    async with agent_with(monkeypatch, *script) as (client, agent, model):
        model.gate.clear()
        await interrupted(agent)
        before = client.testing.now()
        await client.testing.reload(registry)
        took = client.testing.now() - before
        model.gate.set()
        answer = await ask(agent, "And?")
        messages = (await agent.call(Agent.get_talk)).messages

    assert took == 0
    assert answer.turn == 2
    assert [each.content for each in messages[:2]] == ["Hello", "Good day"]


async def test_an_agent_with_nothing_to_say_sleeps_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with agent_with(monkeypatch, words("Yes")) as (client, agent, _):
        await ask(agent, "Hello")
        await client.testing.advance(2 * RESUME_S)
        first = await client.testing.is_awake(agent)
        await client.testing.advance(100 * RESUME_S)

        assert not first
        assert not await client.testing.is_awake(agent)


async def test_a_page_that_asks_is_told_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        agent_with(monkeypatch, words("Yes")) as (_, agent, _model),
        agent.connect() as conn,
    ):
        ended = conn.events(Agent.ended)
        turns = [await conn.call(Agent.ask, text) for text in ("first", "second")]
        answers = [await anext(ended) for _ in turns]

    assert turns == [1, 2]
    assert [answer.turn for answer in answers] == turns
