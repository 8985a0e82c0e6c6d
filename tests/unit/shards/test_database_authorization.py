"""What an actor's SQL may not do, in many spellings."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.database_errors import NotAuthorized
from stator.shards.databases.authorization import RESERVED, Authorizer
from stator.shards.databases.session import Session
from tests.fakes.open_databases import one_database, opened

SETUP = """
    CREATE TABLE t (a, b);
    CREATE TABLE attachments (a);
    CREATE VIEW v AS SELECT * FROM t;
"""

OTHER_FILES = [
    "ATTACH 'other.sqlite' AS other",
    "aTTaCh DATABASE 'other.sqlite' AS other",
    "ATTACH/* */'other.sqlite'AS other",
    "-- innocent\nATTACH '' AS other",
    "ATTACH ':memory:' AS other",
    "EXPLAIN ATTACH 'other.sqlite' AS other",
    "SELECT 1; ATTACH 'other.sqlite' AS other",
    "DETACH main",
    "DETACH DATABASE 'other'",
    "VACUUM INTO 'other.sqlite'",
    "VACUUM/**/main INTO 'other.sqlite'",
    "vacuum into 'file:other.sqlite?mode=rwc'",
    "SELECT load_extension('other')",
    "SELECT LOAD_EXTENSION('other', 'entry')",
    "SELECT \"load_extension\"('other')",
    "SELECT fts3_tokenizer('simple')",
    "CREATE VIRTUAL TABLE x USING csv(filename='other.csv')",
    "CREATE VIRTUAL TABLE x USING zipfile('other.zip')",
    'CREATE VIRTUAL TABLE x USING "fsdir"',
    "CREATE VIRTUAL TABLE temp.x USING sqlite_dbpage",
]

PRAGMAS = [
    "PRAGMA journal_mode = DELETE",
    "pragma JOURNAL_MODE(off)",
    "PRAGMA main.journal_mode=memory",
    'PRAGMA "main" . /* here */ "journal_mode" = \'off\'',
    "PRAGMA synchronous = OFF",
    "PRAGMA synchronous=0",
    "PRAGMA synchronous(NORMAL)",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA temp_store_directory",
    "PRAGMA data_store_directory = '/tmp'",
    "PRAGMA temp_store = 1",
    "PRAGMA writable_schema = ON",
    "PRAGMA writable_schema = RESET",
    "PRAGMA trusted_schema = ON",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA mmap_size = 1000000000",
    "PRAGMA soft_heap_limit = 1",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA query_only = 1",
    "PRAGMA busy_timeout = 1",
    "PRAGMA schema_version = 7",
    "PRAGMA threads = 8",
    "PRAGMA module_of_tomorrow = 1",
    "EXPLAIN PRAGMA journal_mode = DELETE",
    "SELECT 1; -- x\n PRAGMA synchronous = OFF",
]

RESERVED_TABLES = [
    "INSERT INTO _stator_migrations VALUES (1, 99)",
    "INSERT INTO main._stator_migrations VALUES (1, 99)",
    'INSERT INTO "_stator_migrations" VALUES (1, 99)',
    "INSERT INTO [_STATOR_migrations] VALUES (1, 99)",
    "insert into`_Stator_Migrations`values(1, 99)",
    "REPLACE INTO _stator_migrations VALUES (1, 99)",
    "WITH x AS (SELECT 1) INSERT INTO _stator_migrations SELECT 1, 99",
    "UPDATE _stator_migrations SET version = 0",
    "UPDATE/**/main . _stator_migrations SET version = 0",
    "DELETE FROM _stator_migrations",
    "DROP TABLE _stator_migrations",
    "DROP TABLE IF EXISTS '_stator_migrations'",
    "ALTER TABLE _stator_migrations RENAME TO mine",
    "ALTER TABLE _stator_migrations ADD COLUMN x",
    "ALTER TABLE _stator_migrations RENAME COLUMN version TO v",
    "ALTER TABLE t RENAME TO _stator_other",
    'ALTER TABLE t RENAME/**/TO "_STATOR_other"',
    "CREATE TABLE _stator_mine (a)",
    "CREATE TABLE _rivet_mine AS SELECT 1",
    "CREATE TEMP TABLE _stator_migrations (version)",
    "CREATE TEMP VIEW _stator_migrations AS SELECT 0 AS version",
    "CREATE VIEW _rivet_v AS SELECT 1",
    "CREATE VIRTUAL TABLE _stator_f USING fts5(x)",
    "CREATE INDEX i ON _stator_migrations (version)",
    "CREATE INDEX _stator_i ON t (a)",
    "CREATE TRIGGER g AFTER INSERT ON _stator_migrations BEGIN SELECT 1; END",
    "CREATE TRIGGER _rivet_g AFTER INSERT ON t BEGIN SELECT 1; END",
    "SELECT 1; DELETE FROM _stator_migrations",
    "EXPLAIN DELETE FROM _stator_migrations",
]

WITHIN_TRIGGERS = [
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM _stator_migrations; END;"
    "INSERT INTO t VALUES (1, 1)",
    "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN UPDATE _stator_migrations SET version = 0; END;"
    "INSERT INTO t VALUES (1, 1)",
    "CREATE TRIGGER g INSTEAD OF DELETE ON v BEGIN DELETE FROM _stator_migrations; END;"
    "INSERT INTO t VALUES (1, 1); DELETE FROM v",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT load_extension('other'); END;"
    "INSERT INTO t VALUES (1, 1)",
]

ALLOWED = [
    "SELECT version FROM _stator_migrations",
    "SELECT name FROM sqlite_schema",
    "SELECT '_stator_migrations', 'ATTACH', 'PRAGMA synchronous = OFF'",
    "CREATE TABLE stator_mine (_stator_column)",
    "ALTER TABLE t RENAME TO u",
    "ALTER TABLE t ADD COLUMN c DEFAULT 1",
    "ALTER TABLE t DROP COLUMN b",
    "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('hi'); SELECT * FROM f('hi')",
    "CREATE VIRTUAL TABLE r USING rtree(id, x, y); INSERT INTO r VALUES (1, 2, 3)",
    "SELECT * FROM json_each('[1, 2]')",
    "SELECT * FROM pragma_table_info('t')",
    "VACUUM",
    "ANALYZE",
    "REINDEX t",
    "PRAGMA optimize",
    "PRAGMA journal_mode",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA user_version = 5",
    "PRAGMA table_info(t)",
    "PRAGMA integrity_check",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "SAVEPOINT s; INSERT INTO t VALUES (1, 1); ROLLBACK TO s; RELEASE s",
    "BEGIN; INSERT INTO t VALUES (1, 1); COMMIT",
    "EXPLAIN QUERY PLAN SELECT * FROM t",
    "CREATE TEMP TABLE x AS SELECT 1; DROP TABLE x",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 3) SELECT * FROM c",
]


@pytest.mark.parametrize("sql", [*OTHER_FILES, *PRAGMAS, *RESERVED_TABLES, *WITHIN_TRIGGERS])
async def test_what_is_not_the_actors_is_refused(tmp_path: Path, sql: str) -> None:
    async with one_database(tmp_path, SETUP) as db:
        with pytest.raises(NotAuthorized) as caught:
            await db.execute(sql)
        assert await db.version() == 1
    assert (caught.value.group, caught.value.code) == ("sqlite", "not_authorized")
    assert caught.value.metadata["refused"] in caught.value.message


@pytest.mark.parametrize("sql", [*PRAGMAS, *RESERVED_TABLES, *WITHIN_TRIGGERS, "ATTACH '' AS x"])
async def test_a_migration_may_do_no_more(tmp_path: Path, sql: str) -> None:
    async with opened(tmp_path) as world:
        with pytest.raises(NotAuthorized):
            await world.start(SETUP, sql).migrate(None)


@pytest.mark.parametrize("sql", ALLOWED)
async def test_what_is_the_actors_is_allowed(tmp_path: Path, sql: str) -> None:
    async with one_database(tmp_path, SETUP) as db:
        await db.execute(sql)
        assert await db.version() == 1


@pytest.mark.parametrize(
    ("sql", "refused"),
    [
        ("ATTACH 'x' AS y", "ATTACH or VACUUM INTO"),
        ("DETACH x", "DETACH"),
        ("PRAGMA synchronous = OFF", "PRAGMA synchronous = OFF"),
        ("SELECT load_extension('x')", "the function load_extension"),
        ("CREATE VIRTUAL TABLE x USING csv", "the virtual table module csv"),
        ("DROP TABLE _stator_migrations", "DROP TABLE of _stator_migrations"),
    ],
)
async def test_the_error_says_what_was_refused(tmp_path: Path, sql: str, refused: str) -> None:
    async with one_database(tmp_path, SETUP) as db:
        with pytest.raises(NotAuthorized) as caught:
            await db.execute(sql)
    assert caught.value.metadata == {"refused": refused}


async def test_nothing_is_written_beside_the_file(tmp_path: Path) -> None:
    async with one_database(tmp_path, SETUP) as db:
        for sql in OTHER_FILES:
            with pytest.raises(NotAuthorized):
                await db.execute(sql.replace("other.sqlite", f"{tmp_path}/other.sqlite"))
    assert os.listdir(tmp_path) == ["shard-0003-databases"]


async def test_a_vacuum_in_a_text_that_says_attach_is_refused(tmp_path: Path) -> None:
    """The price of telling a ``VACUUM`` from an ``ATTACH ''``."""
    async with one_database(tmp_path, SETUP) as db:
        with pytest.raises(NotAuthorized):
            await db.execute("DELETE FROM attachments; VACUUM")


async def test_what_stator_writes_is_no_way_in(tmp_path: Path) -> None:
    """The same text, which stator itself ran on this connection before, is asked about again."""
    write = "INSERT OR REPLACE INTO main._stator_migrations (only, version) VALUES (1, 1)"
    async with one_database(tmp_path, SETUP) as db:
        with pytest.raises(NotAuthorized):
            await db.execute(write)


async def test_a_refused_statement_stays_refused(tmp_path: Path) -> None:
    async with one_database(tmp_path, SETUP) as db:
        for _ in range(3):
            with pytest.raises(NotAuthorized):
                await db.execute("PRAGMA synchronous = OFF")
        assert await db.execute("PRAGMA synchronous") == [(2,)]


async def test_executemany_is_asked_about_too(tmp_path: Path) -> None:
    async with one_database(tmp_path, SETUP) as db:
        with pytest.raises(NotAuthorized):
            await db.executemany("DELETE FROM _stator_migrations WHERE version = ?", [(1,)])
        assert await db.version() == 1


async def test_an_error_after_a_refusal_is_not_taken_for_one(tmp_path: Path) -> None:
    async with one_database(tmp_path, SETUP) as db:
        with pytest.raises(NotAuthorized):
            await db.execute("DETACH x")
        with pytest.raises(Exception, match="no such table"):
            await db.execute("SELECT * FROM nope")


# -- every spelling that SQL has


def _in_cases(word: str) -> st.SearchStrategy[str]:
    return st.tuples(*[st.sampled_from([c.lower(), c.upper()]) for c in word]).map("".join)


SPACE = st.sampled_from([" ", "\n\t", "/**/", "/* ; */", " -- ;\n", "\f"])
QUOTES = st.sampled_from([('"', '"'), ("[", "]"), ("`", "`"), ("'", "'")])


@st.composite
def spelled(draw: st.DrawFn, words: list[str], name: str) -> str:
    """Return words and a quoted name in some spelling."""
    opening, closing = draw(QUOTES)
    parts = [draw(_in_cases(word)) for word in words]
    quoted = f"{opening}{draw(_in_cases(name))}{closing}"
    text = "".join(part + draw(SPACE) for part in [*parts, quoted])
    before = draw(st.sampled_from(["", ";;", "SELECT 1;", "/* x */"]))
    return before + text


@given(
    st.one_of(
        spelled(["DROP", "TABLE"], "_stator_migrations"),
        spelled(["DELETE", "FROM"], "_stator_migrations"),
        spelled(["ATTACH", "DATABASE", "'x'", "AS"], "other"),
        spelled(["VACUUM", "INTO"], "_other").map(lambda sql: sql.replace('"', "'")),
        spelled(["PRAGMA", "synchronous", "="], "off"),
        spelled(["ALTER", "TABLE", "t", "RENAME", "TO"], "_rivet_x"),
        spelled(["CREATE", "VIRTUAL", "TABLE", "x", "USING"], "zipfile"),
    )
)
def test_no_spelling_gets_through(tmp_path_factory: pytest.TempPathFactory, sql: str) -> None:
    session = _session(tmp_path_factory)
    try:
        with pytest.raises(Exception, match=r"."):
            session.execute(sql, None, lambda: False)
        tables = {row.name for row in session.execute(_TABLES, None, lambda: False)}
        ((synchronous,),) = session.execute("PRAGMA synchronous", None, lambda: False)
    finally:
        session.close()
    assert (tables, synchronous) == ({"_stator_migrations", "t"}, 2)


_TABLES = "SELECT name FROM sqlite_schema"


def _session(factory: pytest.TempPathFactory) -> Session:
    session = Session(factory.mktemp("spelled") / "x" / "x.sqlite", 0)
    session.control("CREATE TABLE _stator_migrations (a); CREATE TABLE t (a)")
    return session


@given(st.integers(0, 200), *[st.none() | st.text(max_size=30)] * 3)
def test_the_authorizer_never_raises_and_always_says_what_it_refuses(
    action: int, first: str | None, second: str | None, database: str | None
) -> None:
    authorizer = Authorizer()
    assert authorizer(action, first, second, database, None) in (0, 1)
    assert bool(authorizer.refused) == bool(Authorizer()(action, first, second, database, None))


@given(st.sampled_from(RESERVED), st.text(max_size=5), st.sampled_from([9, 18, 23, 11]))
def test_reserved_names_are_refused_in_any_case(prefix: str, rest: str, action: int) -> None:
    for name in (prefix + rest, prefix.upper() + rest):
        assert Authorizer()(action, name, None, "main", None) == 1
