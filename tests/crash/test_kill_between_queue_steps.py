"""A worker that dies between the steps of a message's way: sent, taken, completed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.life_journal import Journal
from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.crash

BEFORE = ["commit.before", "commit.before_sync"]
AFTER = ["commit.after"]
REFUSED = (0, 503)
"""What a sender may be told whose worker died."""


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


@pytest.fixture
def journal(short_tmp: Path) -> Journal:
    return Journal(short_tmp)


# -- sent


@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.TREE], ids=lambda victim: victim.value)
def test_what_was_sent_and_not_taken_is_there_in_order(
    service: ServiceUnderFire, victim: Victim
) -> None:
    letters = [f"letter-{number}" for number in range(5)]
    for letter in letters:
        assert service.enqueue("tray", "one", "letters", letter).status == 200

    service.strike(victim)

    taken = [service.read("tray", "one", "take").value for _ in letters]
    assert taken == letters
    assert service.read("tray", "one", "take") == (200, None)


@pytest.mark.parametrize(
    ("point", "left"), [*((point, None) for point in BEFORE), *((point, "new") for point in AFTER)]
)
def test_a_message_that_was_not_acknowledged_is_there_if_it_was_committed(
    service: ServiceUnderFire, point: str, left: str | None
) -> None:
    service.call("tray", "one", "who")
    assert service.call("tray", "one", "arm_kill", point).status == 200

    assert service.enqueue("tray", "one", "letters", "new").status in REFUSED

    service.read("tray", "one", "who")  # answers when there is a worker again
    assert service.enqueue("tray", "one", "letters", "last").status == 200
    taken = [service.read("tray", "one", "take").value for _ in range(2)]
    assert taken == ([left, "last"] if left else ["last", None])


@pytest.mark.parametrize("point", [*BEFORE, *AFTER])
def test_ids_are_not_used_again_after_a_crash(service: ServiceUnderFire, point: str) -> None:
    assert service.call("clerk", "one", "post", "first") == (200, 1)
    wait_until(lambda: done(service) == [[1, "first"]], "the only message is completed")
    service.call("clerk", "one", "arm_kill", point)
    assert service.call("clerk", "one", "post", "struck").status in REFUSED

    struck_id = 2 if point in AFTER else None

    assert service.read("clerk", "one", "post", "last") == (200, 3 if struck_id else 2)
    wait_until(lambda: done(service)[-1][1] == "last", "the last message is completed")


# -- taken


def test_a_message_that_was_taken_to_be_completed_comes_again(
    service: ServiceUnderFire, journal: Journal, short_tmp: Path
) -> None:
    service.call("clerk", "one", "who")
    (short_tmp / "within-job").touch()

    service.enqueue("clerk", "one", "jobs", "only")  # it may be answered before it is taken

    wait_until(lambda: done(service) == [[1, "only"]], "it is completed")
    assert journal.lines("began", "one") == [("1", "only")] * 2


@pytest.mark.parametrize("point", BEFORE)
def test_a_plain_message_whose_removal_was_not_committed_comes_again(
    service: ServiceUnderFire, journal: Journal, point: str
) -> None:
    service.enqueue("tray", "one", "letters", "only")

    assert service.call("tray", "one", "take", point).status in REFUSED

    assert journal.lines("read", "one") == []
    assert service.read("tray", "one", "take") == (200, "only")
    assert service.read("tray", "one", "take") == (200, None)


def test_a_plain_message_whose_removal_was_committed_does_not_come_again(
    service: ServiceUnderFire, journal: Journal
) -> None:
    service.enqueue("tray", "one", "letters", "only")

    assert service.call("tray", "one", "take", "commit.after").status in REFUSED

    assert service.read("tray", "one", "take") == (200, None)
    assert journal.lines("read", "one") == []


# -- completed


@pytest.mark.parametrize(("point", "begun"), [*((point, 2) for point in BEFORE), (AFTER[0], 1)])
def test_completion_and_state_are_one_commit(
    service: ServiceUnderFire, journal: Journal, point: str, begun: int
) -> None:
    service.call("clerk", "one", "who")

    answer = service.enqueue("clerk", "one", "jobs", point, wait=True)

    assert answer.status in REFUSED
    wait_until(lambda: done(service) == [[1, point]], "it is completed")
    service.enqueue("clerk", "one", "jobs", "next", wait=True)
    assert done(service) == [[1, point], [2, "next"]]
    assert journal.lines("began", "one").count(("1", point)) == begun


def test_what_was_committed_before_the_completion_is_done_again(
    service: ServiceUnderFire, short_tmp: Path
) -> None:
    service.call("clerk", "one", "who")
    (short_tmp / "after-save").touch()

    service.enqueue("clerk", "one", "jobs", "save early")

    wait_until(lambda: len(done(service)) == 2, "it is done again")
    service.enqueue("clerk", "one", "jobs", "next", wait=True)
    assert done(service) == [[1, "save early"], [1, "save early"], [2, "next"]]


# -- waited for


def test_who_waits_for_a_message_whose_worker_dies_may_ask_again(
    service: ServiceUnderFire, journal: Journal, short_tmp: Path
) -> None:
    service.call("clerk", "one", "who")
    (short_tmp / "within-job").touch()

    answer = service.enqueue("clerk", "one", "jobs", "awaited", wait=True)

    assert answer.status == 503
    assert (answer.value["group"], answer.value["code"]) == ("actor", "restarting")
    assert answer.value["metadata"]["retryable"] is True
    wait_until(lambda: done(service) == [[1, "awaited"]], "it is done by the next worker")
    assert journal.lines("began", "one") == [("1", "awaited")] * 2


def done(service: ServiceUnderFire) -> list[list[object]]:
    """Return ids and bodies of what the clerk ``one`` completed."""
    result: list[list[object]] = service.read("clerk", "one", "done").value
    return result
