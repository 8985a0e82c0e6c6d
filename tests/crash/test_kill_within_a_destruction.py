"""A worker that dies in the midst of the destruction of an actor that has a bit of everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.life_journal import DataDirectory
from tests.crash.service_under_fire import ServiceUnderFire, service_under_fire
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.crash

HAD = ("states", "messages", "queues", "schedules", "pairs")
"""The tables in which an actor that lived has rows."""


@pytest.fixture
def service(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceUnderFire]:
    monkeypatch.setenv("STATOR_CRASH_JOURNAL", str(short_tmp))
    settings: dict[str, object] = {
        "application__registry": "life_application:registry",
        "server__gateways": 1,
        "workers__count": 1,
    }
    with service_under_fire(short_tmp, **settings) as running:
        yield running


def assert_live(directory: Path, actor_ids: list[str]) -> None:
    """Fail unless these actors have everything, and nobody else has anything."""
    files = DataDirectory(directory / "data")
    assert sorted(files.actors()) == sorted(actor_ids)
    assert files.databases() == sorted(actor_ids)
    assert files.rows_of_nobody() == 0
    for table in HAD:
        assert sorted(files.owners(table)) == sorted(actor_ids), table


@pytest.mark.parametrize("point", ["commit.before", "commit.before_sync"])
def test_a_destruction_that_was_not_committed_leaves_everything(
    service: ServiceUnderFire, short_tmp: Path, point: str
) -> None:
    actor_id = service.call("mayfly", "one", "live").value

    assert service.call("mayfly", "one", "vanish", point).status in (0, 503)

    assert service.read("mayfly", "one", "who") == (200, actor_id)
    assert service.stop() == 0
    assert_live(short_tmp, [actor_id])


@pytest.mark.parametrize(
    "point", ["commit.after", "database.before_delete", "database.after_delete", "within-destroy"]
)
def test_a_destruction_that_was_committed_leaves_nothing_wherever_its_worker_dies(
    service: ServiceUnderFire, short_tmp: Path, point: str
) -> None:
    actor_id = service.call("mayfly", "one", "live").value
    other_id = service.call("mayfly", "other", "live").value
    workers = service.pids("worker")
    if point == "within-destroy":
        (short_tmp / point).touch()

    service.call("mayfly", "one", "vanish", point)
    wait_until(lambda: service.pids("worker") != workers, "the worker dies")

    assert service.read("mayfly", "one", "who").status == 404
    assert service.call("mayfly", "one", "live").value != actor_id
    new_id = service.read("mayfly", "one", "who").value
    assert service.stop() == 0
    assert_live(short_tmp, [other_id, new_id])
