"""A crawler: the pages of a site level by level, several at a time, each fetched once.

Every page is a step: what was fetched is known again after a restart, and only what was under way
is fetched again. What is found goes into the actor's own SQLite database, in transactions that
take effect exactly once.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from stator import Actor, Database, Event, Options, Queue, action, setup
from stator.workflow import Backoff, Failed, Ok, Workflow, workflow

from .fetching import Content, fetch_page

AT_ONCE = 4
"""How many pages of a site are fetched at the same time."""
PAUSES = Backoff(first=0.2, factor=3.0, jitter=0.5)
"""Between the attempts for one page."""

MIGRATIONS = [
    """
    CREATE TABLE pages (
        crawl TEXT NOT NULL,
        url TEXT NOT NULL,
        level INTEGER NOT NULL,
        title TEXT NOT NULL,
        error TEXT NOT NULL,
        PRIMARY KEY (crawl, url)
    ) STRICT;
    CREATE TABLE summaries (
        crawl TEXT PRIMARY KEY,
        pages INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        levels INTEGER NOT NULL
    ) STRICT;
    """
]


class Crawl(msgspec.Struct):
    """What to crawl."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """Chosen by whoever asks: crawls with one id are one crawl."""
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://", max_length=2000)]
    depth: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    """How many links away from the first page."""


class Page(msgspec.Struct):
    """A page that was visited."""

    url: str
    title: str = ""
    links: list[str] = []
    error: str = ""
    """Why it could not be fetched."""


class Found(msgspec.Struct):
    """A page, as the database has it."""

    url: str
    level: int
    """How many links away from the first page."""
    title: str
    error: str


class Summary(msgspec.Struct):
    """What came of a crawl."""

    pages: int
    failed: int
    levels: int


class Crawler(Actor, rename="camel"):
    """Crawls one site, which is the key."""

    options = Options(name="Crawler", icon="spider", sleep_timeout=10.0)
    db = Database(migrations=MIGRATIONS)

    crawls = Queue[Crawl, Summary]()
    fetched = Event[str]()
    """The address of a page."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Do one crawl after the other; who asked for it may wait for the summary."""
        async for _ in wf.loop("crawls", keep=3):
            async with await wf.receive("crawl", self.crawls, ack=True) as message:
                summary = await wf.step("look up", self.look_up, message.body.id)
                if summary is None:  # a crawl that comes twice is done once
                    await self.crawl(wf, message.body)
                    summary = await wf.txn("sum up", self.sum_up, message.body.id)
                await message.complete(summary)

    async def crawl(self, wf: Workflow, crawl: Crawl) -> None:
        """Go from level to level: the links of one are the pages of the next."""
        async for level in wf.loop("levels", state=[crawl.url], keep=1):
            pages = await wf.map("pages", level.state, self.visit, key=str, concurrency=AT_ONCE)
            level.state = await wf.txn("keep", self.keep, crawl.id, level.index, pages)
            if not level.state or level.index == crawl.depth:
                level.stop()

    async def visit(self, wf: Workflow, url: str) -> Page:
        """Have one page fetched: a branch of the map. One that is not there spoils no other."""
        match await wf.attempt("fetch", self.fetch, url, retries=4, backoff=PAUSES):
            case Ok(content):
                return Page(url, content.title, content.links)
            case Failed(error=error):
                return Page(url, error=str(error))

    # -- the steps and transactions

    async def look_up(self, crawl: str) -> Summary | None:
        """Return the summary of a crawl that was done before."""
        rows = await self.db.execute(
            "SELECT pages, failed, levels FROM summaries WHERE crawl = ?", crawl
        )
        return msgspec.convert(dict(rows[0]), Summary) if rows else None

    async def fetch(self, url: str) -> Content:
        """Fetch a page and tell whoever looks on."""
        content = await fetch_page(url)
        self.broadcast(self.fetched, url)
        return content

    async def keep(self, crawl: str, level: int, pages: list[Page]) -> list[str]:
        """Keep the pages of a level; return what they link to and nobody has seen."""
        await self.db.executemany(
            "INSERT INTO pages (crawl, url, level, title, error) VALUES (?, ?, ?, ?, ?)",
            [(crawl, page.url, level, page.title, page.error) for page in pages],
        )
        rows = await self.db.execute("SELECT url FROM pages WHERE crawl = ?", crawl)
        seen = {row.url for row in rows}
        links = dict.fromkeys(link for page in pages for link in page.links)
        return [link for link in links if link not in seen]

    async def sum_up(self, crawl: str) -> Summary:
        """Count what was found."""
        (row,) = await self.db.execute(
            "INSERT INTO summaries (crawl, pages, failed, levels) "
            "SELECT ?1, count(*), count(*) FILTER (WHERE error != ''), max(level) + 1 "
            "FROM pages WHERE crawl = ?1 RETURNING pages, failed, levels",
            crawl,
        )
        return msgspec.convert(dict(row), Summary)

    @action
    async def get_pages(self, crawl: str) -> list[Found]:
        """Return what a crawl has found so far, by level."""
        rows = await self.db.execute(
            "SELECT url, level, title, error FROM pages WHERE crawl = ? ORDER BY level, url", crawl
        )
        return [msgspec.convert(dict(row), Found) for row in rows]


registry = setup(use={"crawler": Crawler})
