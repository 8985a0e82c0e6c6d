"""The ordinary client: one connection of aiohttp on uvloop, in a process of its own.

Beside :mod:`.realtime_client`, which costs next to nothing, this is a client as people write it:
``async for`` receives, the answer's id says which call it ends, ``await send_bytes`` makes the next
one. The same code, bytes and checks serve a service's answers and a bare server's echoes.
``python -m benchmarks.realtime_aiohttp`` reads :class:`.realtime_load.Begin` and then the calls to
make from standard input and writes an outcome for each to standard output. BARE only.
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp
import msgspec
import uvloop

from stator.runtime.protocol.connection import ActionResponse, Init
from stator.runtime.protocol.encoding import Encoding

from . import messages
from .crowd import DEADLINE
from .frames import UnexpectedFrame
from .realtime_client import WARM_UP, Span
from .realtime_load import Begin, Call, Outcome

IDS = 1_024
"""Different ids of calls: so many that none comes again while it still waits."""


class Calls:
    """The calls of one order: which are made, which wait for their answer, how many had it."""

    def __init__(self, payloads: list[bytes], expected: bytes) -> None:
        """``payloads`` are sent in turn, ``expected`` is what each answer begins with."""
        self._payloads = payloads
        self._expected = expected
        self._made = 0
        self._waiting: set[int] = set()
        self.is_over = False
        """Whether no more calls are to be made."""
        self.done = 0
        self.all_answered = asyncio.Event()

    def take(self) -> bytes:
        """Return the next call; from now on it waits."""
        number = self._made % len(self._payloads)
        self._made += 1
        self._waiting.add(messages.FIRST_ID + number)
        return self._payloads[number]

    def resolve(self, message: bytes) -> None:
        """End the call a message answers; raises :class:`~benchmarks.frames.UnexpectedFrame`."""
        if not message.startswith(self._expected):
            raise UnexpectedFrame(repr(message[:400]))
        number = messages.id_of(message)
        if number not in self._waiting:
            raise UnexpectedFrame(f"{number} was not called: {message[:400]!r}")
        self._waiting.remove(number)
        self.done += 1
        self._tell_end()

    def stop(self) -> None:
        """Want no more calls; ``all_answered`` is set when none waits any more."""
        self.is_over = True
        self._tell_end()

    def _tell_end(self) -> None:
        if self.is_over and not self._waiting:
            self.all_answered.set()


class Client:
    """The connection and what is called over it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = Calls([], b"")

    async def receive(self) -> None:
        """Answer each answer with a call, as long as calls are wanted.

        Raises ``ConnectionError`` when the server ends the connection.
        """
        socket = self._socket
        async for message in socket:
            calls = self._calls
            calls.resolve(message.data)
            if not calls.is_over:
                await socket.send_bytes(calls.take())
        raise ConnectionError(f"the connection was ended: {socket.close_code}")

    async def call(self, order: Call) -> Outcome:
        """Keep so many calls under way for the time told. Raises ``TimeoutError``."""
        if order.echo:
            expected = messages.beginning_of_echo(Encoding.BARE, order.action)
        else:
            expected = messages.beginning_of(Encoding.BARE, ActionResponse)
        payloads = messages.call_payloads(Encoding.BARE, order.action, [], IDS)
        self._calls = calls = Calls(payloads, expected)
        span = Span(order.seconds)
        for _ in range(order.in_flight):
            await self._socket.send_bytes(calls.take())
        await asyncio.sleep(WARM_UP)
        span.start()
        before = calls.done
        await asyncio.sleep(order.seconds)
        outcome = span.outcome(calls.done - before)
        calls.stop()
        async with asyncio.timeout(DEADLINE):
            await calls.all_answered.wait()
        return outcome


async def obey(client: Client) -> None:
    """Make the calls that standard input orders, until it ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        outcome = await client.call(msgspec.json.decode(line, type=Call))
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()


async def serve(begin: Begin) -> None:
    """Open the connection, wait for its first message and do as told.

    What ends the connection ends the run too; pings are answered also between orders.
    """
    protocols = ("rivet", f"rivet_encoding.{begin.encoding.name.lower()}")
    url = f"http://127.0.0.1:{begin.port}{begin.path}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=protocols) as socket,
    ):
        first = await socket.receive_bytes(timeout=DEADLINE)
        if not first.startswith(messages.beginning_of(begin.encoding, Init)):
            raise UnexpectedFrame(repr(first))
        client = Client(socket)
        async with asyncio.TaskGroup() as tasks:
            receiving = tasks.create_task(client.receive())
            await obey(client)
            receiving.cancel()


def read_begin() -> Begin:
    """Read the first line and not a byte more, as the rest is read in another way."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            raise EOFError("standard input ended before the first line did")
        line += byte
    return msgspec.json.decode(line, type=Begin)


def main() -> None:
    """Obey standard input."""
    uvloop.run(serve(read_begin()))


if __name__ == "__main__":
    main()
