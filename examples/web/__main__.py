"""Serve the pages: ``python -m examples.web``, after ``scripts/build-pages``.

Plain files, with no connection to the service: the pages talk to it themselves, from the browser.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

EXAMPLES = Path(__file__).parents[1]
BUNDLES = EXAMPLES.parent / "build" / "pages"
FOLDERS = {
    "/agent": EXAMPLES / "agent" / "page",
    "/chat": EXAMPLES / "chat" / "page",
    "/cursors": EXAMPLES / "cursors" / "page",
    "/shared": EXAMPLES / "web" / "shared",
    "/modules": BUNDLES,
}
"""Where the files under each path are."""


def make_application() -> web.Application:
    """Return the server: the folders, their ``index.html`` and a page with links to them."""
    application = web.Application()
    for path, folder in FOLDERS.items():
        if (index := folder / "index.html").exists():
            application.router.add_get(f"{path}/", _hand_out(index))
        application.router.add_static(path, folder)
    application.router.add_get("/", _hand_out(EXAMPLES / "web" / "index.html"))
    application.on_response_prepare.append(_keep_fresh)
    return application


def _hand_out(file: Path) -> Handler:
    async def handle(_: web.Request) -> web.FileResponse:
        return web.FileResponse(file)

    return handle


async def _keep_fresh(_: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers["cache-control"] = "no-cache"  # whoever edits a page wants to see it


async def serve(host: str, port: int) -> None:
    """Serve until cancelled; say where."""
    runner = web.AppRunner(make_application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        print(f"The pages are at http://{host}:{runner.addresses[0][1]}/", flush=True)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m examples.web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6440, help="0 takes a free one")
    arguments = parser.parse_args()
    if not BUNDLES.is_dir():
        parser.error("the browser client is missing: scripts/build-pages")
    try:
        asyncio.run(serve(arguments.host, arguments.port))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
