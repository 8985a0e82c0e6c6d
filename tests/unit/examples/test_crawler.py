"""The crawler of the examples: each page of a site once, whatever crashes."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from examples.crawler import site as module
from examples.crawler.app import AT_ONCE, Crawl, Crawler, Found, Summary, registry
from examples.crawler.site import MISSING, Site
from stator.client import Handle
from stator.testing import TestingClient, running
from stator.workflow import Backoff


@pytest.fixture(autouse=True)
def small_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the site small, and the pauses of the crawler none: they are time of the test's."""
    monkeypatch.setattr(module, "PAGES", 15)
    monkeypatch.setattr("examples.crawler.app.PAUSES", Backoff(first=0.0))


def crawler_of(client: TestingClient) -> Handle:
    return client.get_or_create(Crawler, ["site"])


async def crawled(client: TestingClient, url: str, depth: int = 9) -> Summary | None:
    crawl = Crawl("c1", url, depth)
    return (await crawler_of(client).enqueue(Crawler.crawls, crawl, wait=True)).reply


async def found_in(client: TestingClient) -> list[Found]:
    return await crawler_of(client).call(Crawler.get_pages, "c1")


async def test_all_pages_of_a_site_are_found() -> None:
    async with Site().serving() as url, running(registry) as client:
        summary = await crawled(client, url)
        found = await found_in(client)

    # 0 to 14, of which 11 and 12 are linked from the page that is missing.
    assert summary == Summary(pages=13, failed=1, levels=4)
    titles = {page.title for page in found if not page.error}
    assert titles == {f"Page {number}" for number in range(15) if number not in (5, 11, 12)}


async def test_the_depth_is_how_many_links_away_a_page_is() -> None:
    async with Site().serving() as url, running(registry) as client:
        await crawled(client, url, depth=1)
        found = await found_in(client)

    assert [(page.level, page.title) for page in found] == [
        (0, "Page 0"),
        (1, "Page 1"),
        (1, "Page 2"),
    ]


async def test_each_page_is_fetched_once_and_a_busy_one_again() -> None:
    site = Site()
    async with site.serving() as url, running(registry) as client:
        await crawled(client, url)

    assert {number: count for number, count in site.asked.items() if count != 1} == {3: 2, 10: 2}


async def test_a_page_that_is_not_there_is_not_asked_for_again() -> None:
    site = Site()
    async with site.serving() as url, running(registry) as client:
        await crawled(client, url)
        (missing,) = [page for page in await found_in(client) if page.error]

    assert missing.url.endswith(f"/{MISSING}")
    assert site.asked[MISSING] == 1


async def test_no_more_pages_than_allowed_are_fetched_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under_way: list[int] = [0]
    most: list[int] = [0]
    fetch = Crawler.fetch

    async def counted(self: Crawler, url: str) -> Any:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        try:
            return await fetch(self, url)
        finally:
            under_way[0] -= 1

    monkeypatch.setattr(Crawler, "fetch", counted)
    async with Site(seconds=0.01).serving() as url, running(registry) as client:
        await crawled(client, url)

    assert most == [AT_ONCE]


async def test_a_crawl_that_comes_twice_is_done_once() -> None:
    site = Site()
    async with site.serving() as url, running(registry) as client:
        summaries = [await crawled(client, url) for _ in range(2)]

    assert summaries[0] == summaries[1]
    assert site.asked[0] == 1


# -- crashes


def interrupt(monkeypatch: pytest.MonkeyPatch, step: str, number: int) -> asyncio.Event:
    """Stop a step when it has done its work, the ``number``-th time; return what tells when."""
    original = getattr(Crawler, step)
    is_reached = asyncio.Event()
    left = [number]

    @functools.wraps(original)
    async def interrupted(*args: Any) -> Any:
        output = await original(*args)
        left[0] -= 1
        if left[0] == 0:
            is_reached.set()
            await asyncio.Event().wait()
        return output

    monkeypatch.setattr(Crawler, step, interrupted)
    return is_reached


async def test_a_crash_fetches_no_page_again_but_those_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site()
    is_reached = interrupt(monkeypatch, "fetch", 5)
    async with site.serving() as url, running(registry) as client:
        await crawler_of(client).enqueue(Crawler.crawls, Crawl("c1", url, 9))
        await is_reached.wait()
        await client.testing.settle()
        before = site.asked.copy()
        await client.testing.crash()
        summary = await crawled(client, url)

    assert summary == Summary(pages=13, failed=1, levels=4)
    again = {number for number in before if site.asked[number] > before[number]}
    assert 1 <= len(again) <= AT_ONCE


@pytest.mark.parametrize(("step", "number"), [("keep", 1), ("keep", 3), ("sum_up", 1)])
async def test_a_crash_within_a_transaction_keeps_nothing_twice(
    step: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site()
    is_reached = interrupt(monkeypatch, step, number)
    async with site.serving() as url, running(registry) as client:
        await crawler_of(client).enqueue(Crawler.crawls, Crawl("c1", url, 9))
        await is_reached.wait()
        await client.testing.crash()
        summary = await crawled(client, url)
        found = await found_in(client)

    assert summary == Summary(pages=13, failed=1, levels=4)
    assert len(found) == 13
    assert site.asked[0] == 1
