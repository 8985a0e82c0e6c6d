"""A model that is none: the HTTP interface of a real one, and always the same answers.

    python -m agent.stand_in --port 6450      # in examples/: a server of its own

It answers in a sentence, asks for the tool ``calculate`` when it sees a sum, and for ``remember``
and ``recall`` when told so. ``AGENT_STAND_IN_PAUSE`` is how many seconds it takes for each word.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
from collections.abc import Iterator
from contextvars import Context
from typing import Any

from aiohttp import web

_SUM = re.compile(r"\d+(?:\.\d+)?(?:\s*[-+*/]\s*\d+(?:\.\d+)?)+")
_REMEMBER = re.compile(r"\s*remember (?:that )?(.+)", re.I | re.S)
_RECALL = re.compile(r"\s*what do you remember", re.I)


class StandIn:
    """The server."""

    def __init__(self, pause: float = 0.03) -> None:
        self.pause = pause
        """Seconds before each word."""
        self._runner: web.AppRunner | None = None

    async def open(self, port: int = 0) -> str:
        """Listen on a loopback port, 0 for any, and return the base URL."""
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def close(self) -> None:
        """Stop listening, and break off what is under way."""
        if self._runner:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not body.get("stream"):
            return web.json_response({"error": {"message": "only streams"}}, status=400)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        finish = "stop"
        for delta in answer(body["messages"], body.get("tools", ())):
            finish = "tool_calls" if "tool_calls" in delta else finish
            await asyncio.sleep(self.pause)
            await response.write(_chunk(body["model"], delta))
        await response.write(_chunk(body["model"], {}, finish))
        await response.write(b"data: [DONE]\n\n")
        return response


def answer(messages: list[dict[str, Any]], tools: Any) -> Iterator[dict[str, Any]]:
    """Yield the answer in the pieces of a stream: words, or a call of a tool."""
    last = messages[-1]
    names = {tool["function"]["name"] for tool in tools}
    if last["role"] == "tool":
        yield from _say(f"The answer is {last['content']}.")
    elif (found := _SUM.search(last["content"])) and "calculate" in names:
        yield from _call("calculate", {"expression": found[0]}, messages)
    elif (found := _REMEMBER.match(last["content"])) and "remember" in names:
        yield from _call("remember", {"fact": found[1].strip()}, messages)
    elif _RECALL.match(last["content"]) and "recall" in names:
        yield from _call("recall", {}, messages)
    else:
        count = sum(message["role"] == "user" for message in messages)
        yield from _say(
            f"You said: {last['content']} That is message {count} I can see of this conversation. "
            "I am only a stand-in for a model, but every word came over its real interface."
        )


def _say(text: str) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for word in re.findall(r"\s*\S+", text):
        yield {"content": word}


def _call(
    name: str, arguments: dict[str, str], messages: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    call = {"index": 0, "id": f"call_{len(messages)}", "type": "function"}
    yield {"role": "assistant", "tool_calls": [{**call, "function": {"name": name}}]}
    for piece in re.findall(r".{1,8}", json.dumps(arguments), re.S):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": model}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"


_of_this_process: asyncio.Task[str] | None = None


async def of_this_process() -> str:
    """Return the base URL of the stand-in in this process; the first call starts it."""
    global _of_this_process
    if _of_this_process is None:
        server = StandIn(float(os.environ.get("AGENT_STAND_IN_PAUSE", "0.03")))
        # In a context of its own: it is nobody's work, although an actor needed it first.
        _of_this_process = asyncio.create_task(server.open(), context=Context())
    return await asyncio.shield(_of_this_process)


async def _serve(port: int, pause: float) -> None:
    print("The stand-in is at", await StandIn(pause).open(port), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m agent.stand_in", description=__doc__)
    parser.add_argument("--port", type=int, default=6450)
    parser.add_argument("--pause", type=float, default=0.03, help="seconds before each word")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments.port, arguments.pause))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
