"""The limit of ``self.db``: the same statements by APSW itself, called in a thread each time.

A connection for each thread that comes along, opened with the settings of an actor's database. It
runs in the worker of the actor that it is compared with, on the same file.
"""

from __future__ import annotations

import threading
from typing import Any, Self

import apsw

SELECT = "SELECT value FROM items WHERE id = ?"
INSERT = "INSERT INTO items (value) VALUES (?)"
BUSY_TIMEOUT_MS = 5_000


class ApswThreads:
    """The connections to one file; a context."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._local = threading.local()
        self._opened: list[apsw.Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._opened:
            connection.close()

    def read(self, number: int) -> list[Any]:
        """Return the rows of one point read; in a thread."""
        return list(self._connection().execute(SELECT, (number,)))

    def write(self, value: str) -> None:
        """Insert a row; in a thread. It is on the disk afterwards."""
        self._connection().execute(INSERT, (value,))

    def _connection(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = apsw.Connection(self._path)
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            connection.pragma("synchronous", "full")
            self._local.connection = connection
            self._opened.append(connection)
        return connection
