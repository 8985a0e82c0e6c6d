"""A connection to an actor, spoken by hand: any encoding, any bytes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    Event,
    Init,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from stator.runtime.protocol.encoding import Encoding, encoding_of
from stator.runtime.protocol.to_client import decode_to_client
from stator.runtime.protocol.to_server import encode_to_server
from tests.fakes.socket_client import BINARY, CLOSE, TEXT, SocketClient

BARE_VERSION = 4


def connect_path(actor: str, key: str, inner: str = "/connect", **routing: str) -> str:
    """Return the query path of a WebSocket; ``routing`` is ``rvt-*`` without the prefix."""
    parameters = {
        "rvt-namespace": "default",
        "rvt-method": "getOrCreate",
        "rvt-runner": "default",
        "rvt-key": key,
        **{f"rvt-{name}": value for name, value in routing.items()},
    }
    if parameters["rvt-method"] == "get":
        del parameters["rvt-runner"]
    return f"/gateway/{quote(actor, safe='')}{inner}?{urlencode(parameters)}"


class OpenConnection(SocketClient):
    """One connection, as a client that follows the protocol has it."""

    def __init__(
        self, endpoint: str, actor: str, key: str, encoding: str = "json", *protocols: str
    ) -> None:
        self.encoding: Encoding = encoding_of(encoding)
        offered = ("rivet", f"rivet_encoding.{encoding}", *protocols)
        super().__init__(endpoint, connect_path(actor, key), offered)

    @property
    def opcode(self) -> int:
        """What messages travel in (client-protocol, 7.2)."""
        return TEXT if self.encoding is Encoding.JSON else BINARY

    def say(self, message: ToServer) -> None:
        """Send a message."""
        self.send(self.opcode, encode_to_server(self.encoding, BARE_VERSION, message))

    def hear(self) -> ToClient:
        """Return the next message."""
        frame = self.receive()
        assert frame is not None, "the connection ended"
        assert frame.opcode == self.opcode, f"no message but {frame}"
        return decode_to_client(self.encoding, frame.data)[0]

    def begin(self) -> Init:
        """Return the first message."""
        message = self.hear()
        assert isinstance(message, Init)
        return message

    def call(self, number: int, name: str, *args: Any) -> Any:
        """Call an action and return the output that must come next."""
        self.say(ActionRequest(number, name, list(args)))
        answer = self.hear()
        assert isinstance(answer, ActionResponse)
        assert answer.id == number
        return answer.output

    def subscribe(self, event: str) -> None:
        """Listen to an event; a call that is answered after it shows that it was seen."""
        self.say(SubscriptionRequest(event, subscribe=True))

    def hear_event(self) -> Event:
        """Return the event that must come next."""
        message = self.hear()
        assert isinstance(message, Event)
        return message

    def hear_end(self) -> tuple[list[ToClient], int | None, str]:
        """Return what still comes, then code and reason of the close, without its request's id."""
        said: list[ToClient] = []
        while (frame := self.receive()) is not None:
            if frame.opcode == CLOSE:
                return said, frame.code, frame.reason.partition("#")[0]
            said.append(decode_to_client(self.encoding, frame.data)[0])
        raise AssertionError("the connection ended without a close frame")
