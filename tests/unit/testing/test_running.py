"""A whole service within a test: what works in it, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from pathlib import Path

import psutil
import pytest
import uvloop

from stator.runtime.errors import ActorError
from stator.testing import running
from tests.fakes.tested_room import TestedRoom, registry


async def test_actions_run() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom, ["a"])
        assert await room.add(2) == 2
        assert await room.call(TestedRoom.add, 3) == 5
        assert await client.get("room", "a").add(1) == 6


async def test_errors_arrive_as_they_do_outside() -> None:
    async with running(registry) as client:
        with pytest.raises(ActorError) as caught:
            await client.get(TestedRoom, ["nobody"]).add()
        assert caught.value.code == "not_found"


async def test_actors_are_created_and_found_by_id() -> None:
    async with running(registry) as client:
        made = await client.create(TestedRoom, ["a"])
        await made.add(7)
        actor_id = await made.resolve()
        assert await client.get_for_id(TestedRoom, actor_id).add() == 8


async def test_events_arrive_over_a_connection() -> None:
    async with (
        running(registry) as client,
        client.get_or_create(TestedRoom).connect() as conn,
    ):
        events = conn.events(TestedRoom.counted)
        assert await conn.add(4) == 4
        assert await anext(aiter(events)) == 4


async def test_raw_requests_are_answered() -> None:
    async with running(registry) as client:
        response = await client.get_or_create(TestedRoom).fetch("/some/where")
        found = await response.json()
        assert found["path"] == "/some/where"
        assert found["url"].startswith("http://localhost/")


async def test_raw_sockets_are_served() -> None:
    async with running(registry) as client:
        socket = await client.get_or_create(TestedRoom).websocket("/echo")
        async with socket:
            await socket.send("hello")
            assert await anext(socket) == "hello!"


@pytest.mark.parametrize("encoding", ["cbor", "bare", "json"])
async def test_the_client_speaks_any_encoding(encoding: str) -> None:
    async with running(registry, encoding=encoding) as client:  # type: ignore[arg-type]
        assert await client.get_or_create(TestedRoom).add(2) == 2


async def test_services_of_one_process_do_not_meet() -> None:
    async with running(registry) as one, running(registry) as other:
        await one.get_or_create(TestedRoom, ["a"]).add(5)
        await one.testing.advance(1000)
        assert await other.get_or_create(TestedRoom, ["a"]).add(1) == 1
        assert other.testing.now() < one.testing.now() - 900


def test_it_runs_on_another_kind_of_loop() -> None:
    async def use() -> int:
        async with (
            running(registry) as client,
            client.get_or_create(TestedRoom).connect() as conn,
        ):
            await conn.add()
            await client.testing.crash()
            client.testing.advance(100)
            total: int = await conn.add()
            return total

    assert uvloop.run(use()) == 2


async def test_the_environment_means_other_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVET_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("RIVET_TOKEN", "a, b")
    monkeypatch.setenv("RIVET_NAMESPACE", "elsewhere")
    async with (
        running(registry) as client,
        client.get_or_create(TestedRoom).connect() as conn,
    ):
        assert await conn.add() == 1


async def test_it_may_be_opened_and_closed_by_different_tasks() -> None:
    """As plugins do that make a fixture of it."""
    service = running(registry)
    client = await asyncio.create_task(service.__aenter__())
    assert await client.get_or_create(TestedRoom).add() == 1
    await asyncio.create_task(service.__aexit__(None, None, None))


async def test_no_port_is_open() -> None:
    async with running(registry) as client:
        await client.get_or_create(TestedRoom).add()
        assert psutil.Process().net_connections("inet") == []


# -- the end


async def test_actors_are_stopped_in_an_orderly_way() -> None:
    async with running(registry) as client:
        await client.get_or_create(TestedRoom).add()
    assert TestedRoom.seen == ["asleep"]


async def test_connections_end_before_their_actors_do() -> None:
    async with running(registry) as client:
        conn = client.get_or_create(TestedRoom).connect()
        await conn.ready()
    assert TestedRoom.seen == ["disconnected", "asleep"]


async def test_nothing_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tasks = asyncio.all_tasks()
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        async with room.connect() as conn:
            await conn.add()
        await client.testing.crash()
        await room.add()
        client.testing.advance(10)
    assert asyncio.all_tasks() == tasks
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == files
    assert os.listdir(tmp_path) == []


async def test_what_does_not_end_is_cut_off() -> None:
    async with running(registry) as client:
        call = asyncio.create_task(client.get_or_create(TestedRoom).wait())
        await client.testing.settle()
        assert TestedRoom.seen == ["waiting"]
    with pytest.raises(ActorError):
        await call
    assert TestedRoom.seen == ["waiting", "asleep"]
    TestedRoom.gate.set()


async def test_what_ends_within_a_moment_is_waited_for() -> None:
    async with running(registry) as client:
        call = asyncio.create_task(client.get_or_create(TestedRoom).wait())
        await client.testing.settle()
        asyncio.get_running_loop().call_later(0.001, TestedRoom.gate.set)
    assert "through" in TestedRoom.seen
    with pytest.raises(ActorError):
        await call  # its client had left


async def test_an_error_of_the_test_comes_out_and_ends_it() -> None:
    tasks = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        async with running(registry) as client:
            await client.get_or_create(TestedRoom).add()
            client.testing.advance(1e9)
            raise ZeroDivisionError
    assert asyncio.all_tasks() == tasks


async def test_a_client_of_a_service_that_ended_is_closed() -> None:
    async with running(registry) as client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await client.get_or_create(TestedRoom).add()


async def test_what_keeps_it_from_opening_comes_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    too_long_for_a_socket = str(tmp_path / ("x" * 100))
    os.mkdir(too_long_for_a_socket)
    monkeypatch.setattr(tempfile, "tempdir", too_long_for_a_socket)
    with pytest.raises(OSError, match="path too long"):
        async with running(registry):
            pass
    assert os.listdir(too_long_for_a_socket) == []
