"""The plan: every shard has exactly one worker, in contiguous ranges of nearly equal size."""

from typing import Literal

import pytest

from stator.runtime.config import Config, Server, Workers
from stator.runtime.control import Role
from stator.supervisor.plan import Plan, make_plan, range_of, title_of, worker_count


def _plan(shards: int, workers: int, gateways: int = 1) -> Plan:
    config = Config(
        server=Server(gateways=gateways),
        workers=Workers(count=workers),
    )
    return make_plan(config, shards=shards, cores=1, command=("python", "-m", "stator"))


@pytest.mark.parametrize(
    ("count", "cores", "shards", "expected"),
    [("auto", 4, 8, 4), ("auto", 16, 8, 8), (3, 16, 8, 3), (9, 1, 8, 8), (1, 1, 1, 1)],
)
def test_there_is_a_worker_per_core_but_never_more_than_shards(
    count: int | Literal["auto"], cores: int, shards: int, expected: int
) -> None:
    config = Config(workers=Workers(count=count))
    assert worker_count(config, shards, cores) == expected


@pytest.mark.parametrize("shards", [1, 2, 7, 8, 64, 4096])
@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8, 64])
def test_every_shard_has_one_owner_and_every_worker_a_fair_contiguous_range(
    shards: int, workers: int
) -> None:
    plan = _plan(shards, workers)
    owned = [worker.shards for worker in plan.workers]
    assert [shard for group in owned for shard in group] == list(range(shards))
    sizes = {len(group) for group in owned}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    for worker in plan.workers:
        assert {plan.owners[shard] for shard in worker.shards} == {worker.index}


def test_gateways_have_the_first_slots_and_own_nothing() -> None:
    plan = _plan(shards=4, workers=2, gateways=2)
    assert [(child.role, child.index, child.slot) for child in plan.children] == [
        (Role.GATEWAY, 0, 0),
        (Role.GATEWAY, 1, 1),
        (Role.WORKER, 0, 2),
        (Role.WORKER, 1, 3),
    ]
    assert [gateway.shards for gateway in plan.gateways] == [(), ()]


def test_a_child_is_started_by_its_role_and_index() -> None:
    plan = _plan(shards=4, workers=2)
    assert plan.workers[1].argv == ("python", "-m", "stator", "worker", "1")
    assert plan.gateways[0].argv == ("python", "-m", "stator", "gateway", "0")
    assert plan.trial == ("python", "-m", "stator", "trial")


def test_titles_name_role_index_and_shards() -> None:
    assert title_of(Role.GATEWAY, 0, ()) == "stator: gateway 0"
    assert title_of(Role.WORKER, 1, (4, 5, 6, 7)) == "stator: worker 1 (shards 4-7)"
    assert range_of([3]) == "shard 3"
