"""Small ASGI applications and the messages they send."""

from __future__ import annotations

from stator.asgi import AsgiApp
from stator.runtime.asgi_lifespan import Application, Message, Receive, Send

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body"}


def part(body: bytes, *, more: bool = True) -> Message:
    """Return a message with a chunk of the body."""
    return {"type": "http.response.body", "body": body, "more_body": more}


def start(status: int = 200, **headers: str) -> Message:
    """Return the message that starts a response; ``x_a="b"`` is the header ``x-a: b``."""
    raw = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def http_only(app: Application) -> AsgiApp:
    """Return ``app`` without a lifespan."""

    async def handle(scope: Message, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await app(scope, receive, send)

    return AsgiApp(handle)


def sending(*messages: Message, error: Exception | None = None) -> AsgiApp:
    """Return an application that answers every request like this."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return http_only(app)
