"""What the lifecycle benchmark counts, sorts and reads: rates, percentiles, ids, rows by APSW."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest

from benchmarks.apsw_threads import ApswThreads
from benchmarks.lateness import percentile
from benchmarks.population import stored_ids
from benchmarks.workshop import rate
from stator.shards.store.database import ShardFile
from stator.shards.store.statements import STATEMENTS


def test_a_rate_counts_every_call_and_has_so_many_under_way() -> None:
    calls: list[int] = []
    under_way: list[int] = []
    now = 0

    async def one(number: int) -> None:
        nonlocal now
        calls.append(number)
        now += 1
        under_way.append(now)
        await asyncio.sleep(0)
        now -= 1

    per_second = asyncio.run(rate(one, at_once=4, seconds=0.01))
    assert per_second > 0
    assert calls == list(range(1, len(calls) + 1))
    assert max(under_way) == 4


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 6.0), (99, 10.0)])
def test_a_percentile_is_a_value_that_was_measured(percent: int, value: float) -> None:
    assert percentile([float(number) for number in range(1, 11)], percent) == value


def test_ids_are_those_of_one_kind_of_actor_whose_keys_begin_alike(tmp_path: Path) -> None:
    actors = [("a", "shelf", "nap1/0"), ("b", "shelf", "nap1/1"), ("c", "shelf", "nap10/0")]
    for shard, (actor_id, name, key) in enumerate([*actors, ("d", "bell", "nap1/0")]):
        connection = ShardFile(tmp_path, shard, 4).open_for_writing()
        row = (1, actor_id, "default", name, key, 0, None)
        connection.execute(STATEMENTS["insert_actor"], row)
        connection.close()
    assert stored_ids(tmp_path, "shelf", "nap1") == ["a", "b"]


def test_apsw_reads_and_writes_the_file_of_an_actor_in_threads(tmp_path: Path) -> None:
    path = str(tmp_path / "actor.sqlite")
    connection = apsw.Connection(path)
    connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT NOT NULL)")
    connection.close()

    async def use(threads: ApswThreads) -> list[tuple[str]]:
        await asyncio.to_thread(threads.write, "one")
        return await asyncio.to_thread(threads.read, 1)

    with ApswThreads(path) as threads:
        assert asyncio.run(use(threads)) == [("one",)]
