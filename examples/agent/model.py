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
FIRST_PAUSE_S = 0.5
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
        except (msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
            raise ModelFailed(f"the model speaks another language: {error}") from error

    async def _open(
        self, session: aiohttp.ClientSession, body: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        key = self._settings.api_key
        url = f"{self._settings.base_url or await stand_in.of_this_process()}/chat/completions"
        headers = {"authorization": f"Bearer {key}"} if key else {}
        for attempt in range(ATTEMPTS):
            response = await session.post(url, json=body, headers=headers)
            is_busy = response.status == 429 or response.status >= 500
            if not is_busy or attempt == ATTEMPTS - 1:
                break
            response.release()
            await asyncio.sleep(_pause(response.headers.get("retry-after", ""), attempt))
        return response

    async def _receive(
        self, response: aiohttp.ClientResponse, hear: Callable[[str], None]
    ) -> Reply:
        if response.status != 200:
            reason = (await response.text())[:500]
            raise ModelFailed(f"the model refused with {response.status}: {reason}")
        text: list[str] = []
        calls: dict[int, ToolCall] = {}
        async for chunk in _chunks(response):
            if problem := chunk.get("error"):
                raise ModelFailed(f"the model gave up: {problem.get('message', problem)}")
            for choice in chunk.get("choices", ()):
                delta = choice.get("delta") or {}
                if piece := delta.get("content"):
                    text.append(piece)
                    hear(piece)
                for part in delta.get("tool_calls") or ():
                    _add_to_call(calls, part)
        return Reply("".join(text), list(calls.values()))


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """Yield the server-sent events. Raises :class:`ModelFailed` if the stream breaks off."""
    async for line in response.content:
        field, _, value = line.partition(b":")
        if field != b"data":
            continue  # empty lines between events, comments that keep the connection open
        if value.strip() == b"[DONE]":
            return
        yield msgspec.json.decode(value, type=dict[str, Any])
    raise ModelFailed("the answer broke off")


def _add_to_call(calls: dict[int, ToolCall], part: dict[str, Any]) -> None:
    """A call comes in pieces: its name first, then its arguments, little by little."""
    call = calls.setdefault(part.get("index", len(calls)), ToolCall("", "", ""))
    function = part.get("function") or {}
    call.id += part.get("id") or ""
    call.name += function.get("name") or ""
    call.arguments += function.get("arguments") or ""


def _pause(wanted: str, attempt: int) -> float:
    return float(wanted) if wanted.isdecimal() else FIRST_PAUSE_S * 2**attempt
