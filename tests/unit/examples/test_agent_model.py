"""How the agent's model client and its stand-in speak the chat completion API."""

from __future__ import annotations

from typing import Any

import pytest

from examples.agent.model import ATTEMPTS, Model, ModelFailed, Reply, Settings, ToolCall
from examples.agent.stand_in import StandIn
from examples.agent.tools import describe_tools
from tests.fakes.scripted_model import Piece, ScriptedModel, call_of, words

HELLO = [{"role": "user", "content": "Hello"}]


async def ask(model: ScriptedModel, heard: list[str] | None = None) -> Reply:
    """Return the reply to a greeting; what is heard of it before is added to ``heard``."""
    settings = Settings(model.base_url, "tiny", "secret")
    return await Model(settings).ask(HELLO, [], (heard if heard is not None else []).append)


async def test_an_answer_is_heard_piece_by_piece() -> None:
    heard: list[str] = []
    async with ScriptedModel(words("Good", " day")) as model:
        reply = await ask(model, heard)

    assert (heard, reply) == (["Good", " day"], Reply("Good day"))


async def test_the_request_is_that_of_the_api() -> None:
    async with ScriptedModel(words("Good day")) as model:
        await ask(model)

    assert model.asked == [{"model": "tiny", "messages": HELLO, "stream": True}]
    assert model.keys == ["Bearer secret"]


async def test_a_call_of_a_tool_comes_in_pieces() -> None:
    pieces: list[Piece] = [
        {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "add", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "now"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
    ]
    async with ScriptedModel(pieces) as model:
        reply = await ask(model)

    assert reply.calls == [ToolCall("c1", "add", '{"a":1}'), ToolCall("c2", "now", "")]


async def test_what_is_no_event_is_passed_over() -> None:
    usage = b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n'
    stream: list[Piece] = [b": keep alive\n\n", {"content": "Yes"}, usage, {"content": "!"}]
    async with ScriptedModel(stream) as model:
        assert await ask(model) == Reply("Yes!")


async def test_a_busy_model_is_asked_again() -> None:
    async with ScriptedModel(429, 503, words("At last")) as model:
        assert await ask(model) == Reply("At last")


async def test_a_model_that_stays_busy_is_given_up() -> None:
    async with ScriptedModel(503) as model:
        with pytest.raises(ModelFailed, match="503: not now"):
            await ask(model)

        assert len(model.asked) == ATTEMPTS


async def test_a_refusal_is_not_repeated() -> None:
    async with ScriptedModel(401) as model:
        with pytest.raises(ModelFailed, match="401"):
            await ask(model)

        assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        ([{"content": "Half"}, b""], "broke off"),
        ([b'data: {"error": {"message": "too hot"}}\n\n'], "too hot"),
        ([b"data: {nonsense\n\n"], "another language"),
        ([b'data: {"choices": [7]}\n\n'], "another language"),
    ],
)
async def test_an_answer_that_is_none_says_why(stream: list[Piece], reason: str) -> None:
    async with ScriptedModel(stream) as model:
        with pytest.raises(ModelFailed, match=reason):
            await ask(model)


async def test_a_model_that_is_not_there_says_so() -> None:
    async with ScriptedModel() as model:
        pass

    with pytest.raises(ModelFailed, match="cannot be reached"):
        await ask(model)


async def stand_in_answer(*messages: dict[str, Any]) -> Reply:
    """Return what the stand-in answers, over its interface."""
    server = StandIn(pause=0)
    try:
        model = Model(Settings(await server.open(), "stand-in", ""))
        return await model.ask(messages, describe_tools(), lambda _: None)
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("prompt", "call"),
    [
        ("What is 12 * 7?", ToolCall("call_1", "calculate", '{"expression": "12 * 7"}')),
        ("Remember that it rains", ToolCall("call_1", "remember", '{"fact": "it rains"}')),
        ("What do you remember?", ToolCall("call_1", "recall", "{}")),
    ],
)
async def test_the_stand_in_asks_for_tools(prompt: str, call: ToolCall) -> None:
    reply = await stand_in_answer({"role": "user", "content": prompt})

    assert reply.calls == [call]


async def test_the_stand_in_says_the_same_to_the_same() -> None:
    hello = {"role": "user", "content": "Hello."}

    first, second = await stand_in_answer(hello), await stand_in_answer(hello)

    assert first == second
    assert first.text.startswith("You said: Hello. That is message 1 ")


async def test_the_stand_in_passes_on_what_a_tool_says() -> None:
    asked = {"role": "user", "content": "What is 1 + 1?"}
    wants = call_of("calculate", expression="1 + 1")
    assert isinstance(wants, dict)

    reply = await stand_in_answer(
        asked,
        {"role": "assistant", "content": "", **wants},
        {"role": "tool", "tool_call_id": "call-calculate", "content": "2"},
    )

    assert reply == Reply("The answer is 2.")
