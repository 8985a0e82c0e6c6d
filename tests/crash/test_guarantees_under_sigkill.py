"""One SIGKILL for each promise of docs/guarantees.md."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

import pytest

from tests.crash.service_under_fire import Answer, ServiceUnderFire, Victim, service_under_fire
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.crash

EVERY_VICTIM = pytest.mark.parametrize("victim", Victim, ids=lambda victim: victim.value)


@EVERY_VICTIM
def test_an_acknowledged_change_survives(short_tmp: Path, victim: Victim) -> None:
    with service_under_fire(short_tmp) as service:
        tokens = [f"token-{number}" for number in range(5)]
        for place, token in enumerate(tokens, 1):
            assert service.call("ledger", "one", "append", token) == (200, place)

        service.strike(victim)

        assert service.read("ledger", "one", "tokens") == (200, tokens)


@EVERY_VICTIM
def test_an_acknowledged_creation_survives(short_tmp: Path, victim: Victim) -> None:
    with service_under_fire(short_tmp) as service:
        created = _create(service, "one")
        assert created.status == 200
        actor_id = created.value["actor"]["actor_id"]

        service.strike(victim)

        assert _find(service, actor_id) == [actor_id]
        again = _create(service, "one")
        assert (again.status, again.value["metadata"]["existing_actor_id"]) == (400, actor_id)


@EVERY_VICTIM
def test_an_acknowledged_destroy_survives(short_tmp: Path, victim: Victim) -> None:
    with service_under_fire(short_tmp) as service:
        service.call("ledger", "one", "append", "gone")
        actor_id = _create(service, "one").value["metadata"]["existing_actor_id"]
        assert service.request("DELETE", f"/actors/{actor_id}?namespace=default").status == 200

        service.strike(victim)

        assert service.read("ledger", "one", "tokens").status == 404
        assert _find(service, actor_id) == []
        assert service.call("ledger", "one", "append", "first") == (200, 1)


@EVERY_VICTIM
def test_an_acknowledged_end_survives_before_its_hook_is_done(
    short_tmp: Path, victim: Victim
) -> None:
    with service_under_fire(short_tmp, actors__sleep_grace_period=1) as service:
        actor_id = service.call("mortal", "one", "who").value
        assert service.call("mortal", "one", "vanish").status == 200

        service.strike(victim)

        assert _find(service, actor_id) == []
        assert service.read("mortal", "one", "who").status == 404


@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.GATEWAY], ids=lambda victim: victim.value)
def test_a_killed_child_costs_at_most_the_request_it_held(short_tmp: Path, victim: Victim) -> None:
    with service_under_fire(short_tmp, server__gateways=1, workers__count=1) as service:
        service.call("ledger", "one", "append", "before")

        service.kill(victim, random.Random())

        statuses = [service.call("ledger", "one", "length").status for _ in range(10)]
        assert statuses[1:] == [200] * 9
        assert statuses[0] in (200, 0, 503)


def test_no_child_survives_the_supervisor(short_tmp: Path) -> None:
    with service_under_fire(short_tmp) as service:
        service.kill(Victim.SUPERVISOR, random.Random())

        service.wait_orphans_gone()


def test_no_busy_child_survives_the_supervisor(short_tmp: Path) -> None:
    with service_under_fire(short_tmp, workers__grace_period=1) as service:
        with service.calling("ledger", "one", "append_and_stay", "stored", 3600):
            wait_until(lambda: service.call("ledger", "one", "length").value == 1, "it is busy")

            service.kill(Victim.SUPERVISOR, random.Random())
            service.wait_orphans_gone()

        service.start()
        assert service.read("ledger", "one", "tokens") == (200, ["stored"])


def test_no_blocked_child_survives_the_supervisor(short_tmp: Path) -> None:
    with service_under_fire(short_tmp, workers__grace_period=1) as service:
        service.call("ledger", "one", "append", "stored")
        sign = short_tmp / "blocked"
        with service.calling("ledger", "one", "block", str(sign)):
            wait_until(sign.exists, "its event loop is blocked")

            service.kill(Victim.SUPERVISOR, random.Random())
            service.wait_orphans_gone()

        service.start()
        assert service.read("ledger", "one", "tokens") == (200, ["stored"])


def test_no_child_that_hangs_in_its_start_survives_the_supervisor(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = short_tmp / "hangs"
    monkeypatch.setenv("HANGING_APPLICATION_SIGN", str(sign))
    settings = {"application.registry": "hanging_application:registry", "workers.grace_period": 1}
    service = ServiceUnderFire(short_tmp, settings)
    try:
        is_hanging = partial(wait_until, sign.exists, "a worker imports the application")
        service.start_and_kill(Victim.SUPERVISOR, once=is_hanging)
        service.wait_orphans_gone()
    finally:
        service.close()


def test_a_start_after_a_killed_tree_needs_no_manual_step(short_tmp: Path) -> None:
    unix_socket = short_tmp / "public.sock"
    with service_under_fire(short_tmp, server__unix_socket=unix_socket) as service:
        for place in range(1, 4):
            assert service.call("ledger", "one", "append", f"token-{place}") == (200, place)
            service.kill(Victim.TREE, random.Random())
            assert unix_socket.exists()
            assert (short_tmp / "data" / "service.json").exists()
            service.start()

        assert service.call("ledger", "one", "length") == (200, 3)
        assert service.stop() == 0


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0])
def test_a_first_start_that_is_killed_can_be_repeated(short_tmp: Path, pause: float) -> None:
    service = ServiceUnderFire(short_tmp)
    try:
        service.start_and_kill(Victim.TREE, once=partial(time.sleep, pause))
        service.start()

        assert service.call("ledger", "one", "append", "first") == (200, 1)
    finally:
        service.close()


def _create(service: ServiceUnderFire, key: str) -> Answer:
    body = {
        "name": "ledger",
        "key": key,
        "runner_name_selector": "default",
        "crash_policy": "sleep",
    }
    return service.request("POST", "/actors?namespace=default", body)


def _find(service: ServiceUnderFire, actor_id: str) -> list[str]:
    path = f"/actors?actor_ids={actor_id}&namespace=default"
    answers: list[Answer] = []

    def is_answered() -> bool:
        answers.append(service.request("GET", path))
        return answers[-1].status == 200

    wait_until(is_answered, "the actor can be looked up")
    return [actor["actor_id"] for actor in answers[-1].value["actors"]]
