"""Rolling the workers of a service that is in use: nobody notices, and new code is served."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from stator.runtime.exit_codes import ExitCode
from tests.fakes.deployment import Deployment, keys_by_worker
from tests.fakes.open_connection import OpenConnection
from tests.fakes.real_service import HttpAnswer, RealService, make_path, request_over
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.process


class Caller(Thread):
    """Calls one counter without a pause; whatever is not the next number ends it."""

    def __init__(self, service: RealService, action: str, key: str, *arguments: str) -> None:
        super().__init__(name=f"{action} {key}")
        self._connection = service.connect()
        self._path = make_path("counter", action, key)
        self._body = json.dumps({"args": arguments}).encode()
        self._over = Event()
        self.count = 0
        self.surprise: HttpAnswer | http.client.HTTPException | OSError | None = None

    def run(self) -> None:
        """Call until told to stop."""
        while not self._over.is_set() and self.surprise is None:
            self._call()
        self._connection.close()

    def stop(self) -> None:
        """End after the call that is under way."""
        self._over.set()
        self.join()

    def _call(self) -> None:
        headers = {"content-type": "application/json"}
        try:
            answer = request_over(self._connection, "POST", self._path, self._body, headers)
        except (http.client.HTTPException, OSError) as error:
            self.surprise = error
            return
        self.count += 1
        if (answer.status, answer.json.get("output")) != (200, self.count):
            self.surprise = answer


def test_callers_notice_nothing_of_two_rolls(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service:
        service.wait_ready()
        first, second = keys_by_worker()
        callers = [
            *(Caller(service, "increment", key) for key in (first[0], first[1], second[0])),
            *(Caller(service, "increment_slowly", key) for key in (first[2], second[2])),
            Caller(service, "increment_of", first[3], second[3]),
            Caller(service, "increment_of", second[4], first[4]),
            Caller(service, "increment_of", first[5], first[6]),
        ]
        before = service.pids()
        for caller in callers:
            caller.start()
        for _ in range(2):
            _wait_for_progress(callers)
            upgraded = deployment.upgrade()
            assert (upgraded.returncode, upgraded.stderr) == (ExitCode.OK, "")
            _wait_for_progress(callers)
        for caller in callers:
            caller.stop()
        assert {caller.name: caller.surprise for caller in callers if caller.surprise} == {}
        assert deployment.generations() == [1, 3, 3]
        after = service.pids()
        assert before[0] == after[0]
        assert set(before[1:]).isdisjoint(after[1:])


class Uploader(Thread):
    """Sends bodies to a raw handler without a pause, until something else comes back."""

    def __init__(self, service: RealService, key: str) -> None:
        super().__init__(name=f"uploads to {key}")
        self._connection = service.connect()
        self._path = make_path("counter", "", key).replace("/action/", "/request/")
        self._over = Event()
        self.count = 0
        self.surprise: object = None

    def run(self) -> None:
        """Upload until told to stop."""
        parts = [bytes([number]) * 1000 for number in range(5)]
        with closing(self._connection):
            while not self._over.is_set() and self.surprise is None:
                try:
                    answer = request_over(self._connection, "PUT", self._path, iter(parts))
                except (http.client.HTTPException, OSError) as error:
                    self.surprise = error
                    return
                self.count += 1
                is_same = (answer.status, answer.body) == (200, b"".join(parts))
                self.surprise = None if is_same else answer

    def stop(self) -> None:
        """End after the exchange that is under way."""
        self._over.set()
        self.join()


def test_raw_requests_keep_both_their_bodies_through_a_roll(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service:
        service.wait_ready()
        first, second = keys_by_worker()
        uploaders = [Uploader(service, key) for key in (*first[:3], *second[:3])]
        for uploader in uploaders:
            uploader.start()
        _wait_for_progress(uploaders)
        assert deployment.upgrade().returncode == ExitCode.OK
        _wait_for_progress(uploaders)
        for uploader in uploaders:
            uploader.stop()
        assert {each.name: each.surprise for each in uploaders if each.surprise} == {}


def test_a_client_that_waits_for_a_reply_waits_through_a_roll(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service, ThreadPoolExecutor(1) as threads:
        service.wait_ready()
        path = make_path("counter", "", "k").replace("/action/", "/queue/jobs")
        sent = threads.submit(service.send_json, "POST", path, {"body": "work", "wait": True})
        service.output("counter", "await_job")
        deployment.deploy("two")
        assert deployment.upgrade().returncode == ExitCode.OK
        service.output("counter", "complete_job")
        assert sent.result().json == {"status": "completed", "response": "work done by two"}


def _wait_for_progress(callers: Sequence[Caller | Talker | Uploader]) -> None:
    counts = [caller.count for caller in callers]
    wait_until(
        lambda: all(
            caller.surprise or caller.count > count + 3
            for caller, count in zip(callers, counts, strict=True)
        ),
        "an answer to every caller",
    )


def test_a_request_that_comes_during_a_roll_is_served_by_the_new_code(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service:
        service.wait_ready()
        keys = [keys[0] for keys in keys_by_worker()]
        assert [service.output("counter", "code", key=key) for key in keys] == ["one", "one"]
        deployment.deploy("version two")
        assert deployment.upgrade().returncode == ExitCode.OK
        assert [service.output("counter", "code", key=key) for key in keys] == ["version two"] * 2


# -- connections


def test_an_open_connection_survives_two_rolls_with_its_id_and_its_subscription(
    tmp_path: Path,
) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service:
        service.wait_ready()
        for keys in keys_by_worker():
            with OpenConnection(service.endpoint, "counter", keys[0]) as connection:
                conn_id = connection.begin().connection_id
                connection.subscribe("changed")
                assert connection.call(1, "connections") == [conn_id]
                for count in (1, 2):
                    assert deployment.upgrade().returncode == ExitCode.OK
                    assert service.output("counter", "increment", key=keys[0]) == count
                    assert connection.hear_event().args == [count]
                    assert connection.call(1 + count, "connections") == [conn_id]


class Talker(Thread):
    """Calls one counter over a connection without a pause, until something else comes back."""

    def __init__(self, service: RealService, action: str, key: str, *arguments: str) -> None:
        super().__init__(name=f"{action} {key} over a connection")
        self._connection = OpenConnection(service.endpoint, "counter", key)
        self._connection.begin()
        self._call = (action, *arguments)
        self._over = Event()
        self.count = 0
        self.surprise: object = None

    def run(self) -> None:
        """Call until told to stop."""
        with self._connection as connection:
            while not self._over.is_set() and self.surprise is None:
                self.count += 1
                try:
                    output = connection.call(self.count, *self._call)
                except (AssertionError, OSError) as error:
                    self.surprise = error
                else:
                    self.surprise = None if output == self.count else output

    def stop(self) -> None:
        """End after the call that is under way."""
        self._over.set()
        self.join()


def test_actions_over_connections_run_once_each_through_two_rolls(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service:
        service.wait_ready()
        first, second = keys_by_worker()
        talkers = [
            *(Talker(service, "increment", key) for key in (first[0], second[0])),
            *(Talker(service, "increment_slowly", key) for key in (first[1], second[1])),
            Talker(service, "increment_of", first[2], second[2]),
            Talker(service, "increment_of", first[3], first[4]),
        ]
        for talker in talkers:
            talker.start()
        for _ in range(2):
            _wait_for_progress(talkers)
            assert deployment.upgrade().returncode == ExitCode.OK
            _wait_for_progress(talkers)
        for talker in talkers:
            talker.stop()
        assert {talker.name: talker.surprise for talker in talkers if talker.surprise} == {}
