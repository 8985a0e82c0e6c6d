"""The machine's clock, on the event loop (``runtime/clock.py``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from stator.runtime.clock import Timer


class SystemClock:
    """Implements :class:`~stator.runtime.clock.Clock`."""

    may_be_set = True

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.time: Callable[[], float] = loop.time
        """Seconds since some point in the past; bound, as every action asks for it."""
        self._call_later = loop.call_later

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def call_later(self, seconds: float, callback: Callable[..., None], *args: Any) -> Timer:
        """Call ``callback`` once ``seconds`` have passed."""
        return self._call_later(seconds, callback, *args)
