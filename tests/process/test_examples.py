"""Each example with its own configuration: it starts, and its README tells the truth."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from examples.crawler.site import Site
from tests.fakes.example_service import EXAMPLES, SECONDS, ExampleService, check, shown_in

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl"),
]

T = TypeVar("T")
SHOWN = ["agent", "approval", "crawler", "jobs", "orders", "rate_limiter", "reminders", "tenants"]


@pytest.mark.parametrize("name", SHOWN)
def test_the_commands_of_a_readme_print_what_it_says(name: str, tmp_path: Path) -> None:
    blocks = shown_in(EXAMPLES / name / "README.md")
    assert blocks

    with ExampleService(name, tmp_path) as service:
        service.wait_ready()
        for block in blocks:
            check(service, block)


def get(url: str) -> str:
    """Return what is at an address."""
    return subprocess.run(
        ["curl", "-fsS", url], capture_output=True, check=True, text=True, timeout=SECONDS
    ).stdout


def wait_for(look: Callable[[], T | None]) -> T:
    """Return what ``look`` finds, once it finds something."""
    deadline = time.monotonic() + SECONDS
    while (found := look()) is None:
        assert time.monotonic() < deadline
    return found


def test_the_client_of_the_reminders_hears_one(tmp_path: Path) -> None:
    with ExampleService("reminders", tmp_path) as service:
        service.wait_ready()
        printed = service.run_client("reminders", "Ann", "--seconds", "0.2")

    assert "cancelled: True\n" in printed
    assert "to come: Stand up (0 9 * * 1-5 Europe/Berlin)\n" in printed
    assert re.search(r"^rang: The tea is ready, \d\.\d s late$", printed, re.M)


def test_the_client_of_the_jobs_sees_them_done_and_given_up(tmp_path: Path) -> None:
    with ExampleService("jobs", tmp_path) as service:
        service.wait_ready()
        printed = service.run_client("jobs", "--count", "4")

    assert printed.count("done: ") == 4
    assert re.search(r"^\w+-0: \w{8} after 3 attempt", printed, re.M)
    assert re.search(r"^\w+-1: - after 3 attempt", printed, re.M)
    assert re.search(r"^\w+-3: \w{8} after 1 attempt", printed, re.M)


def test_jobs_are_done_although_all_workers_die(tmp_path: Path) -> None:
    with ExampleService("jobs", tmp_path) as service:
        service.wait_ready()
        with service.start_client("jobs", "--count", "60") as client:
            assert client.stdout
            assert client.stdout.readline().startswith("done: ")
            for worker in service.pids()[1:]:
                os.kill(worker, signal.SIGKILL)
            printed, _ = client.communicate(timeout=SECONDS)

    assert client.returncode == 0
    ends = re.findall(r"^\w+-(\d+): (\S+) after \d attempt", printed, re.M)
    assert [int(number) for number, _ in ends] == list(range(60))
    assert "-" not in [digest for _, digest in ends[2:]]  # the first two fail by themselves


def test_an_expense_is_decided_although_all_workers_die_while_it_waits(tmp_path: Path) -> None:
    with ExampleService("approval", tmp_path) as service:
        service.wait_ready()
        with service.start_client("approval", "Chairs", "4200") as client:
            assert client.stdout
            page = client.stdout.readline().removeprefix("decide on ").strip()
            promise = wait_for(lambda: re.search(r'"promise":"([^"]+)"', get(page)))[1]
            for worker in service.pids()[1:]:
                os.kill(worker, signal.SIGKILL)
            body = f'{{"args": ["{promise}", true, "Ann"]}}'
            assert '"output":null' in service.run(
                f"examples/post approvals team action/decide '{body}'"
            )
            printed, _ = client.communicate(timeout=SECONDS)

    assert client.returncode == 0
    assert printed == "Chairs: approved by Ann\n"


def test_a_crawl_finds_each_page_once_although_all_workers_die(tmp_path: Path) -> None:
    site = Site(seconds=0.1)

    def crawl(url: str) -> str:
        with service.start_client("crawler", url, "--depth", "9") as client:
            assert client.stdout
            assert client.stdout.readline().startswith("fetched: ")
            for worker in service.pids()[1:]:
                os.kill(worker, signal.SIGKILL)
            printed, _ = client.communicate(timeout=SECONDS)
        assert client.returncode == 0
        return printed

    async def crawl_the_site() -> str:
        async with site.serving() as url:
            return await asyncio.to_thread(crawl, url)

    with ExampleService("crawler", tmp_path) as service:
        service.wait_ready()
        printed = asyncio.run(crawl_the_site())

    # 40 pages; 5 is missing, and 6 others can be found through it alone.
    assert "34 pages, 1 of them failed\n" in printed
    titles = re.findall(r"^\d  \S+/(\d+)  Page (\d+)$", printed, re.M)
    assert len(set(titles)) == len(titles) == 33
    again = {number for number, count in site.asked.items() if count > 1 and number % 7 != 3}
    assert len(again) <= 4


def test_orders_are_shipped_and_paid_once_although_all_workers_die(tmp_path: Path) -> None:
    with ExampleService("orders", tmp_path) as service:
        service.wait_ready()
        with service.start_client("orders", "--count", "8") as client:
            assert client.stdout
            assert client.stdout.readline().endswith(": reserved\n")
            for worker in service.pids()[1:]:
                os.kill(worker, signal.SIGKILL)
            printed, _ = client.communicate(timeout=SECONDS)

    assert client.returncode == 0
    assert len(re.findall(r"^\w+-\d: shipped$", printed, re.M)) == 8
    assert re.search(r"^\w+-far: refused Nobody delivers", printed, re.M)
    assert "stock: {'tea': 2, 'cake': 3}\n" in printed
    assert "Ann has 8000 cents\n" in printed


def test_the_client_of_the_agent_prints_the_conversation(tmp_path: Path) -> None:
    with ExampleService("agent", tmp_path) as service:
        service.wait_ready()
        printed = service.run_client("agent", "What is 12 * 7?", "Thank you")

    assert "you:   What is 12 * 7?\nagent: [calculate: 84] The answer is 84.\n" in printed
    assert "you:   Thank you\nagent: You said: Thank you That is message 2 " in printed
