"""The model behind the agent: any server that speaks OpenAI's chat completions, and streams.

Which one is chosen by environment variables: see :class:`Settings`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import msgspec

from . import stand_in

ATTEMPTS = 4
PAUSE_S = 0.5
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=120.0)
"""A model may think for a while, and an answer may take as long as it likes."""

Message = dict[str, Any]
"""As the API has them: ``{"role": "user", "content": "Hello"}``."""


class Settings(msgspec.Struct, frozen=True):
    """Where the model is."""

    base_url: str
    """``https://api.openai.com/v1``; empty: the stand-in, which needs no network."""
    model: str
    api_key: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``AGENT_BASE_URL``, ``AGENT_MODEL`` and ``AGENT_API_KEY``."""
        return cls(
            os.environ.get("AGENT_BASE_URL", "").rstrip("/"),
            os.environ.get("AGENT_MODEL", "stand-in"),
            os.environ.get("AGENT_API_KEY", ""),
        )


class ToolCall(msgspec.Struct):
    """The model wants a tool to be used."""

    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class Reply(msgspec.Struct):
    """What the model answered."""

    text: str
    calls: list[ToolCall] = []


class ModelFailed(Exception):
    """The model gave no answer, for a reason that may be shown to the user."""


class Model:
    """Asks the model."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def ask(
        self, messages: Sequence[Message], tools: Sequence[Message], hear: Callable[[str], None]
    ) -> Reply:
        """Return the reply, and call ``hear`` with its text piece by piece.

        Tries again when the model is busy, as long as nothing was heard. Raises
        :class:`ModelFailed`.
        """
        body = {
            "model": self._settings.model,
            "messages": messages,
            "stream": True,
            **({"tools": tools} if tools else {}),
        }
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as session,
                await self._open(session, body) as response,
            ):
                return await self._receive(response, hear)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ModelFailed(f"the model cannot be reached: {error or 'no answer'}") from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise ModelFailed(f"the model speaks another language: {error}") from error

    async def _open(
        self, session: aiohttp.ClientSession, body: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        key = self._settings.api_key
        url = f"{self._settings.base_url or await stand_in.of_this_process()}/chat/completions"
        headers = {"authorization": f"Bearer {key}"} if key else {}
        attempt = 1
        while True:
            response = await session.post(url, json=body, headers=headers)
            is_busy = response.status == 429 or response.status >= 500
            if not is_busy or attempt == ATTEMPTS:
                return response
            response.release()
            await asyncio.sleep(_pause(response.headers.get("retry-after", ""), attempt))
            attempt += 1

    async def _receive(
        self, response: aiohttp.ClientResponse, hear: Callable[[str], None]
    ) -> Reply:
        if response.status != 200:
            reason = (await response.text())[:500]
            raise ModelFailed(f"the model refused with {response.status}: {reason}")
        text: list[str] = []
        calls: dict[int, ToolCall] = {}
        async for chunk in _chunks(response):
            if chunk.error is not None:
                raise ModelFailed(f"the model gave up: {chunk.error}")
            for choice in chunk.choices:
                if choice.delta.content:
                    text.append(choice.delta.content)
                    hear(choice.delta.content)
                for part in choice.delta.tool_calls or ():
                    _add_to_call(calls, part)
        return Reply("".join(text), list(calls.values()))


# -- the stream: what of a "chat.completion.chunk" is needed here


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _CallPart(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function = _Function()


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: list[_CallPart] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = _Delta()


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    error: Any = None


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[_Chunk]:
    """Yield the server-sent events. Raises :class:`ModelFailed` if the stream breaks off."""
    async for line in response.content:
        field, _, value = line.partition(b":")
        if field != b"data":
            continue  # empty lines between events, comments that keep the connection open
        if value.strip() == b"[DONE]":
            return
        yield msgspec.json.decode(value, type=_Chunk)
    raise ModelFailed("the answer broke off")


def _add_to_call(calls: dict[int, ToolCall], part: _CallPart) -> None:
    """A call comes in pieces: its name first, then its arguments, little by little."""
    index = len(calls) if part.index is None else part.index
    call = calls.setdefault(index, ToolCall("", "", ""))
    call.id += part.id or ""
    call.name += part.function.name or ""
    call.arguments += part.function.arguments or ""


def _pause(wanted: str, attempt: int) -> float:
    return float(wanted) if wanted.isdecimal() else PAUSE_S * attempt
