"""What a worker holds for one connection that asks for large answers and reads none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.hostile_clients import Door, push, reset
from tests.fakes.hostile_web_sockets import enter, question
from tests.fakes.real_service import RealService

pytestmark = pytest.mark.process

ROUNDS, FIRST = 6, 2
PATIENCE = 5
"""How often the service is asked whether it still answers: what was asked for is a quarter of a
gigabyte each round, and a loaded machine takes its time over it."""
STEPS = 1.5
"""What memory may grow by between rounds, as malloc takes it in steps."""
GENEROUS = 6
"""What a worker may come to, in terms of what it is at rest: its backlog, and as much again on the
way through it. The answers that a connection may have asked for at once are more than that."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service with one worker."""
    settings = {"workers.count": 1, "storage.shards": 2}
    with RealService(tmp_path_factory.mktemp("unread"), settings) as running:
        running.wait_ready()
        yield running


def _peak(service: RealService) -> int:
    """Return the most memory that the worker ever had, in KiB."""
    status = Path(f"/proc/{service.pids()[1]}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1])


def _ask_without_reading(service: RealService, key: str) -> None:
    """Ask for as much as the service lets a connection ask for, and leave."""
    raw = enter(Door(service), key, receive_buffer=4096)
    push(raw, question(0, "big", 1_000_000), at_most=2_000_000)
    reset(raw)


def test_a_client_that_reads_no_answers_costs_its_worker_a_bounded_amount_of_memory(
    target: RealService,
) -> None:
    assert target.output("echo", "echo", 1) == 1
    at_rest = _peak(target)
    used: list[int] = []
    for number in range(ROUNDS):
        _ask_without_reading(target, f"unread-{number}")
        used.append(_peak(target))
    assert used[-1] <= GENEROUS * at_rest, (at_rest, used)
    assert used[-1] <= STEPS * used[FIRST - 1], (at_rest, used)
    assert any(_still_answers(target) for _ in range(PATIENCE))


def _still_answers(service: RealService) -> bool:
    try:
        return bool(service.output("echo", "echo", 2) == 2)
    except TimeoutError:
        return False
