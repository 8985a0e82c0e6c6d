"""What browser tests share: a browser, a service with the example actors, their pages."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from tests.browser.chromium import Chromium, Page
from tests.browser.examples_service import ROOT, ExamplesService
from tests.interop.official_clients import PACKAGES, environment, node

SECONDS = 60.0


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser."""
    with Chromium() as running:
        yield running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExamplesService]:
    """A service with the example actors."""
    with ExamplesService(tmp_path_factory.mktemp("examples")) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="session")
def pages() -> Iterator[str]:
    """Where the pages of the examples are, with a slash at the end."""
    subprocess.run([ROOT / "scripts" / "build-pages"], timeout=SECONDS, check=True)
    command = [sys.executable, "-m", "examples.web", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def react_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the React page is, bundled."""
    source, built = Path(__file__).with_name("react"), tmp_path_factory.mktemp("react")
    (built / "index.html").write_bytes((source / "index.html").read_bytes())
    esbuild: list[str | Path] = [node(), PACKAGES / "esbuild" / "bin" / "esbuild"]
    target = ["--jsx=automatic", "--format=esm", "--platform=browser", "--target=es2022"]
    subprocess.run(
        [
            *esbuild,
            source / "page.jsx",
            "--bundle",
            "--log-level=warning",
            *target,
            f"--outfile={built / 'page.js'}",
        ],
        env={**environment(), "NODE_PATH": str(PACKAGES), "NODE_ENV": "production"},
        timeout=SECONDS,
        check=True,
    )
    handler = partial(_QuietHandler, directory=str(built))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


class Visits:
    """Opens pages of one service and closes them after the test."""

    def __init__(self, chromium: Chromium, service: ExamplesService, pages: str) -> None:
        self.room = uuid4().hex
        """The key of a room of this test's own."""
        self._chromium = chromium
        self._service = service
        self._pages = pages
        self._opened: list[Page] = []

    def visit(self, example: str, name: str, room: str = "") -> Page:
        """Return the page of an example, for somebody, once it is connected."""
        page = self.open(self.address(example, name, room))
        page.wait("document.querySelector('#connection').dataset.state === 'connected'")
        return page

    def address(self, example: str, name: str = "", room: str = "") -> str:
        """Return the URL of an example's page; without a name the page asks for one."""
        query = {"service": self._service.endpoint} | ({"name": name} if name else {})
        return f"{self._pages}{example}/?{urlencode(query)}#{room or self.room}"

    def open(self, url: str) -> Page:
        """Return any page, marked: a reload would remove the mark."""
        page = self._chromium.open(url)
        page.evaluate("window.isTheSame = true")
        self._opened.append(page)
        return page

    def close(self) -> None:
        """Close what the test has not closed."""
        for page in self._opened:
            if not page.is_closed:
                page.close()


@pytest.fixture
def visits(chromium: Chromium, service: ExamplesService, pages: str) -> Iterator[Visits]:
    """Visits to the pages of the examples."""
    visits = Visits(chromium, service, pages)
    yield visits
    visits.close()
