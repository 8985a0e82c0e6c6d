"""A worker that dies at a named point of a commit: what was acknowledged decides what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.service_under_fire import ServiceUnderFire, service_under_fire

pytestmark = pytest.mark.crash

BEFORE = ["commit.before", "commit.before_sync"]
AFTER = ["commit.after"]


@pytest.mark.parametrize(
    ("point", "left"),
    [*((point, ["kept"]) for point in BEFORE), *((point, ["kept", "struck"]) for point in AFTER)],
)
def test_a_change_that_was_not_acknowledged_is_whole_or_absent(
    short_tmp: Path, point: str, left: list[str]
) -> None:
    with service_under_fire(short_tmp) as service:
        assert service.call("ledger", "one", "append", "kept") == (200, 1)
        workers = _armed(service, point, "one")

        struck = service.call("ledger", "one", "append", "struck")

        assert struck.status in (0, 503)
        assert service.read("ledger", "one", "tokens") == (200, left)
        assert service.pids("worker") != workers, "no worker died"


@pytest.mark.parametrize("point", BEFORE)
def test_an_actor_whose_creation_was_not_committed_does_not_exist(
    short_tmp: Path, point: str
) -> None:
    with service_under_fire(short_tmp, workers__count=1) as service:
        service.call("ledger", "one", "append", "kept")
        _armed(service, point, "one")

        assert service.call("ledger", "new", "append", "struck").status in (0, 503)

        assert service.read("ledger", "new", "tokens").status == 404
        assert service.call("ledger", "new", "append", "later") == (200, 1)


@pytest.mark.parametrize("point", AFTER)
def test_an_actor_whose_creation_was_committed_exists_whole(short_tmp: Path, point: str) -> None:
    with service_under_fire(short_tmp, workers__count=1) as service:
        service.call("ledger", "one", "append", "kept")
        _armed(service, point, "one")

        assert service.call("ledger", "new", "append", "struck").status in (0, 503)

        assert service.read("ledger", "new", "tokens") == (200, ["struck"])


def test_a_reader_is_not_told_of_a_change_that_a_crash_takes_back(short_tmp: Path) -> None:
    with service_under_fire(short_tmp, server__gateways=1) as service:
        service.call("ledger", "one", "append", "kept")
        _armed(service, "commit.before_sync", "one")

        service.call("ledger", "one", "append", "struck")

        assert service.call("ledger", "one", "tokens") == (200, ["kept"])
        assert service.call("ledger", "one", "append", "later") == (200, 2)


def _armed(service: ServiceUnderFire, point: str, key: str) -> list[int]:
    """Let the worker of a ledger die at ``point``; return the workers as of now."""
    assert service.call("ledger", key, "arm_kill", point).status == 200
    return service.pids("worker")
