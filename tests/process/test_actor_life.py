"""Lives of actors in a real service: processes, disk and clock are those of the machine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from stator import ActorError, Client
from stator.runtime.exit_codes import ExitCode
from stator.runtime.handles import ActorHandle
from tests.fakes.real_service import RealService
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "lives"


def start(data: Path, **settings: object) -> RealService:
    """Start a service with the actors of this test."""
    given = {name.replace("__", "."): value for name, value in settings.items()}
    return RealService(data, {"application.path": APPLICATION, **given})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    with start(tmp_path_factory.mktemp("lives") / "data") as running:
        running.wait_ready()
        yield running


@asynccontextmanager
async def client_of(service: RealService) -> AsyncGenerator[Client]:
    async with Client(service.endpoint) as client:
        yield client


def key() -> list[str]:
    return [uuid4().hex]


def record(service: RealService, actor_id: str) -> dict[str, Any]:
    """Return what the control API shows of an actor."""
    (found,) = service.request("GET", f"/actors?namespace=default&actor_ids={actor_id}").json[
        "actors"
    ]
    return dict(found)


async def asleep(service: RealService, handle: ActorHandle) -> str:
    """Return the actor's id once it sleeps."""
    actor_id = await handle.resolve()
    await asyncio.to_thread(
        wait_until, lambda: record(service, actor_id)["sleep_ts"] is not None, "the actor sleeps"
    )
    return actor_id


def has_run(hook: str, marker: Path) -> bool:
    """Return whether the last hook of an actor with a marker ran."""
    return Path(f"{marker}.{hook}").exists()


async def test_an_idle_actor_sleeps_and_the_next_call_wakes_it_with_its_state(
    service: RealService,
) -> None:
    async with client_of(service) as client:
        sleeper = client.get_or_create("sleeper", key())
        assert await sleeper.seen() == ["wake"]
        await asleep(service, sleeper)
        assert await sleeper.seen() == ["wake", "sleep", "wake"]


async def test_an_operator_may_put_an_actor_to_sleep(service: RealService) -> None:
    async with client_of(service) as client:
        heavy = client.get_or_create("heavy", key())
        await heavy.seen()
        actor_id = await heavy.resolve()
        path = f"/actors/{actor_id}/sleep?namespace=default"
        answer = await asyncio.to_thread(service.send_json, "POST", path, {})
        assert answer.status == 200
        assert record(service, actor_id)["sleep_ts"] is not None
        assert await heavy.seen() == ["wake", "sleep", "wake"]


async def test_an_action_over_an_open_connection_wakes_its_actor(service: RealService) -> None:
    async with client_of(service) as client:
        sleeper = client.get_or_create("sleeper", key())
        async with sleeper.connect() as conn:
            await conn.seen()
            await asleep(service, sleeper)
            assert await conn.seen() == ["wake", "sleep", "wake"]


async def test_a_message_over_a_raw_socket_wakes_its_actor(service: RealService) -> None:
    async with client_of(service) as client:
        sleeper = client.get_or_create("sleeper", key())
        async with await sleeper.websocket("/") as socket:
            await socket.send("a")
            assert await anext(aiter(socket)) == "a, restored: False"
            await asleep(service, sleeper)
            await socket.send("b")
            assert await anext(aiter(socket)) == "b, restored: True"


async def test_a_schedule_wakes_a_sleeping_actor_whose_clients_hear_it(
    service: RealService,
) -> None:
    async with client_of(service) as client:
        sleeper = client.get_or_create("sleeper", key())
        async with sleeper.connect() as conn:
            events = conn.events("rang")
            await conn.ringAfter(3, "bell")
            await asleep(service, sleeper)
            assert await anext(events) == "bell"
            assert await conn.seen() == ["wake", "sleep", "wake", "bell"]


async def test_a_run_loop_that_waits_sleeps_and_a_publication_wakes_it(
    service: RealService,
) -> None:
    async with client_of(service) as client:
        loop = client.get_or_create("loop", key())
        await loop.enqueue("jobs", 3)
        await asleep(service, loop)
        outcome = await loop.enqueue("jobs", 4, wait=True, timeout=20)
        assert (outcome.status, outcome.reply) == ("completed", 7)
        assert await loop.seen() == [2, 7]


async def test_an_actor_that_does_not_start_answers_and_recovers(
    service: RealService, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    async with client_of(service) as client:
        marked = client.get_or_create("marked", key(), input=str(marker))
        actor_id = await marked.serve()
        await asyncio.to_thread(
            service.send_json, "POST", f"/actors/{actor_id}/sleep?namespace=default", {}
        )
        marker.touch()
        with pytest.raises(ActorError) as caught:
            await marked.serve()
        assert caught.value.code == "internal_error"
        assert "crashed" in record(service, actor_id)["error"]
        marker.unlink()
        assert await marked.serve() == actor_id
        assert "error" not in record(service, actor_id)


async def test_a_run_that_destroys_its_actor_leaves_nothing(
    service: RealService, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    async with client_of(service) as client:
        once = await client.create("once", key(), input=str(marker))
        actor_id = await once.resolve()
        wait_until(lambda: has_run("destroy", marker), "on_destroy ran")
        path = f"/actors?namespace=default&actor_ids={actor_id}"
        wait_until(lambda: service.request("GET", path).json["actors"] == [], "it is gone")
        with pytest.raises(ActorError) as caught:
            await client.get_for_id("once", actor_id).serve()
        assert caught.value.code == "not_found"


async def test_an_actor_that_is_destroyed_asleep_runs_no_hook(
    service: RealService, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    async with client_of(service) as client:
        marked = client.get_or_create("marked", key(), input=str(marker))
        actor_id = await marked.serve()
        path = f"/actors/{actor_id}"
        await asyncio.to_thread(service.send_json, "POST", f"{path}/sleep?namespace=default", {})
        assert has_run("sleep", marker)
        answer = await asyncio.to_thread(service.request, "DELETE", f"{path}?namespace=default")
        assert answer.status == 200
        assert not has_run("destroy", marker)
        assert await marked.serve() != actor_id


async def test_a_service_that_stops_lets_on_sleep_run_and_keeps_the_state(tmp_path: Path) -> None:
    with start(tmp_path / "data") as service:
        service.wait_ready()
        async with client_of(service) as client:
            assert await client.get_or_create("heavy", "k").seen() == ["wake"]
        service.send(signal.SIGTERM)
        assert service.wait_exit() == ExitCode.OK
    with start(tmp_path / "data") as again:
        again.wait_ready()
        async with client_of(again) as client:
            assert await client.get_or_create("heavy", "k").seen() == ["wake", "sleep", "wake"]


async def test_idle_actors_sleep_early_when_memory_is_short(tmp_path: Path) -> None:
    with start(tmp_path / "data", workers__memory_limit_mib=1) as service:
        service.wait_ready()
        async with client_of(service) as client:
            heavy = client.get_or_create("heavy", key())
            await heavy.seen()
            await asleep(service, heavy)
            assert await heavy.seen() == ["wake", "sleep", "wake"]
        service.wait_event("memory is above workers.memory_limit_mib: idle actors sleep early")
