"""A small site to crawl: ``python examples/crawler/site.py --port 8080``.

Each page links to two others and back to the first. Some are busy when they are asked for the first
time, and one is not there.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

PAGES = 40
MISSING = 5
"""The page that others link to and that is not there."""


class Site:
    """Serves the pages and counts how often each was asked for."""

    def __init__(self, seconds: float = 0.0) -> None:
        """``seconds`` is how long a page takes."""
        self.asked: Counter[int] = Counter()
        self._seconds = seconds

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncGenerator[str]:
        """Serve until the end of the block; gives the address of the first page."""
        application = web.Application()
        application.router.add_get("/{number:\\d+}", self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/0"
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        self.asked[number] += 1
        await asyncio.sleep(self._seconds)
        if number == MISSING or number >= PAGES:
            return web.Response(status=404)
        if number % 7 == 3 and self.asked[number] == 1:
            return web.Response(status=503)
        links = "".join(f'<a href="/{each}#top">{each}</a> ' for each in links_of(number))
        return web.Response(
            text=f"<html><title>Page {number}</title><body>{links}</body></html>",
            content_type="text/html",
        )


def links_of(number: int) -> list[int]:
    """Return the pages that a page links to."""
    return [each for each in (2 * number + 1, 2 * number + 2) if each < PAGES] + [0]


async def main(port: int) -> None:
    """Serve until Ctrl-C."""
    async with Site(seconds=0.2).serving(port) as address:
        print(address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(main(parser.parse_args().port))
