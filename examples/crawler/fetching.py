"""Fetching one page: its title, and the links to other pages of the same site."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import aiohttp
import msgspec

from stator.workflow import Fatal

TIMEOUT = aiohttp.ClientTimeout(total=20.0)
MAX_BYTES = 1_000_000


class Content(msgspec.Struct):
    """What is on a page."""

    title: str
    links: list[str]
    """Addresses of other pages of the site, without fragments, each once."""


class Busy(Exception):
    """The site has no time; later it may have."""


async def fetch_page(url: str) -> Content:
    """Fetch a page.

    Raises :class:`Busy` and errors of aiohttp, after which it makes sense to try again, and
    ``Fatal`` for what will be the same next time.
    """
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        if response.status == 429 or response.status >= 500:
            raise Busy(f"status {response.status}")
        if response.status != 200:
            raise Fatal(f"status {response.status}", code="not_a_page")
        text = (await response.content.read(MAX_BYTES)).decode("utf-8", "replace")
    return _read(url, text)


def _read(url: str, text: str) -> Content:
    parser = _Parser()
    parser.feed(text)
    found = dict.fromkeys(urldefrag(urljoin(url, link)).url for link in parser.links)
    return Content(parser.title.strip(), [link for link in found if _is_within(link, url)])


def _is_within(link: str, url: str) -> bool:
    return urlsplit(link)[:2] == urlsplit(url)[:2]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.links: list[str] = []
        self._is_in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_in_title = tag == "title"
        if tag == "a" and (link := dict(attrs).get("href")):
            self.links.append(link)

    def handle_endtag(self, tag: str) -> None:
        self._is_in_title = False

    def handle_data(self, data: str) -> None:
        if self._is_in_title:
            self.title += data
