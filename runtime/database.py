"""An actor's own SQLite database as its code sees it (python-api, section 7; semantics, 9.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Protocol

Migration = str | Callable[["ActorDatabase"], Awaitable[None]]
"""A SQL script, or an async function of the database."""


class Database:
    """Declares that each actor of a class has a database: ``db = Database(migrations=[...])``."""

    def __init__(
        self,
        migrations: Sequence[Migration] = (),
        *,
        warn_on_manual_transactions: bool = True,
    ) -> None:
        self.migrations = tuple(migrations)
        self.warn_on_manual_transactions = warn_on_manual_transactions


class Row(Sequence[Any]):
    """A row of a result: reads by index, by name and as attributes; ``dict(row)`` works."""


class Statements(Protocol):
    """What runs SQL: a database, or a transaction of it."""

    async def execute(self, sql: str, *args: Any, **named: Any) -> list[Row]: ...
    async def executemany(
        self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]]
    ) -> None: ...


class Transaction(Statements, Protocol):
    """A transaction that is under way."""


class ActorDatabase(Statements, Protocol):
    """``self.db``."""

    async def version(self) -> int: ...
    def transaction(
        self, timeout: float | timedelta = 60.0
    ) -> AbstractAsyncContextManager[Transaction]: ...
