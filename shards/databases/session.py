"""An open file of an actor and what is done with it, in a thread and never on the loop.

Each setting is a function whose docstring says what it prevents, as in ``store/database.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import apsw

from stator.runtime.database import Columns, Row
from stator.runtime.database_errors import InvalidBindParameter

from .authorization import Authorizer
from .bindings import Bindings

BUSY_TIMEOUT_MS = 5_000
CACHE_KIB = 1_024
"""The most memory one open file spends on its pages."""
PREPARED_STATEMENTS = 100
"""How many statements of an actor stay prepared."""

_BLANK = re.compile(r"(?:[\s;]|--[^\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_MANY = "_stator_many"


class Session:
    """One open file. Used by one thread at a time; only :meth:`interrupt` by any."""

    __slots__ = ("authorizer", "connection")

    def __init__(self, path: Path, rowid: int) -> None:
        make_directory(path.parent)
        self.connection = apsw.Connection(str(path), statementcachesize=PREPARED_STATEMENTS)
        self.authorizer = Authorizer()
        try:
            _configure(self.connection)
            self.connection.set_last_insert_rowid(rowid)
            self.connection.authorizer = self.authorizer
        except BaseException:
            self.connection.close()
            raise

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.connection.in_transaction

    @property
    def is_closable(self) -> bool:
        """Whether closing the file loses nothing."""
        return not self.authorizer.is_pinned and not self.connection.in_transaction

    def close(self) -> int:
        """Close the file; return the rowid of the last insert, for the next session."""
        rowid = self.connection.last_insert_rowid()
        self.connection.close(True)
        return rowid

    def interrupt(self) -> None:
        """End what is running early."""
        self.connection.interrupt()

    # -- statements of the actor

    def execute(
        self, sql: str, bindings: Bindings | None, is_unwanted: Callable[[], bool]
    ) -> list[Row]:
        """Run SQL and return its rows; between statements ``is_unwanted`` may end it."""
        self.authorizer.sql = sql
        if ";" in sql.rstrip("; \n\r\t"):
            return self._execute_script(sql, bindings, is_unwanted)
        cursor = self.connection.execute(sql, bindings)
        try:
            description = cursor.get_description()
        except apsw.ExecutionCompleteError:
            return []
        columns = _columns(description)
        return [Row(columns, values) for values in cursor]

    def executemany(self, sql: str, rows: list[Bindings]) -> None:
        """Run one statement for each of ``rows``, all or none."""
        self.authorizer.sql = sql
        if not rows:
            return
        nested = self.connection.in_transaction
        self.control(f"SAVEPOINT {_MANY}" if nested else "BEGIN IMMEDIATE")
        try:
            cursor = self.connection.cursor()
            if ";" in sql:
                cursor.exec_trace = _Script(sql, is_single=True)
            for _ in cursor.executemany(sql, rows):
                pass
            self.control(f"RELEASE {_MANY}" if nested else "COMMIT")
        except BaseException:
            # On a full disk, say, SQLite rolled everything back by itself.
            if self.connection.in_transaction:
                self.control(f"ROLLBACK TO {_MANY}; RELEASE {_MANY}" if nested else "ROLLBACK")
            raise

    def _execute_script(
        self, sql: str, bindings: Bindings | None, is_unwanted: Callable[[], bool]
    ) -> list[Row]:
        script = _Script(sql, is_single=bindings is not None, is_unwanted=is_unwanted)
        cursor = self.connection.cursor()
        cursor.exec_trace = script
        for values in cursor.execute(sql, bindings):
            script.rows.append(values)
        columns = _columns(script.description)
        return [Row(columns, values) for values in script.rows]

    # -- statements of stator

    def control(self, sql: str, bindings: Bindings | None = None) -> None:
        """Run SQL of stator's own, about which the actor's rules say nothing.

        It is not kept prepared: the actor could otherwise run the same text unasked.
        """
        self.authorizer.is_trusted = True
        try:
            for _ in self.connection.execute(sql, bindings, can_cache=False):
                pass
        finally:
            self.authorizer.is_trusted = False

    def hold_together(self, what: str) -> None:
        """Let the actor's SQL not end the transaction that has begun (``authorization.py``).

        Whoever ends it clears ``authorizer.within``.
        """
        # Given anew, the authorizer is asked again about statements that are still prepared.
        self.connection.authorizer = self.authorizer
        self.authorizer.within = what


class _Script:
    """Watches a text with several statements: SQLite's library calls it before each of them."""

    def __init__(
        self, sql: str, *, is_single: bool, is_unwanted: Callable[[], bool] | None = None
    ) -> None:
        self.rows: list[Any] = []
        """Of the last statement that has a result."""
        self.description: Any = ()
        self._sql = sql
        self._is_single = is_single
        self._is_unwanted = is_unwanted

    def __call__(self, cursor: Any, statement: str, _bindings: Any) -> bool:
        if self._is_single:
            self._is_single = False
            self._check_rest(statement)
        if self._is_unwanted is not None and self._is_unwanted():
            return False
        if description := cursor.get_description():
            self.description = description
            self.rows = []
        return True

    def _check_rest(self, statement: str) -> None:
        rest = self._sql[self._sql.find(statement) + len(statement) :]
        if not _BLANK.fullmatch(rest):
            raise InvalidBindParameter(
                "parameters go with one statement; run several of them one by one"
            )


@lru_cache(maxsize=512)
def _columns(description: tuple[tuple[str, Any], ...]) -> Columns:
    return Columns(tuple([column[0] for column in description]))


def make_directory(path: Path) -> None:
    """Make the folder of a shard's databases if it is not there, for good."""
    if path.is_dir():
        return
    path.mkdir(parents=True, exist_ok=True)
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(parent)  # else a power cut could take the folder with what is in it
    finally:
        os.close(parent)


def _configure(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("journal_mode", "wal")
    sync_commits(connection)
    enforce_foreign_keys(connection)
    cache_pages_in_memory(connection)
    distrust_schema(connection)
    defend_file(connection)


def sync_commits(connection: apsw.Connection) -> None:
    """``synchronous=FULL``: a commit is on the disk when it returns, also after a power cut."""
    connection.pragma("synchronous", "full")


def enforce_foreign_keys(connection: apsw.Connection) -> None:
    """``foreign_keys=ON``: what references say holds. SQLite's default is off."""
    connection.pragma("foreign_keys", "on")


def cache_pages_in_memory(connection: apsw.Connection) -> None:
    """``cache_size``: bounds the memory of a worker with many open files."""
    connection.pragma("cache_size", -CACHE_KIB)


def distrust_schema(connection: apsw.Connection) -> None:
    """``trusted_schema=OFF``: views and triggers of a foreign file run no risky function."""
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)


def defend_file(connection: apsw.Connection) -> None:
    """``DEFENSIVE``: no SQL can damage the file, by its schema table or those of an index."""
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
