"""Migrations of an actor's database: what brings its file to the version of its class.

Rule 1. All pending migrations and ``on_migrate`` are one transaction: everything of it stays, or
        nothing, whatever ends it, SIGKILL included. The version is part of it.
Rule 2. Statements of ``self.db`` that run meanwhile are part of it.
Rule 3. The version is the number of migrations applied. It is kept in a table of its own:
        ``user_version`` belongs to the actor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from stator.runtime import faults
from stator.runtime.awaiting import result_of
from stator.runtime.database import Migration
from stator.runtime.database_errors import SchemaNewer
from stator.runtime.log import Logger

from .lanes import Job, Lane
from .session import Session

if TYPE_CHECKING:
    from .cell_database import CellDatabase
    from .turns import Turns

OnMigrate = Callable[[], Awaitable[None]]

_TABLE = "_stator_migrations"
_CREATE = f"""
    CREATE TABLE IF NOT EXISTS main.{_TABLE} (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        version INTEGER NOT NULL
    )
"""
_WRITE = f"INSERT OR REPLACE INTO main.{_TABLE} (only, version) VALUES (1, %d)"


class Migrator:
    """Migrates one database, once, at the start of its actor."""

    def __init__(
        self,
        database: CellDatabase,
        turns: Turns,
        migrations: tuple[Migration, ...],
        log: Logger,
    ) -> None:
        self._database = database
        self._turns = turns
        self._migrations = migrations
        self._log = log

    async def migrate(self, on_migrate: OnMigrate | None) -> None:
        """Apply what is pending, then run ``on_migrate``. Raises what they raise."""
        version = await self._database.version()
        if version > len(self._migrations):
            raise SchemaNewer(
                f"the database has {version} migrations, its class declares "
                f"{len(self._migrations)}: start the version of the application that was here"
            )
        if version == len(self._migrations) and on_migrate is None:
            return
        self._turns.is_inner = True
        try:
            await self._turns.control(_begin)
            for number in range(version + 1, len(self._migrations) + 1):
                await self._apply(number)
            if on_migrate is not None:
                await result_of(on_migrate())
            await self._commit()
        except BaseException:
            self._turns.control(self._roll_back)
            raise
        finally:
            self._turns.is_inner = False

    async def _apply(self, number: int) -> None:
        migration = self._migrations[number - 1]
        try:
            if isinstance(migration, str):
                await self._database.execute(migration)
            else:
                await migration(self._database)
            await self._turns.control(lambda lane: _write(lane, number))
        except Exception as error:
            error.add_note(f"in migration {number} of the actor's database")
            raise

    async def _commit(self) -> None:
        """Commit behind what ``on_migrate`` may have left behind."""
        job = Job(_commit, self._turns.new_future(), is_control=True)
        self._turns.ask(job)
        await self._turns.outcome(job)

    def _roll_back(self, lane: Lane) -> None:
        session = lane.session
        if session is None:
            return
        session.authorizer.within = ""
        if session.in_transaction:
            try:
                session.control("ROLLBACK")
            except Exception as error:
                self._log.error("rollback failed", exc_info=error)


def read_version(lane: Lane) -> int:
    """Return how many migrations a file has; one that is not there is not made."""
    if lane.session is None and not lane.path.exists():
        return 0
    session = lane.session or lane.open()
    if not session.connection.table_exists("main", _TABLE):
        return 0
    version: Any = session.connection.execute(f"SELECT version FROM main.{_TABLE}").get
    return version or 0


def _begin(lane: Lane) -> None:
    session: Session = lane.session or lane.open()
    session.control("BEGIN IMMEDIATE")
    session.hold_together("a migration")


def _write(lane: Lane, version: int) -> None:
    session = lane.session_in_transaction()
    session.control(_CREATE)
    session.control(_WRITE % version)


def _commit(lane: Lane) -> None:
    session = lane.session_in_transaction()
    session.authorizer.within = ""
    faults.point("database.before_commit")
    session.control("COMMIT")
    faults.point("database.after_commit")
