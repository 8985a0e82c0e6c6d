"""Workers die under open connections: clients keep them, and nothing they said is lost."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from stator.runtime.protocol.connection import ActionRequest, ActionResponse, ErrorMessage, Event
from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire
from tests.fakes.open_connection import OpenConnection, connect_path
from tests.fakes.socket_client import TEXT, SocketClient

pytestmark = pytest.mark.crash

each_encoding = pytest.mark.parametrize("encoding", ["json", "cbor", "bare"])
KILLS = 4
MESSAGES = 400


@contextmanager
def _rooms(directory: Path) -> Generator[ServiceUnderFire]:
    settings = {
        "application__registry": "room_application:registry",
        "workers__count": 1,
        "server__gateways": 1,
    }
    with service_under_fire(directory, **settings) as service:
        yield service


def _kill_worker(service: ServiceUnderFire) -> None:
    service.kill(Victim.WORKER, random.Random())


@each_encoding
def test_a_connection_survives_the_death_of_its_worker(short_tmp: Path, encoding: str) -> None:
    with (
        _rooms(short_tmp) as service,
        OpenConnection(service.endpoint, "room", "one", encoding) as client,
    ):
        conn_id = client.begin().connection_id
        client.call(1, "rename", "ann")
        for number in range(KILLS):
            _kill_worker(service)

            assert client.call(2 + number, "describe") == [conn_id, None, "ann"]


@each_encoding
def test_a_subscription_survives_the_death_of_its_worker(short_tmp: Path, encoding: str) -> None:
    with (
        _rooms(short_tmp) as service,
        OpenConnection(service.endpoint, "room", "one", encoding) as client,
    ):
        client.begin()
        client.subscribe("appended")
        client.call(1, "describe")
        for number in range(KILLS):
            _kill_worker(service)
            assert client.call(2 + number, "describe")

            assert service.call("room", "one", "append", str(number)).status == 200
            assert client.hear_event() == Event("appended", [str(number)])


def test_a_raw_socket_survives_the_death_of_its_worker(short_tmp: Path) -> None:
    with _rooms(short_tmp) as service:
        path = connect_path("room", "one", "/websocket/")
        with SocketClient(service.endpoint, path) as client:
            for number in range(KILLS):
                client.send(TEXT, str(number).encode())
                frame = client.receive()
                assert frame is not None
                assert frame.data == str(number).encode()
                _kill_worker(service)
        sent = [str(number) for number in range(KILLS)]
        assert _once(service.read("room", "one", "tokens").value) == sent


def test_no_message_is_lost_while_workers_die(short_tmp: Path) -> None:
    with (
        _rooms(short_tmp) as service,
        OpenConnection(service.endpoint, "room", "one") as client,
    ):
        client.begin()
        sent = [f"token-{number}" for number in range(MESSAGES)]
        sender = Thread(target=_send_all, args=(client, sent))
        sender.start()
        answered: list[str] = []
        for number in range(MESSAGES):
            if number % (MESSAGES // KILLS) == 10:
                _kill_worker(service)
            said = client.hear()
            assert isinstance(said, ActionResponse), said
            answered.append(said.output)
        sender.join()

        assert sorted(answered) == sorted(sent)
        assert _once(service.read("room", "one", "tokens").value) == sent


@pytest.mark.parametrize("point", ["commit.before", "commit.before_sync", "commit.after"])
def test_a_message_whose_commit_was_cut_short_is_delivered_again(
    short_tmp: Path, point: str
) -> None:
    with (
        _rooms(short_tmp) as service,
        OpenConnection(service.endpoint, "room", "one") as client,
    ):
        client.begin()
        assert client.call(1, "append", "before") == "before"
        client.call(2, "arm_kill", point)

        assert client.call(3, "append", "struck") == "struck"

        tokens = service.read("room", "one", "tokens").value
        repeated = ["struck"] if point == "commit.after" else []
        assert tokens == ["before", "struck", *repeated]


def test_no_event_is_seen_whose_change_a_crash_took_back(short_tmp: Path) -> None:
    with (
        _rooms(short_tmp) as service,
        OpenConnection(service.endpoint, "room", "one") as listener,
        OpenConnection(service.endpoint, "room", "one") as client,
    ):
        listener.begin()
        listener.subscribe("appended")
        listener.call(0, "describe")
        client.begin()
        sent = [f"token-{number}" for number in range(MESSAGES)]
        sender = Thread(target=_send_all, args=(client, sent))
        sender.start()
        for number in range(MESSAGES):
            if number % (MESSAGES // KILLS) == 10:
                _kill_worker(service)
            client.hear()
        sender.join()
        seen = _events_so_far(listener)

        tokens: list[str] = service.read("room", "one", "tokens").value
        assert len(seen) > MESSAGES // 2
        assert set(seen) <= set(tokens)
        assert all(seen.count(token) <= tokens.count(token) for token in set(seen))


def test_a_client_that_leaves_while_its_worker_is_dead_disconnects_once(short_tmp: Path) -> None:
    with _rooms(short_tmp) as service:
        with OpenConnection(service.endpoint, "room", "one") as client:
            conn_id = client.begin().connection_id
            client.call(1, "rename", "ann")
            _kill_worker(service)
        with OpenConnection(service.endpoint, "room", "one") as other:
            other.begin()
            number = 1
            while not (left := other.call(number, "left")):
                number += 1
            _kill_worker(service)
            assert left == other.call(number + 1, "left") == [conn_id]


def _send_all(client: OpenConnection, tokens: list[str]) -> None:
    for number, token in enumerate(tokens):
        client.say(ActionRequest(number, "append", [token]))


def _events_so_far(listener: OpenConnection) -> list[str]:
    """Return the tokens a listener heard of, up to the answer of a call made now."""
    listener.say(ActionRequest(1, "describe", []))
    seen: list[str] = []
    while isinstance(said := listener.hear(), Event):
        seen.append(said.args[0])
    assert not isinstance(said, ErrorMessage), said
    return seen


def _once(tokens: list[str]) -> list[str]:
    """Return the tokens without repetitions, in the order of their first appearance."""
    return list(dict.fromkeys(tokens))
