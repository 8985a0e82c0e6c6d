"""Hostile and broken clients: each ends, the others notice nothing, and memory stays as it is."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import psutil
import pytest

from stator.runtime.exit_codes import ExitCode
from tests.fakes.hostile_clients import (
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
from tests.fakes.hostile_web_sockets import WEB_SOCKET_ATTACKS, be_deaf
from tests.fakes.real_service import RealService
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.process

ATTACKS = HTTP_ATTACKS + WEB_SOCKET_ATTACKS
ROUNDS, FIRST, LAST = 9, 3, 2
"""How many rounds of all attacks are made, and how many of them are compared."""
STEPS = 1.25
"""What memory may grow by, as malloc and garbage collection take it in steps. A gateway that keeps
what it had for the connections of a round grows by half."""

each_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service that soon loses its patience, and that ends in order and without errors."""
    settings = {
        "workers.count": 1,
        "storage.shards": 2,
        "server.header_timeout": 0.3,
        "server.ping_interval": 0.1,
        "server.ping_timeout": 0.2,
    }
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


@pytest.mark.parametrize("sent", [b"", b'{"args":'])
def test_half_a_body_gets_408(door: Door, sent: bytes) -> None:
    answer = read_to_end(door.open(call_bytes(sent, announced=1000)))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"


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


def test_who_calls_without_reading_the_answers_is_told_why_it_is_closed(door: Door) -> None:
    raw = be_deaf(door)
    last = b""
    while not last.endswith(b"ws.client_too_slow"):
        received = raw.recv(1 << 20)
        assert received, last
        last = (last + received)[-100:]
    reset(raw)


# --------------------------------------------------------------------- what others notice


@each_attack
def test_a_well_behaved_client_notices_nothing(target: RealService, attack: Attack) -> None:
    gateway = _gateway(target)
    with SteadyClient(target, key=attack.__name__) as client:
        client.wait_served()
        before = gateway.num_fds()
        attack(Door(target))
        wait_until(lambda: gateway.num_fds() <= before, "the hostile connections to be let go")
        client.wait_served()
    assert client.problems == []


def test_the_memory_of_the_gateway_does_not_grow_from_round_to_round(target: RealService) -> None:
    gateway, door = _gateway(target), Door(target)
    used: list[int] = []
    for _ in range(ROUNDS):
        all_at_once(ATTACKS, door)
        used.append(gateway.memory_info().rss)
    assert min(used[-LAST:]) <= STEPS * max(used[:FIRST]), used
