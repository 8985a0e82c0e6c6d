"""An actor's own SQLite database as its code sees it (python-api, section 7; semantics, 9.2)."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Protocol, cast, overload

from .declarations import DefinitionError

Migration = str | Callable[["ActorDatabase"], Awaitable[None]]
"""A SQL script, or an async function of the database."""


class Database:
    """Declares that each actor of a class has a database: ``db = Database(migrations=[...])``.

    Migrations are numbered by their place, from 1, and applied once each, in order, before any
    hook of the actor but inside the start that finds them pending. Those of one start and
    ``on_migrate`` are one transaction. Append to the list; never change what was deployed.
    ``warn_on_manual_transactions``: log one warning for each database that is left inside a
    transaction by a hand-written ``BEGIN``.

    Through an instance the attribute is :class:`ActorDatabase`, through the class the declaration.
    Raises :class:`DefinitionError` for a migration that is neither text nor an async callable.
    """

    def __init__(
        self,
        migrations: Sequence[Migration] = (),
        *,
        warn_on_manual_transactions: bool = True,
    ) -> None:
        self.migrations = _checked(migrations)
        self.warn_on_manual_transactions = warn_on_manual_transactions

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Database: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> ActorDatabase: ...
    def __get__(self, instance: Any, owner: type[Any]) -> Database | ActorDatabase:
        return self if instance is None else cast("ActorDatabase", instance._host.db)


def _checked(migrations: object) -> tuple[Migration, ...]:
    if isinstance(migrations, str | bytes) or not isinstance(migrations, Iterable):
        raise DefinitionError(f"migrations is a list, not {type(migrations).__name__}")
    listed = tuple(cast("Iterable[object]", migrations))
    for number, migration in enumerate(listed, 1):
        if not isinstance(migration, str) and not _is_async_callable(migration):
            raise DefinitionError(
                f"migration {number} is a SQL script or an async function of the database, "
                f"not {migration!r}"
            )
    return cast("tuple[Migration, ...]", listed)


def _is_async_callable(value: object) -> bool:
    called = getattr(type(value), "__call__", None)  # noqa: B004 - as an instance is called
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(called)


class Columns:
    """The columns of a result, shared by its rows."""

    __slots__ = ("names", "places")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.places = {name: place for place, name in enumerate(names)}
        """Of two columns with the same name, the last."""


class Row:
    """A row of a result: reads by index, by name and as attributes; ``dict(row)`` works.

    Iterates over its values. Equals a row with the same names and values, and a tuple of the same
    values. A column called ``keys`` is read as ``row["keys"]``. Raises :class:`IndexError`,
    :class:`KeyError` or :class:`AttributeError` for a column that is not there.
    """

    __slots__ = ("_columns", "_values")

    def __init__(self, columns: Columns, values: tuple[Any, ...]) -> None:
        self._columns = columns
        self._values = values

    def keys(self) -> list[str]:
        """Return the names of the columns, each once."""
        return list(self._columns.places)

    @overload
    def __getitem__(self, key: int | str) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, str):
            return self._values[self._columns.places[key]]
        return self._values[key]

    def __getattr__(self, name: str) -> Any:
        # Only reached for names that are not members; copy and pickle ask for "__reduce_ex__" and
        # the like on an object without its slots, so these must not look at them.
        if not name.startswith("__") and name in self._columns.places:
            return self._values[self._columns.places[name]]
        raise AttributeError(f"the row has no column {name!r}")

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __contains__(self, value: object) -> bool:
        return value in self._values

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Row):
            return self._values == other._values and self._columns.names == other._columns.names
        return self._values == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values)

    def __repr__(self) -> str:
        pairs = zip(self._columns.names, self._values, strict=True)
        return f"Row({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (self._columns.names, self._values))


def _restored(names: tuple[str, ...], values: tuple[Any, ...]) -> Row:
    return Row(Columns(names), values)


class Statements(Protocol):
    """What runs SQL: a database, or a transaction of it.

    Both methods raise ``sqlite.constraint`` (metadata ``{"code": "SQLITE_CONSTRAINT_UNIQUE"}``),
    ``sqlite.error`` for any other mistake in the statement, ``sqlite.invalid_bind_parameter``,
    ``sqlite.not_authorized``, ``sqlite.unavailable``, ``sqlite.corrupt`` and ``sqlite.closed``.
    """

    async def execute(self, sql: str, /, *args: Any, **named: Any) -> list[Row]:
        """Run SQL and return its rows, none for a statement that has no result.

        Parameters are given by position, by name (``:a``, ``@a``, ``$a``) or as one dict: ``None``,
        bool, int of 64 bits, float, str and bytes. Without parameters there may be several
        statements, run in sequence; the rows are those of the last that has a result. What the
        statement changed outside of a transaction is durable on return. Cancelling the task drops
        the statement, or interrupts it.
        """
        ...

    async def executemany(
        self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]], /
    ) -> None:
        """Run one statement for each of ``rows``: all of them or, if one fails, none."""
        ...


class Transaction(Statements, Protocol):
    """A transaction that is under way: its statements, and no others, are part of it.

    Once it is over they raise ``sqlite.transaction_terminal``, or ``sqlite.transaction_expired``
    after its deadline.
    """


class ActorDatabase(Statements, Protocol):
    """``self.db``: the SQLite database of one actor. Its calls run in order, one at a time."""

    async def version(self) -> int:
        """Return how many migrations the file has; 0 before the first."""
        ...

    def transaction(
        self, timeout: float | timedelta = 60.0
    ) -> AbstractAsyncContextManager[Transaction]:
        """Return ``async with`` block that commits at its end and rolls back if it raises.

        It has the database for itself: other statements and transactions wait behind it, in order.
        ``timeout`` seconds after its beginning it is rolled back; ``sqlite.transaction_expired``
        is then raised by what waits inside the block and by its end. Inside, use what the block
        was given: ``self.db`` would wait behind its own transaction. Raises
        ``sqlite.transaction_queue_full`` with 128 operations waiting, and :class:`ValueError` for
        a timeout that is not above 0.
        """
        ...
