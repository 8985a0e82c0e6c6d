"""The limit of HTTP: the smallest aiohttp application that reads the same body and answers alike.

One process, as the service has one gateway by default. ``python -m benchmarks.bare PORT`` serves
until it is terminated.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web

BODY = b'{"output":12345}'
"""As long as what the counter answers in the middle of a run."""
PATH = "/gateway/counter/action/"


async def answer(request: web.Request) -> web.Response:
    """Read the body and answer as an action does."""
    await request.read()
    return web.Response(body=BODY, content_type="application/json")


async def serve(port: int) -> None:
    """Serve for ever."""
    application = web.Application()
    application.router.add_post(PATH + "increment", answer)
    application.router.add_post(PATH + "get", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
