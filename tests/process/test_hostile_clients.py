"""Hostile and broken clients: each ends, the others notice nothing, and memory stays as it is."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import psutil
import pytest

from stator.runtime.exit_codes import ExitCode
from tests.fakes.hostile_clients import (
    CROWD,
    HTTP_ATTACKS,
    REQUEST,
    Attack,
    Door,
    SteadyClient,
    all_at_once,
    call_bytes,
    drip,
    push,
    read_to_end,
    reset,
)
from tests.fakes.real_service import RealService
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.process

ATTACKS = HTTP_ATTACKS
LEVEL_ROUNDS, MAX_ROUNDS = 6, 30
"""So many rounds in a row memory has to stay level, and so many are tried. (Garbage collection
and malloc take memory in steps, so it is level only after some.)"""
LEVEL = 1.02
"""What is level. A gateway that keeps what it had for the connections of a round grows by 10 %."""

each_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service that soon loses its patience, and that ends in order and without errors."""
    settings = {"workers.count": 1, "storage.shards": 2, "server.header_timeout": 0.3}
    with RealService(tmp_path_factory.mktemp("target"), settings) as running:
        running.wait_ready()
        yield running
        running.send(signal.SIGTERM)
        assert running.wait_exit() == ExitCode.OK
        assert [line for line in running.log if line["level"] in ("error", "critical")] == []


@pytest.fixture
def door(target: RealService) -> Door:
    """The way in."""
    return Door(target)


def _gateway(service: RealService) -> psutil.Process:
    return psutil.Process(service.pids()[0])


# ------------------------------------------------------------------------ what each gets


def test_who_says_nothing_is_closed(door: Door) -> None:
    assert [read_to_end(raw) for raw in [door.open() for _ in range(3)]] == [b""] * 3


@pytest.mark.parametrize("before", [b"", REQUEST], ids=["first", "second"])
def test_half_a_head_gets_408(door: Door, before: bytes) -> None:
    raw = door.open(before) if before else door.open()
    if before:
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
    raw.sendall(REQUEST[:-2])
    answer = read_to_end(raw)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"


def test_a_head_that_comes_byte_by_byte_for_ever_is_cut_off(door: Door) -> None:
    drip([door.open(REQUEST[:-2])], b"a: b\r\n")


def test_an_idle_connection_is_kept(door: Door) -> None:
    idle = door.open(REQUEST)
    assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert read_to_end(door.open(b"G")).startswith(b"HTTP/1.1 408 ")
    idle.sendall(REQUEST)
    assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
    reset(idle)


def test_pipelined_calls_are_answered_in_their_order(door: Door) -> None:
    calls = [call_bytes(b'{"args":[%d]}' % number) for number in range(500)]
    last = REQUEST.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    received = read_to_end(door.open(b"".join(calls) + last))
    answers = received.split(b'{"output":')[1:]
    assert [int(answer.partition(b"}")[0]) for answer in answers] == list(range(500))


def test_who_asks_without_reading_is_not_read_from_any_more(door: Door) -> None:
    raw = door.open(receive_buffer=4096)
    plenty = 100_000_000
    taken = push(raw, call_bytes(b'{"args":["' + b"x" * 60_000 + b'"]}'), at_most=plenty)
    reset(raw)
    assert taken < plenty


# --------------------------------------------------------------------- what others notice


@each_attack
def test_a_well_behaved_client_notices_nothing(target: RealService, attack: Attack) -> None:
    with SteadyClient(target, key=attack.__name__) as client:
        client.wait_served()
        attack(Door(target))
        client.wait_served()
    assert client.problems == []


@each_attack
def test_every_connection_is_let_go(target: RealService, attack: Attack) -> None:
    gateway = _gateway(target)
    reset(Door(target).open(REQUEST))
    before = gateway.num_fds()
    attack(Door(target))
    wait_until(lambda: gateway.num_fds() <= before, f"{CROWD} clients or more to be forgotten")


def test_the_memory_of_the_gateway_levels_off(target: RealService) -> None:
    gateway, door = _gateway(target), Door(target)
    used = [gateway.memory_info().rss]
    level_since = 0
    while len(used) <= level_since + LEVEL_ROUNDS:
        assert len(used) <= MAX_ROUNDS, used
        all_at_once(ATTACKS, door)
        used.append(gateway.memory_info().rss)
        if used[-1] > LEVEL * used[level_since]:
            level_since = len(used) - 1
