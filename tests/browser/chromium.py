"""Chromium, driven through ``driver.mjs`` and playwright-core."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.fakes.running_service import DEADLINE
from tests.interop.official_clients import environment, node

_DRIVER = Path(__file__).with_name("driver.mjs")


class Chromium:
    """A browser; as a context it is closed at the end, with all its pages."""

    def __init__(self) -> None:
        """Start it. Raises ``FileNotFoundError`` if there is none to start."""
        executable = shutil.which("chromium")
        if executable is None:
            raise FileNotFoundError("first install the browser: scripts/install-chromium")
        self._process = subprocess.Popen(
            [node(), _DRIVER, executable, str(DEADLINE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )

    def __enter__(self) -> Chromium:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(DEADLINE)
        finally:
            self._process.kill()
            self._process.stdout.close()

    def open(self, url: str) -> Page:
        """Return a new page, loaded, that shares nothing with the others."""
        return Page(self, self.command("open", url))

    def command(self, *command: object) -> Any:
        """Return what the driver answers. Fails if it has a problem instead."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the driver ended: {command}"
        answer = json.loads(line)
        assert "problem" not in answer, f"{command}: {answer['problem']}"
        return answer["value"]


class Page:
    """A page; what it waits for, it waits for until the deadline of all tests."""

    def __init__(self, chromium: Chromium, number: int) -> None:
        self._chromium = chromium
        self._number = number
        self.is_closed = False

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method of playwright's page, such as ``fill`` or ``mouse.move``."""
        return self._chromium.command("call", self._number, method, arguments)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.call("evaluate", expression)

    def wait(self, expression: str) -> None:
        """Return once a JavaScript expression holds."""
        self._chromium.command("until", self._number, expression)

    def texts(self, selector: str) -> list[str]:
        """Return the text of each element."""
        found: list[str] = self.evaluate(_texts(selector))
        return found

    def wait_texts(self, selector: str, texts: Sequence[str]) -> None:
        """Return once the elements have exactly these texts, in order."""
        wanted = json.dumps(list(texts))
        self.wait(f"JSON.stringify({_texts(selector)}) === JSON.stringify({wanted})")

    def is_the_same(self) -> bool:
        """Whether the page was not reloaded since it was opened."""
        return self.evaluate("window.isTheSame") is True

    def close(self) -> None:
        """Close the page; nothing must have been thrown in it."""
        self.is_closed = True
        problems = self._chromium.command("close", self._number)
        assert problems == []


def _texts(selector: str) -> str:
    elements = f"document.querySelectorAll({json.dumps(selector)})"
    return f"Array.from({elements}, (element) => element.textContent)"
