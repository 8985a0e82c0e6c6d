"""The Python client and the queues of a real service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from stator import ActorError, Client
from stator.client import QueueOutcome
from stator.client.client import EncodingName
from stator.client.sync import Client as BlockingClient
from tests.interop.service import Service
from tests.process.apps.client_queues.app import Job, Mill

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "client_queues"
EACH_ENCODING = pytest.mark.parametrize("encoding", ["cbor", "bare", "json"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"workers.restart_backoff": 0.01}
    with Service(tmp_path_factory.mktemp("client") / "service", APPLICATION, settings) as running:
        yield running


def key() -> list[str]:
    return [uuid4().hex]


@EACH_ENCODING
async def test_a_sender_that_waits_gets_a_typed_reply(
    service: Service, encoding: EncodingName
) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        mill = client.get_or_create(Mill, key())
        outcome = await mill.enqueue(Mill.big_jobs, Job(4), wait=True, timeout=20)
        assert outcome == QueueOutcome("completed", Job(8))
        by_name = await client.get_or_create("mill", key()).enqueue(
            "bigJobs", {"size": 1}, wait=True
        )
        assert (by_name.status, by_name.reply) == ("completed", {"size": 2})


@EACH_ENCODING
async def test_messages_of_a_handle_arrive_in_order(
    service: Service, encoding: EncodingName
) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        mill = client.get_or_create(Mill, key())
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(mill.enqueue(Mill.letters, number))
        assert await mill.take_letters() == list(range(10))


async def test_a_body_comes_back_as_it_was_sent(service: Service) -> None:
    body: dict[Any, Any] = {1: 2**100, "bytes": b"\xff", "set": {1}, "whole": 2.0**40}
    async with Client(service.endpoint) as client:
        mill = client.get_or_create(Mill, key())
        await mill.enqueue("letters", body)
        (letter,) = await mill.take_letters()
        assert letter == body
        assert type(letter["whole"]) is float


async def test_a_sender_that_waited_for_long_enough_is_told(service: Service) -> None:
    async with Client(service.endpoint) as client:
        mill = client.get_or_create(Mill, key())
        outcome = await mill.enqueue(Mill.letters, "x", wait=True, timeout=0.05)
        assert (outcome.status, outcome.reply) == ("timed_out", None)
        assert await mill.take_letters() == ["x"], "it stays"


async def test_a_full_queue_is_an_error(service: Service) -> None:
    async with Client(service.endpoint) as client:
        mill = client.get_or_create(Mill, key())
        for number in range(10):
            await mill.enqueue("letters", number)
        with pytest.raises(ActorError) as caught:
            await mill.enqueue("letters", 10)
        assert (caught.value.group, caught.value.code) == ("queue", "full")
        assert caught.value.metadata == {"limit": 10}


async def test_a_wait_that_is_cancelled_lets_the_next_message_go(service: Service) -> None:
    async with Client(service.endpoint) as client:
        mill = client.get_or_create(Mill, key())
        waiting = asyncio.create_task(mill.enqueue("letters", "x", wait=True))
        letters: list[Any] = []
        while not letters:
            letters = await mill.take_letters()
        waiting.cancel()
        assert letters == ["x"]
        await mill.enqueue("letters", "y")
        assert await mill.take_letters() == ["y"]


async def test_a_connection_sends_messages(service: Service) -> None:
    async with (
        Client(service.endpoint) as client,
        client.get_or_create(Mill, key()).connect() as conn,
    ):
        outcome = await conn.enqueue(Mill.big_jobs, Job(1), wait=True)
        assert outcome.reply == Job(2)
        await conn.enqueue("letters", "x")
        assert await conn.take_letters() == ["x"]


def test_the_client_without_await_sends_messages(service: Service) -> None:
    with BlockingClient(service.endpoint) as client:
        mill = client.get_or_create(Mill, key())
        assert mill.enqueue(Mill.big_jobs, Job(3), wait=True).reply == Job(6)
        with mill.connect() as conn:
            conn.enqueue("letters", "x")
            assert conn.take_letters() == ["x"]


async def test_a_wait_that_loses_its_worker_says_so_and_the_message_is_not_lost(
    service: Service, tmp_path: Path
) -> None:
    marker = tmp_path / "accident"
    async with Client(service.endpoint) as client:
        mill = client.get_or_create(Mill, key())
        with pytest.raises(ActorError) as caught:
            await mill.enqueue(Mill.accidents, str(marker), wait=True)
        assert (caught.value.group, caught.value.code) == ("actor", "restarting")
        again = await mill.enqueue(Mill.accidents, str(marker), wait=True)
        assert again == QueueOutcome("completed", "went well")
