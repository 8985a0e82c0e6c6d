"""What happens behind a connection: sockets come and go, calls and listeners stay.

::

    idle ──> connecting ──Init──> connected ──lost──> disconnected ──> connecting ...
                 └──given up or closed──> idle

Rule 1. Nothing is sent before ``Init``. A connection that opened first says which events have
        listeners, then sends the calls that wait, in order (client-protocol, 7.4).
Rule 2. A lost socket fails the calls that were sent and keeps those that were not (7.8).
Rule 3. A message that cannot be read is reported to the event loop and dropped (7.3).
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import msgspec

from stator.runtime.errors import ActorError, InternalError, InvalidRequest
from stator.runtime.handles import Address
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    Event,
    Init,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_client import decode_to_client
from stator.runtime.protocol.to_server import encode_to_server

from .callbacks import Callbacks, Runner
from .failures import (
    OpenFailed,
    connection_closed,
    connection_lost,
    copy_of,
    get_params_failed,
    refused,
)
from .listeners import EventStream, Listeners
from .pending_calls import PendingCalls
from .reconnection import BackOff, Failure, Verdict, reason_of, verdict_on
from .sockets import ABNORMAL, Closed, Socket, Sockets

BARE_VERSION = 4
NORMAL = 1000
MESSAGES_AT_ONCE = 100
"""After so many, those who listen get a turn: messages that have arrived are read without waiting,
and an iteration that is fast enough must not look slow."""

Status = Literal["idle", "connecting", "connected", "disconnected"]


class Timing(msgspec.Struct, frozen=True):
    """What a connection needs of the clock; a test puts its own in its place."""

    pause: Callable[[float], Awaitable[None]]
    """``asyncio.sleep``."""
    clock: Callable[[], float]
    """``time.monotonic``."""


class Session:
    """Keeps a connection to one actor open until it is closed or must be given up."""

    def __init__(
        self, sockets: Sockets, address: Address, params: Any, encoding: Encoding, timing: Timing
    ) -> None:
        """``params`` is a value or a function, async allowed, called for each attempt."""
        self._sockets = sockets
        self._address = address
        self._params = params
        self._encoding = encoding
        self._timing = timing
        self._calls = PendingCalls()
        self._notices: deque[bytes] = deque()
        """Subscriptions to be sent on the open socket."""
        self._work = asyncio.Event()
        """Set when there may be something to send."""
        self._opened = asyncio.Event()
        """Set while connected, and for good at the end."""
        self._was_open = False
        self._end: ActorError | None = None
        """Why there will be no connection any more."""
        self._streams: weakref.WeakSet[EventStream[Any]] = weakref.WeakSet()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self.runner = Runner()
        self.listeners = Listeners(self._tell_service)
        self.on_open = Callbacks(self.runner)
        self.on_close = Callbacks(self.runner)
        self.on_error = Callbacks(self.runner)
        self.on_status = Callbacks(self.runner)
        self.status: Status = "idle"
        self.init: Init | None = None
        """What the service said when the connection opened; ``None`` while there is none."""

    def start(self, on_end: Callable[[Session], object]) -> None:
        """Begin to connect; ``on_end`` hears when there will be no connection any more."""

        def finish(_: asyncio.Task[None]) -> None:
            if self._end is None:  # closed before its first step
                self._finish(connection_closed())
            on_end(self)

        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(finish)

    # -- for the application

    async def wait_open(self) -> None:
        """Return once connected. Raises why it never will be."""
        await self._opened.wait()
        if self._end is not None:
            raise copy_of(self._end)

    async def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Call an action as soon as there is a connection, once."""
        if self._end is not None:
            raise copy_of(self._end)
        number, answer = self._calls.add(
            lambda number: self._encode(ActionRequest(number, name, list(arguments)))
        )
        self._work.set()
        try:
            return await answer
        finally:
            self._calls.forget(number)

    def follow(self, stream: EventStream[Any]) -> None:
        """Let an iteration listen until the end of the connection."""
        self._streams.add(stream)
        stream.listen(self.listeners)
        if self._end is not None:
            self._end_stream(stream, self._end)

    def report(self, error: ActorError) -> None:
        """Tell the application of an error that no call raises."""
        self.on_error.run(error)

    async def close(self) -> None:
        """Close the connection and wait for that. May be called twice."""
        if self._task is None:
            return
        if not self._is_closing:
            self._is_closing = True
            self._task.cancel()
        await asyncio.wait([self._task])

    # -- attempts

    async def _run(self) -> None:
        end = connection_closed()
        try:
            end = await self._stay_connected()
            self.report(end)
        except Exception as error:
            end = InternalError(f"the connection failed: {error!r}")
            raise
        finally:
            self._finish(end)

    async def _stay_connected(self) -> ActorError:
        """Return why there will be no connection any more."""
        back_off = BackOff()
        while True:
            self._set_status("connecting")
            outcome = await self._attempt()
            if isinstance(outcome, Failure):
                verdict = verdict_on(
                    outcome,
                    self._address,
                    was_open=self._was_open,
                    is_stator=self._sockets.is_stator,
                )
                if verdict is Verdict.GIVE_UP:
                    return outcome.error
                if verdict is Verdict.RETRY:
                    self.report(outcome.error)
                pause_s = back_off.after_refusal()
            else:
                pause_s = back_off.after_loss(outcome)
            if pause_s:
                await self._timing.pause(pause_s)

    async def _attempt(self) -> Failure | float:
        """Return why it failed, or how many seconds the connection lasted."""
        try:
            params = await self.current_params()
            socket = await self._sockets.open(
                self._address, "/connect", self._encoding.name.lower(), params
            )
        except ActorError as error:
            # An error that the service answered is none of these two classes.
            return Failure(error, is_silence=isinstance(error, OpenFailed | InternalError))
        try:
            init = await self._wait_init(socket)
            if isinstance(init, Failure):
                return init
            opened = self._timing.clock()
            await self._serve(socket, init)
            return self._timing.clock() - opened
        finally:
            await socket.close(NORMAL, "Disposed")

    async def current_params(self) -> Any:
        """Return what the connection hooks get next. Raises ``client.get_params_failed``."""
        if not callable(self._params):
            return self._params
        try:
            params = self._params()
            return await params if inspect.isawaitable(params) else params
        except Exception as error:
            raise get_params_failed(error) from error

    async def _wait_init(self, socket: Socket) -> Init | Failure:
        told: ActorError | None = None
        while True:
            data = await socket.receive()
            if isinstance(data, Closed):
                if told is None and data.code == ABNORMAL:
                    return Failure(OpenFailed("the connection was lost"), is_silence=True)
                text = f"closed before it was open: {data.code} {data.reason}".rstrip()
                return Failure(told or reason_of(data.reason) or refused(text))
            message = self._decode(data)
            if isinstance(message, Init):
                return message
            if isinstance(message, ErrorMessage) and message.action_id is None:
                told = _error_of(message)

    # -- an open connection

    async def _serve(self, socket: Socket, init: Init) -> None:
        """Exchange messages until the socket is closed."""
        self.init = init
        self._was_open = True
        self._notices.clear()
        for name in self.listeners.names:
            self._tell_service(name, True)
        sender = asyncio.create_task(self._send(socket))
        self._opened.set()
        self._set_status("connected")
        self.on_open.run()
        reason: ActorError | None = None
        error = connection_closed()
        try:
            reason = reason_of((await self._receive(socket)).reason)
            error = reason or connection_lost()
        finally:
            sender.cancel()
            self._lose(error, reason)

    async def _receive(self, socket: Socket) -> Closed:
        for count in itertools.count(1):
            data = await socket.receive()
            if isinstance(data, Closed):
                return data
            if not count % MESSAGES_AT_ONCE:
                await asyncio.sleep(0)
            message = self._decode(data)
            if isinstance(message, Event):
                self.listeners.dispatch(message.name, message.args)
            elif isinstance(message, ActionResponse):
                self._calls.succeed(message.id, message.output)
            elif isinstance(message, ErrorMessage):
                self._take_error(message)
            elif message is not None:
                self.init = message
        raise AssertionError

    async def _send(self, socket: Socket) -> None:
        try:
            while True:
                message = self._notices.popleft() if self._notices else self._calls.take_unsent()
                if message is not None:
                    is_text = self._encoding is Encoding.JSON
                    await socket.send(message.decode() if is_text else message)
                    continue
                self._work.clear()
                await self._work.wait()
        except ConnectionError:
            pass  # whoever receives sees the end of the socket too

    def _take_error(self, message: ErrorMessage) -> None:
        error = _error_of(message)
        if message.action_id is None:
            self._calls.fail_in_flight(error)
            self.report(error)
        else:
            self._calls.fail(message.action_id, error)

    def _lose(self, error: ActorError, reason: ActorError | None) -> None:
        self.init = None
        self._opened.clear()
        self._calls.fail_in_flight(error)
        self._set_status("disconnected")
        self.on_close.run()
        if reason is not None:
            self.report(reason)

    def _finish(self, end: ActorError) -> None:
        self._end = end
        self._calls.fail_all(end)
        self._opened.set()
        self._set_status("idle")
        for stream in list(self._streams):
            self._end_stream(stream, end)

    # -- messages

    def _tell_service(self, name: str, wanted: bool) -> None:
        if self.init is not None:
            self._notices.append(self._encode(SubscriptionRequest(name, wanted)))
            self._work.set()

    def _encode(self, message: ToServer) -> bytes:
        return encode_to_server(self._encoding, BARE_VERSION, message)

    def _decode(self, data: str | bytes) -> ToClient | None:
        if isinstance(data, str):
            if self._encoding is not Encoding.JSON:
                return None
            data = data.encode()
        try:
            return decode_to_client(self._encoding, data)[0]
        except InvalidRequest as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a connection received what it cannot read", "exception": error}
            )
            return None

    def _set_status(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            self.on_status.run(status)

    def _end_stream(self, stream: EventStream[Any], end: ActorError) -> None:
        is_closed = (end.group, end.code) == ("client", "connection_closed")
        stream.end(None if is_closed else end)


def _error_of(message: ErrorMessage) -> ActorError:
    view = message.error
    return ActorError(
        view.message, group=view.group, code=view.code, metadata=view.metadata, status=view.status
    )
