"""Crawl a site and look on: ``python examples/crawler/client.py http://127.0.0.1:8080/0``."""

import argparse
import asyncio
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from stator import ActorError, Client
from stator.client import Handle


async def main(endpoint: str, url: str, depth: int) -> None:
    """Crawl it, then print what was found."""
    crawl: dict[str, object] = {"id": uuid4().hex, "url": url, "depth": depth}
    async with Client(endpoint) as client:
        crawler = client.get_or_create("crawler", [urlsplit(url).netloc])
        async with crawler.connect() as conn:
            conn.on("fetched", show)
            summary = await summary_of(crawler, crawl)
        for page in await crawler.getPages(crawl["id"]):
            print(f"{page['level']}  {page['url']}  {page['title'] or page['error']}")
        print(f"{summary['pages']} pages, {summary['failed']} of them failed")


def show(url: str) -> None:
    """Say that a page was fetched."""
    print("fetched:", url)


async def summary_of(crawler: Handle, crawl: dict[str, object]) -> dict[str, Any]:
    """Ask until there is an answer: a crawl that is asked for twice is done once."""
    while True:
        try:
            outcome = await crawler.enqueue("crawls", crawl, wait=True, timeout=30.0)
            if outcome.reply is not None:
                return dict(outcome.reply)
        except ActorError as error:
            if error.code != "restarting":
                raise
            print("the crawler was lost; asking again")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--endpoint", default="http://127.0.0.1:6420")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.endpoint, arguments.url, arguments.depth))
