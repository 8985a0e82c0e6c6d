"""A worker that dies in the midst of a migration or a transaction of an actor's database."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.life_application import ACCOUNTS, EACH, ROWS
from tests.crash.life_journal import DataDirectory
from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire

pytestmark = pytest.mark.crash

SUM = ACCOUNTS * EACH
FRESH: tuple[int, list[object]] = (200, [3, ROWS, SUM, []])
"""What a bank says of itself that was migrated and did nothing yet."""
SECONDS = 15.0
"""How long the longest of these tests kills."""
AT_ONCE = 5
"""How many migrations are under way at a kill."""
LONGEST_PAUSE_S = 0.1
"""Between the requests and the kill; migrations take some milliseconds once they have begun."""


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


def tables(directory: Path) -> list[str]:
    """Return the names of all tables in the databases of actors, as another process sees them."""
    found: list[str] = []
    for file in directory.glob("data/shard-*-databases/*.sqlite"):
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        found += [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")]
        connection.close()
    return found


# -- migrations


@pytest.mark.parametrize("step", [0, ACCOUNTS // 2, ACCOUNTS - 1])
def test_nothing_stays_of_a_migration_that_was_cut_off(
    service: ServiceUnderFire, short_tmp: Path, step: int
) -> None:
    (short_tmp / f"within-migration-{step}").touch()

    assert service.call("bank", "one", "audit").status in (0, 503)

    assert tables(short_tmp) == []
    assert service.insist("bank", "one", "audit") == FRESH


@pytest.mark.parametrize(("point", "is_there"), [("before_commit", False), ("after_commit", True)])
def test_a_migration_is_there_whole_or_not_at_all(
    service: ServiceUnderFire, short_tmp: Path, point: str, is_there: bool
) -> None:
    service.call("clerk", "one", "arm_kill", f"database.{point}")

    assert service.call("bank", "one", "audit").status in (0, 503)

    assert ("transfers" in tables(short_tmp)) is is_there
    assert service.insist("bank", "one", "audit") == FRESH


def test_migrations_that_are_cut_off_at_random_are_done_by_the_next_start(
    service: ServiceUnderFire, short_tmp: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random()
    end = time.monotonic() + SECONDS
    kills = cut_off = 0
    with ThreadPoolExecutor(AT_ONCE) as threads:
        while time.monotonic() < end:
            banks = [f"bank-{kills}-{number}" for number in range(AT_ONCE)]
            audits = [threads.submit(service.call, "bank", bank, "audit") for bank in banks]
            time.sleep(rng.uniform(0, LONGEST_PAUSE_S))
            service.kill(Victim.WORKER, rng)
            kills += 1
            cut_off += sum(audit.result().status != 200 for audit in audits)
            again = [service.insist("bank", bank, "audit") for bank in banks]
            assert again == [FRESH] * AT_ONCE

    with capfd.disabled():
        print(
            f"\n{kills} kills around {kills * AT_ONCE} migrations, {cut_off} cut off",
            file=sys.stderr,
        )
    assert service.stop() == 0
    files = DataDirectory(short_tmp / "data")
    assert files.databases() == sorted(files.actors())


# -- transactions


def test_nothing_stays_of_a_transaction_that_was_cut_off(
    service: ServiceUnderFire, short_tmp: Path
) -> None:
    assert service.call("bank", "one", "move", "first", 0, 1).status == 200
    (short_tmp / "within-transaction").touch()

    assert service.call("bank", "one", "move", "struck", 0, 1).status in (0, 503)

    assert service.read("bank", "one", "audit") == (200, [3, ROWS, SUM, ["first"]])


@pytest.mark.parametrize(
    ("point", "left"), [("before_commit", ["first"]), ("after_commit", ["first", "struck"])]
)
def test_a_transaction_is_there_whole_or_not_at_all(
    service: ServiceUnderFire, point: str, left: list[str]
) -> None:
    assert service.call("bank", "one", "move", "first", 0, 1).status == 200
    service.call("bank", "one", "arm_kill", f"database.{point}")

    assert service.call("bank", "one", "move", "struck", 0, 1).status in (0, 503)

    assert service.read("bank", "one", "audit") == (200, [3, ROWS, SUM, left])


@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.TREE], ids=lambda victim: victim.value)
def test_an_acknowledged_transaction_survives(service: ServiceUnderFire, victim: Victim) -> None:
    tokens = [f"token-{number}" for number in range(5)]
    for token in tokens:
        assert service.call("bank", "one", "move", token, 0, 1).status == 200

    service.strike(victim)

    assert service.read("bank", "one", "audit") == (200, [3, ROWS, SUM, tokens])


@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.TREE], ids=lambda victim: victim.value)
def test_acknowledged_pairs_survive(service: ServiceUnderFire, victim: Victim) -> None:
    for number in range(1, 6):
        assert service.call("drawer", "one", "put", "number", number).status == 200

    service.strike(victim)

    assert service.read("drawer", "one", "get", "number") == (200, [5, 5, 5])


@pytest.mark.parametrize(
    ("point", "left"), [("commit.before", 1), ("commit.before_sync", 1), ("commit.after", 2)]
)
def test_pairs_of_a_batch_and_the_state_are_one_commit(
    service: ServiceUnderFire, point: str, left: int
) -> None:
    service.call("drawer", "one", "put", "number", 1)
    service.call("drawer", "one", "arm_kill", point)

    assert service.call("drawer", "one", "put", "number", 2).status in (0, 503)

    assert service.read("drawer", "one", "get", "number") == (200, [left] * 3)
