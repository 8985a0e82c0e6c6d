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

_ATTEMPTS = 8
"""How many files are looked at to close one, so that many in use do not cost each other time."""


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
        """Note that ``user`` is about to open its file; make room for it."""
        with self._lock:
            self._users[user] = None
        self.trim()

    def trim(self) -> None:
        """Close files beyond the limit; those that must stay open are asked again later."""
        for _ in range(_ATTEMPTS):
            if len(self._users) <= self._limit:
                return
            with self._lock:
                user = next(iter(self._users), None)
            if user is not None and not self._shut(user):
                self.touch(user)  # it is in use, after all

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
            self.discard(user)
            return True
