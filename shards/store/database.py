"""Opening a shard's SQLite file: pragmas, integrity, schema.

Each pragma is a function whose docstring says what it prevents. An open that follows an unclean
end (a write-ahead log was left behind) is checked with ``quick_check`` first, so that a torn or
corrupt file closes its shard with a clear error instead of answering from damage.

What a crash left of actors that are no more goes at each opening: the files of their databases
first, then their rows. After an unclean end it is also looked for databases of actors that never
came to be on disk. Without one nobody looks, and a shard file restored from an older copy loses no
database that is newer than it.
"""

from __future__ import annotations

import json
from pathlib import Path

import apsw

from ..database_files import delete_files, stored_ids
from .statements import SCHEMA_STEPS, STATEMENTS

SCHEMA_VERSION = max(SCHEMA_STEPS)
BUSY_TIMEOUT_MS = 5_000


class ShardDamaged(Exception):
    """The file of a shard is corrupt, of another shard or from a newer stator."""


class ShardFile:
    """The place of one shard on disk and how it is to be opened."""

    def __init__(
        self,
        directory: Path,
        number: int,
        shards: int,
        *,
        synchronous: str = "full",
        cache_kib: int = 2_000,
    ) -> None:
        self.path = directory / f"shard-{number:04d}.sqlite"
        self.number = number
        self.shards = shards
        self._synchronous = synchronous
        self._cache_kib = cache_kib

    def open_for_writing(self) -> apsw.Connection:
        """Open, check, migrate. Raises :class:`ShardDamaged` or ``apsw.Error``."""
        unclean = self._was_left_unclean()
        try:
            connection = apsw.Connection(str(self.path), statementcachesize=384)
            self._configure(connection)
            write_ahead_log(connection)
            sync_commits(connection, self._synchronous)
            if unclean:
                quick_check(connection)
            migrate(connection)
            self._check_identity(connection)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise ShardDamaged(f"{self.path}: {error}") from error
        self._delete_destroyed(connection)
        if unclean:
            self._delete_orphans(connection)
        return connection

    def open_for_reading(self) -> apsw.Connection:
        """Open a second connection that cannot write."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        self._configure(connection)
        return connection

    def _delete_destroyed(self, connection: apsw.Connection) -> None:
        with connection:  # files first: once the rows are gone, nobody knows of the files
            destroyed = [row[0] for row in connection.execute(STATEMENTS["delete_destroyed"])]
            delete_files(self.path.parent, self.number, destroyed)

    def _delete_orphans(self, connection: apsw.Connection) -> None:
        """Delete the databases of actors without a row: a creation that was not committed, or a
        deletion that a power cut took back."""
        stored = json.dumps(stored_ids(self.path.parent, self.number))
        orphans = [row[0] for row in connection.execute(STATEMENTS["find_absent"], (stored,))]
        delete_files(self.path.parent, self.number, orphans)

    def _was_left_unclean(self) -> bool:
        log = self.path.with_name(self.path.name + "-wal")
        return log.exists() and log.stat().st_size > 0

    def _configure(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        cache_pages_in_memory(connection, self._cache_kib)
        enforce_foreign_keys(connection)

    def _check_identity(self, connection: apsw.Connection) -> None:
        row = connection.execute(STATEMENTS["read_shard"]).fetchone()
        if row is None:
            connection.execute(STATEMENTS["insert_shard"], (self.number, self.shards))
        elif tuple(row) != (self.number, self.shards):
            raise ShardDamaged(
                f"{self.path} is shard {row[0]} of {row[1]}, "
                f"not shard {self.number} of {self.shards}: was it copied here?"
            )


def write_ahead_log(connection: apsw.Connection) -> None:
    """``journal_mode=WAL``: readers never wait for the writer; a commit is one append and one sync.

    https://sqlite.org/wal.html
    """
    connection.pragma("journal_mode", "wal")
    # The writer checkpoints between batches: at a commit it would delay that commit's replies.
    connection.pragma("wal_autocheckpoint", 0)


def sync_commits(connection: apsw.Connection, synchronous: str) -> None:
    """``synchronous=FULL``: a commit is on the disk when it returns, also after a power cut.

    ``NORMAL`` survives a crash of the process but may lose the last commits with the power.
    https://sqlite.org/pragma.html#pragma_synchronous
    """
    connection.pragma("synchronous", synchronous)


def cache_pages_in_memory(connection: apsw.Connection, kib: int) -> None:
    """``cache_size``: bounds the memory a connection spends on pages."""
    connection.pragma("cache_size", -kib)


def enforce_foreign_keys(connection: apsw.Connection) -> None:
    """``foreign_keys=ON``: what an actor owns cannot outlive it. SQLite's default is off."""
    connection.pragma("foreign_keys", "on")


def quick_check(connection: apsw.Connection) -> None:
    """Raise :class:`ShardDamaged` unless every page of the file makes sense.

    https://sqlite.org/pragma.html#pragma_quick_check
    """
    problems = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    if problems != ["ok"]:
        raise ShardDamaged(f"quick_check found: {'; '.join(map(str, problems))}")


def migrate(connection: apsw.Connection) -> None:
    """Apply the schema steps this file lacks, each in its own transaction.

    Raises :class:`ShardDamaged` for a file written by a newer stator.
    """
    version = connection.pragma("user_version")
    assert isinstance(version, int)
    if version > SCHEMA_VERSION:
        raise ShardDamaged(
            f"the file has schema version {version}, this stator knows {SCHEMA_VERSION}: "
            "start a newer stator"
        )
    for step in range(version + 1, SCHEMA_VERSION + 1):
        with connection:
            connection.execute(SCHEMA_STEPS[step])
            connection.pragma("user_version", step)
