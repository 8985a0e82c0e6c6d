"""Statements of an actor's database: parameters, results, scripts, errors."""

import asyncio
import enum
import math
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.database_errors import (
    ConstraintFailed,
    DatabaseCorrupt,
    DatabaseUnavailable,
    InvalidBindParameter,
    StatementFailed,
)
from stator.runtime.errors import ActorError
from stator.shards.databases.bindings import bind, bind_many
from tests.fakes.open_databases import one_database, opened

TABLE = "CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE CHECK (b IS NOT 'bad'))"


class Color(enum.IntEnum):
    RED = 7


class Shape(enum.StrEnum):
    ROUND = "round"


async def test_a_query_gives_rows(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        (row,) = await db.execute("SELECT 1 AS one, 'x' AS two")
    assert dict(row) == {"one": 1, "two": "x"}


async def test_a_query_without_result_gives_an_empty_list(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        assert await db.execute("INSERT INTO t VALUES (1, 2)") == []
        assert await db.execute("SELECT * FROM t WHERE a = 2") == []


async def test_returning_gives_rows(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        (row,) = await db.execute("INSERT INTO t VALUES (NULL, 2) RETURNING a")
    assert row.a == 1


@pytest.mark.parametrize("value", [None, -(2**63), 2**63 - 1, 1.5, "é\0z", "", b"\0\xff", b""])
async def test_a_value_comes_back_as_it_went_in(tmp_path: Path, value: object) -> None:
    async with one_database(tmp_path) as db:
        (row,) = await db.execute("SELECT ?", value)
    assert (row[0], type(row[0])) == (value, type(value))


@pytest.mark.parametrize(("value", "stored"), [(True, 1), (Color.RED, 7), (Shape.ROUND, "round")])
async def test_bools_and_enums_are_stored_as_their_values(
    tmp_path: Path, value: object, stored: object
) -> None:
    async with one_database(tmp_path) as db:
        (row,) = await db.execute("SELECT ?", value)
    assert row[0] == stored


@pytest.mark.parametrize(
    "value", [[1], (1,), {1}, object(), 2**63, -(2**63) - 1, bytearray(b"x"), 1j]
)
async def test_other_values_are_refused_without_being_shown(tmp_path: Path, value: object) -> None:
    async with one_database(tmp_path, TABLE) as db:
        with pytest.raises(InvalidBindParameter) as caught:
            await db.execute("INSERT INTO t VALUES (?, ?)", 1, value)
        assert await db.execute("SELECT * FROM t") == []
    assert caught.value.metadata == {"parameter": 2, "type": type(value).__name__}
    assert repr(value) not in caught.value.message


async def test_a_list_of_parameters_is_refused_with_advice(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        with pytest.raises(InvalidBindParameter, match="one by one"):
            await db.execute("SELECT ?, ?", [1, 2])


async def test_a_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        with pytest.raises(InvalidBindParameter, match="surrogate"):
            await db.execute("SELECT ?", "secret \ud800")


@pytest.mark.parametrize("prefix", [":", "@", "$"])
async def test_parameters_may_have_names(tmp_path: Path, prefix: str) -> None:
    async with one_database(tmp_path) as db:
        (row,) = await db.execute(f"SELECT {prefix}a, {prefix}sql", a=1, sql=2)
    assert row == (1, 2)


@pytest.mark.parametrize("name", ["a", ":a", "@a", "$a"])
async def test_one_dict_gives_names(tmp_path: Path, name: str) -> None:
    async with one_database(tmp_path) as db:
        (row,) = await db.execute("SELECT :a", {name: 1})
    assert row == (1,)


async def test_a_missing_name_fails_before_anything_runs(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        with pytest.raises(InvalidBindParameter, match="'b'"):
            await db.execute("INSERT INTO t VALUES (:a, :b)", a=1)
        assert await db.execute("SELECT * FROM t") == []


@pytest.mark.parametrize("args", [(), (1,), (1, 2, 3)])
async def test_too_few_or_too_many_parameters_fail(tmp_path: Path, args: tuple[int, ...]) -> None:
    async with one_database(tmp_path) as db:
        with pytest.raises(InvalidBindParameter):
            await db.execute("SELECT ?, ?", *args)


async def test_parameters_are_given_by_position_or_by_name(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        with pytest.raises(InvalidBindParameter, match="not both"):
            await db.execute("SELECT ?, :a", 1, a=2)


async def test_statements_of_a_script_run_in_sequence(tmp_path: Path) -> None:
    script = """
        INSERT INTO t VALUES (1, 'a;b'); -- a comment; with a semicolon
        INSERT INTO t VALUES (2, 'c') ;; /* another; one */
        SELECT b FROM t ORDER BY a;
    """
    async with one_database(tmp_path, TABLE) as db:
        assert await db.execute(script) == [("a;b",), ("c",)]


async def test_a_script_gives_the_rows_of_its_last_result(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        rows = await db.execute("SELECT 1 AS x; SELECT 2 AS y; INSERT INTO t VALUES (1, 1)")
        assert [dict(row) for row in rows] == [{"y": 2}]
        assert await db.execute("SELECT 1; SELECT 2 WHERE 0; ") == []


async def test_a_trigger_is_one_statement(tmp_path: Path) -> None:
    trigger = (
        "CREATE TRIGGER g AFTER INSERT ON t WHEN new.a = 1 BEGIN INSERT INTO t VALUES (9, 9);"
        " INSERT INTO t VALUES (10, 10); END"
    )
    async with one_database(tmp_path, TABLE, trigger) as db:
        await db.execute("INSERT INTO t VALUES (?, ?); -- one statement ;", 1, 1)
        assert await db.execute("SELECT a FROM t ORDER BY a") == [(1,), (9,), (10,)]


async def test_a_script_takes_no_parameters_and_nothing_of_it_runs(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        with pytest.raises(InvalidBindParameter, match="one statement"):
            await db.execute("INSERT INTO t VALUES (:a, 1); INSERT INTO t VALUES (2, 2)", a=1)
        assert await db.execute("SELECT * FROM t") == []


async def test_many_rows_are_stored_together(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await db.executemany("INSERT INTO t VALUES (?, ?)", ((i, str(i)) for i in range(100)))
        await db.executemany("INSERT INTO t VALUES (:a, :b)", [{"a": 100, "b": "x"}])
        assert await db.execute("SELECT count(*) AS n FROM t") == [(101,)]


async def test_of_many_rows_all_are_stored_or_none(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        with pytest.raises(ConstraintFailed):
            await db.executemany("INSERT INTO t VALUES (?, ?)", [(1, 1), (2, 2), (1, 3)])
        assert await db.execute("SELECT * FROM t") == []


async def test_a_row_that_cannot_be_stored_fails_before_any_is(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        for row in [(1, [2]), "ab", 7]:
            with pytest.raises(InvalidBindParameter):
                await db.executemany("INSERT INTO t VALUES (?, ?)", [(1, 1), cast("Any", row)])
        assert await db.execute("SELECT * FROM t") == []


async def test_many_rows_within_a_hand_written_transaction_do_not_end_it(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await db.execute("BEGIN")
        await db.executemany("INSERT INTO t VALUES (?, ?)", [(1, 1)])
        with pytest.raises(ConstraintFailed):
            await db.executemany("INSERT INTO t VALUES (?, ?)", [(2, 2), (1, 3)])
        await db.execute("COMMIT")
        assert await db.execute("SELECT a FROM t") == [(1,)]


async def test_a_broken_constraint_says_which(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await db.execute("INSERT INTO t VALUES (1, 'secret')")
        with pytest.raises(ConstraintFailed) as caught:
            await db.execute("INSERT INTO t VALUES (2, ?)", "secret")
    assert (caught.value.group, caught.value.code) == ("sqlite", "constraint")
    assert caught.value.metadata == {"code": "SQLITE_CONSTRAINT_UNIQUE"}
    assert caught.value.message == "UNIQUE constraint failed: t.b"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("INSERT INTO t VALUES (1, 'bad')", "SQLITE_CONSTRAINT_CHECK"),
        ("INSERT INTO t VALUES (1, 1), (1, 2)", "SQLITE_CONSTRAINT_PRIMARYKEY"),
        ("INSERT INTO r VALUES (5)", "SQLITE_CONSTRAINT_FOREIGNKEY"),
    ],
)
async def test_each_kind_of_constraint_has_its_code(
    tmp_path: Path, statement: str, code: str
) -> None:
    async with one_database(tmp_path, TABLE, "CREATE TABLE r (a REFERENCES t (a))") as db:
        with pytest.raises(ConstraintFailed) as caught:
            await db.execute(statement)
    assert caught.value.metadata == {"code": code}


@pytest.mark.parametrize(
    ("sql", "text"),
    [("SELEC 1", "syntax error"), ("SELECT * FROM nope", "no such table: nope"), ("SELECT \0", "")],
)
async def test_a_mistaken_statement_is_an_error_with_its_text(
    tmp_path: Path, sql: str, text: str
) -> None:
    async with one_database(tmp_path) as db:
        with pytest.raises(ActorError) as caught:
            await db.execute(sql)
    assert (caught.value.group, caught.value.code) == ("sqlite", "error")
    assert text in caught.value.message


async def test_a_statement_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        with pytest.raises(StatementFailed, match="bytes"):
            await db.execute(cast("Any", b"SELECT 1"))


async def test_a_statement_works_after_one_that_failed(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        with pytest.raises(StatementFailed):
            await db.execute("SELECT * FROM nope")
        assert await db.execute("SELECT 1") == [(1,)]


async def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        database = world.start()
        world.path(database).parent.mkdir()
        world.path(database).write_bytes(b"this is no database" * 100)
        with pytest.raises(DatabaseCorrupt):
            await database.execute("SELECT 1")


async def test_a_folder_that_cannot_be_made_is_trouble_of_the_service(tmp_path: Path) -> None:
    (tmp_path / "shard-0003-databases").write_text("a file")
    async with opened(tmp_path) as world:
        with pytest.raises(DatabaseUnavailable):
            await world.start().execute("SELECT 1")


async def test_a_full_database_is_trouble_of_the_service(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await db.execute("PRAGMA max_page_count = 10")
        with pytest.raises(DatabaseUnavailable) as caught:
            await db.execute("INSERT INTO t VALUES (1, zeroblob(1000000))")
        assert await db.execute("SELECT * FROM t") == []
    assert caught.value.metadata == {"code": "SQLITE_FULL"}


async def test_commits_are_synced_and_references_hold(tmp_path: Path) -> None:
    settings = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
    async with one_database(tmp_path) as db:
        found = {name: (await db.execute(f"PRAGMA {name}"))[0][0] for name in settings}
        ((timeout,),) = [tuple(row) for row in await db.execute("PRAGMA busy_timeout")]
    assert found == settings
    assert timeout > 0


async def test_sql_runs_in_a_thread_of_its_own(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        await db.execute("SELECT 1")
        names = {thread.name for thread in threading.enumerate()}
    assert any(name.startswith("databases-") for name in names)


async def test_statements_run_in_the_order_they_were_asked_for(tmp_path: Path) -> None:
    async with one_database(tmp_path, "CREATE TABLE log (n)") as db:
        await asyncio.gather(*[db.execute("INSERT INTO log VALUES (?)", n) for n in range(500)])
        rows = await db.execute("SELECT n FROM log ORDER BY rowid")
    assert [row.n for row in rows] == list(range(500))


# -- what parameters become

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
)


@given(st.lists(values, min_size=1))
def test_values_that_sqlite_stores_are_bound_as_they_are(given_values: list[Any]) -> None:
    assert bind(tuple(given_values), {}) == tuple(given_values)


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: name[0] not in ":@$"), values))
def test_names_are_bound_without_their_prefix(named: dict[str, Any]) -> None:
    prefixed = {f":{name}": value for name, value in named.items()}
    assert bind_many([prefixed, named]) == [named, named]


@given(st.integers(min_value=2**63) | st.integers(max_value=-(2**63) - 1))
def test_integers_beyond_64_bits_are_refused(number: int) -> None:
    with pytest.raises(InvalidBindParameter, match="64 bits"):
        bind((number,), {})


def test_infinity_is_bound() -> None:
    assert bind((math.inf,), {}) == (math.inf,)
