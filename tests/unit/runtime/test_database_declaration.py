"""``db = Database(...)`` in a class body."""

from functools import partial
from typing import Any, cast

import pytest

from stator.runtime.actor import Actor
from stator.runtime.database import ActorDatabase, Database, Migration
from stator.runtime.declarations import DefinitionError


async def fill(db: ActorDatabase) -> None:
    await db.execute("INSERT INTO t VALUES (1)")


class AsyncCallable:
    async def __call__(self, db: ActorDatabase) -> None: ...


class Notes(Actor):
    db = Database(["CREATE TABLE t (a)", fill])


class StubHost:
    db = object()


def test_the_class_has_the_declaration() -> None:
    assert isinstance(Notes.db, Database)
    assert Notes.db.migrations == ("CREATE TABLE t (a)", fill)


def test_the_instance_has_the_database_of_its_host() -> None:
    notes = Notes()
    vars(notes)["_host"] = StubHost()
    assert notes.db is cast("Any", StubHost.db)


def test_a_migration_may_be_any_async_callable() -> None:
    steps: list[Migration] = [fill, partial(fill), AsyncCallable()]
    assert Database(steps).migrations == tuple(steps)


def not_async(db: ActorDatabase) -> None: ...


NO_MIGRATIONS: list[object] = [None, 1, b"CREATE TABLE t (a)", not_async, AsyncCallable]


@pytest.mark.parametrize("migration", NO_MIGRATIONS)
def test_a_migration_that_is_neither_text_nor_async_is_refused(migration: object) -> None:
    with pytest.raises(DefinitionError, match="migration 2"):
        Database(["CREATE TABLE t (a)", cast("Any", migration)])


@pytest.mark.parametrize("migrations", ["CREATE TABLE t (a)", b"", 7])
def test_migrations_are_a_list(migrations: object) -> None:
    with pytest.raises(DefinitionError, match="a list"):
        Database(cast("Any", migrations))
