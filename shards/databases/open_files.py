"""How many files of actors are open: the one that was not used for longest is closed for the next.

Rule 1. A file in a transaction or migration stays open, and one that would lose something: a
        temporary table, a setting of its connection (``pragmas.py``, rule 2). Then there are more.
Rule 2. Closing moves the write-ahead log into the file, so what lies on the disk is one file.
"""

from __future__ import annotations

import threading
from typing import Protocol

import apsw

from stator.runtime.log import Logger


class Closable(Protocol):
    """Who has a file open."""

    def shut_if_idle(self) -> bool:
        """Close it if that is harmless; whether it did."""
        ...


class OpenFiles:
    """Who has a file open, the one first that did not use it for longest. For all threads."""

    def __init__(self, limit: int, log: Logger) -> None:
        self._limit = max(1, limit)
        self._log = log
        self._users: dict[Closable, None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._users)

    def admit(self, user: Closable) -> None:
        """Note that ``user`` is about to open its file; close others beyond the limit."""
        with self._lock:
            self._users[user] = None
            excess = len(self._users) - self._limit
            others = list(self._users)[:-1] if excess > 0 else []
        for other in others:
            if excess <= 0:
                return
            excess -= self._shut(other)

    def touch(self, user: Closable) -> None:
        """Note that ``user`` uses its file."""
        with self._lock:
            if self._users.pop(user, self) is None:
                self._users[user] = None

    def discard(self, user: Closable) -> None:
        """Note that ``user`` closed its file."""
        with self._lock:
            self._users.pop(user, None)

    def _shut(self, user: Closable) -> bool:
        try:
            return user.shut_if_idle()
        except apsw.Error as error:
            # It is closed all the same; the log that is left beside it is read at the next opening.
            self._log.warning("database closed with trouble", problem=str(error))
            return True
