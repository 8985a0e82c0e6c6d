"""Limits of what one client may do to one actor: answers and the way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.hostile_clients import Door, call_bytes, reset
from tests.fakes.real_service import RealService
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.process

PER_MINUTE, IN_FLIGHT = 50, 2


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service with limits, and patience for bodies that do not come."""
    settings = {
        "workers.count": 1,
        "limits.requests_per_minute": PER_MINUTE,
        "limits.max_in_flight_per_client": IN_FLIGHT,
    }
    with RealService(tmp_path_factory.mktemp("strict"), settings) as running:
        running.wait_ready()
        yield running


def test_a_client_that_asks_too_often_is_told_when_to_come_back(strict: RealService) -> None:
    for _ in range(PER_MINUTE):
        assert strict.output("counter", "get", key="often") == 0
    answer = strict.action("counter", "get", key="often")
    assert answer.problem == "429 guard.rate_limit"
    assert answer.headers["x-rivet-error"] == "guard.rate_limit"
    wait_ms = answer.json["metadata"]["retry_after_ms"]
    assert 0 < wait_ms <= 61_000
    assert answer.json["metadata"]["limit"] == PER_MINUTE


def test_its_calls_of_other_actors_are_served(strict: RealService) -> None:
    answers = [strict.action("counter", "get", key="one") for _ in range(PER_MINUTE + 1)]
    assert answers[-1].status == 429
    assert strict.output("counter", "get", key="another") == 0


def test_a_client_with_too_much_under_way_is_served_once_that_is_over(strict: RealService) -> None:
    half = call_bytes(b'{"args":', announced=1000)
    under_way = [Door(strict).open(half) for _ in range(IN_FLIGHT)]
    wait_until(lambda: strict.action("echo", "echo", 1).status == 429, "two calls to be under way")
    reset(under_way[0])
    wait_until(lambda: strict.action("echo", "echo", 1).status == 200, "one of them to end")
    reset(under_way[1])
