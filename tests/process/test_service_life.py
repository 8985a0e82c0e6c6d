"""The life of a service: starts that fail, restarts, killed workers, drains, ways to reach it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stator.runtime.control import Counter
from stator.runtime.exit_codes import ExitCode
from stator.runtime.ids import shard_of
from tests.fakes.real_service import RealService, make_path
from tests.fakes.running_service import is_alive, wait_until

pytestmark = pytest.mark.process

ONE_WORKER = {"workers.count": 1}


def _stop(service: RealService) -> None:
    service.send(signal.SIGTERM)
    assert service.wait_exit() == ExitCode.OK


def _keys_by_shard(name: str, shards: int) -> dict[int, str]:
    keys: dict[int, str] = {}
    for number in range(200):
        keys.setdefault(shard_of("default", name, (str(number),), shards), str(number))
    return keys


# ---------------------------------------------------------------------- starts that fail


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("registry = {}", "names a dict"),
        ("", "names nothing"),
    ],
)
def test_an_application_that_cannot_be_loaded_stops_the_service(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "app.py").write_text(text)
    settings = {"application.path": tmp_path, **ONE_WORKER}
    with RealService(tmp_path / "data", settings) as service:
        assert service.wait_exit() == ExitCode.APPLICATION
        problems = [line for line in service.log if line["event"] == "application unusable"]
        assert reason in problems[0]["problem"]


@pytest.mark.parametrize(
    "settings",
    [
        {"server.port": "many"},
        {"server.nothing": 1},
        {"storage.shards": 0},
        {"application.registry": ""},
        {"server.host": "0.0.0.0"},
    ],
    ids=str,
)
def test_an_invalid_configuration_starts_nothing(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    with RealService(tmp_path / "data", settings) as service:
        assert service.wait_exit() == ExitCode.CONFIG
        (line,) = service.complaint().splitlines()
        assert line.startswith("stator: ")
        assert next(iter(settings)) in line
    assert not (tmp_path / "data").exists()


def test_a_second_service_on_the_data_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with RealService(tmp_path, ONE_WORKER) as first:
        first.wait_ready()
        with RealService(tmp_path, ONE_WORKER) as second:
            assert second.wait_exit() == ExitCode.LOCKED
            assert f"process {first.pid}" in second.log[-1]["reason"]
        assert first.output("counter", "increment", 1) == 1


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        settings = {"server.port": taken.getsockname()[1]}
        with RealService(tmp_path, settings) as service:
            assert service.wait_exit() == ExitCode.ADDRESS
            assert "in use" in service.log[-1]["reason"]


def test_tls_files_that_cannot_be_read_stop_the_service(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    settings = {
        "server.tls_certificate": tmp_path / "bad.pem",
        "server.tls_key": tmp_path / "bad.pem",
        **ONE_WORKER,
    }
    with RealService(tmp_path / "data", settings) as service:
        assert service.wait_exit() == ExitCode.CONFIG


# -------------------------------------------------------------------- stopping and again


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    ids: list[Any] = []
    for start in (1, 2, 3):
        with RealService(tmp_path, {"workers.count": start}) as service:
            service.wait_ready()
            for key in ("a", "b,c", ""):
                assert service.output("counter", "increment", 1, key=key) == start
            assert service.output("shop", "addItem", "pen", start) == start
            ids.append(service.output("counter", "whoami", key="a")["id"])
            _stop(service)
    assert len(set(ids)) == 1


def test_a_stop_drains_actors_and_saves_what_nothing_waited_for(tmp_path: Path) -> None:
    with RealService(tmp_path) as service:
        service.wait_ready()
        assert [service.output("loose", "increment") for _ in range(3)] == [1, 2, 3]
        assert service.output("sleeper", "seen") == ["wake"]
        pids = service.pids()
        _stop(service)
        assert not any(map(is_alive, pids))
        assert [line for line in service.log if line["level"] in ("error", "critical")] == []
    with RealService(tmp_path) as again:
        again.wait_ready()
        assert again.output("loose", "increment") == 4
        assert again.output("sleeper", "seen") == ["wake", "sleep", "wake"]


def test_a_request_under_way_is_answered_before_the_service_leaves(tmp_path: Path) -> None:
    settings = {"workers.grace_period": 2.0, **ONE_WORKER}
    with RealService(tmp_path, settings) as service, ThreadPoolExecutor(1) as pool:
        service.wait_ready()
        hanging = pool.submit(service.action, "faulty", "hang")
        wait_until(lambda: _in_flight(service) > 0, "the request")
        service.send(signal.SIGTERM)
        assert hanging.result().problem == "408 actor.action_timed_out"
        assert service.wait_exit() == ExitCode.OK


def test_a_stop_does_not_wait_for_the_rest_of_bodies_that_were_refused(tmp_path: Path) -> None:
    with RealService(tmp_path, ONE_WORKER) as service:
        service.wait_ready()
        headers = {"content-type": "application/json"}
        for _ in range(3):
            body = bytes(8_000_000)
            refused = service.request("PUT", "/actors?namespace=default", body, headers)
            assert refused.problem == "413 guard.invalid_request_body"
        began = time.monotonic()
        _stop(service)
        assert time.monotonic() - began < 6.0


def _in_flight(service: RealService) -> int:
    block = service.block()
    counts = [slot.counters[Counter.ACTIONS] for slot in block.slots]
    block.close()
    return sum(counts)


def test_a_killed_service_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    with RealService(tmp_path) as service:
        service.wait_ready()
        assert service.output("counter", "increment", 7) == 7
        children = service.pids()
        for pid in [service.pid, *children]:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, children)), "the end of the children")
    with RealService(tmp_path) as again:
        again.wait_ready()
        assert again.output("counter", "get") == 7


# -------------------------------------------------------------------------- killed workers


def _kill_worker(service: RealService) -> None:
    os.kill(service.pids()[-1], signal.SIGKILL)


def test_requests_for_a_killed_worker_wait_and_are_served_after_its_restart(
    tmp_path: Path,
) -> None:
    with RealService(tmp_path, {"workers.restart_backoff": 0.3, **ONE_WORKER}) as service:
        service.wait_ready()
        assert service.output("counter", "increment", 5) == 5
        worker = service.pids()[-1]
        _kill_worker(service)
        service.wait_event("child died", child="worker 0")
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(service.output, "counter", "increment", 1) for _ in range(4)]
            outputs = [call.result() for call in calls]
        assert sorted(outputs) == [6, 7, 8, 9]
        assert service.pids()[-1] != worker


def test_a_request_a_killed_worker_held_is_answered_as_retryable(tmp_path: Path) -> None:
    with RealService(tmp_path, ONE_WORKER) as service, ThreadPoolExecutor(1) as pool:
        service.wait_ready()
        held = pool.submit(service.action, "sleeper", "work_until_stopped")
        wait_until(
            lambda: "working" in service.output("sleeper", "seen"), "the action is under way"
        )
        _kill_worker(service)
        answer = held.result()
        assert answer.problem == "503 actor.restarting"
        assert answer.json["metadata"] == {"retryable": True}
        assert service.output("sleeper", "seen") == ["wake", "working", "wake"]


# ------------------------------------------------------------------------ trouble on disk


def test_a_full_disk_is_an_error_of_the_action_and_the_service_goes_on(tmp_path: Path) -> None:
    full = {"STATOR_FAULTS": "commit.before_sync=full"}
    with RealService(tmp_path, ONE_WORKER, environ=full) as service:
        service.wait_ready()
        for _ in range(3):
            answer = service.action("counter", "increment", 1)
            assert answer.problem == "503 storage.unavailable"
            assert answer.headers["x-rivet-error"] == "storage.unavailable"
        body = {"name": "counter", "key": "k"}
        put = service.send_json("PUT", "/actors?namespace=default", body)
        assert put.problem == "503 storage.unavailable"
        assert service.request("GET", "/health").status == 200
        _stop(service)
    with RealService(tmp_path, ONE_WORKER) as again:
        again.wait_ready()
        assert again.output("counter", "increment", 1) == 1


def test_a_damaged_shard_stays_closed_and_the_others_serve(tmp_path: Path) -> None:
    keys = _keys_by_shard("counter", 4)
    with RealService(tmp_path, ONE_WORKER) as service:
        service.wait_ready()
        for key in keys.values():
            service.output("counter", "increment", 3, key=key)
        _stop(service)
    damaged = tmp_path / "shard-0002.sqlite"
    data = damaged.read_bytes()
    damaged.write_bytes(data[:100] + bytes(len(data) - 100))
    damaged.with_name(damaged.name + "-wal").write_bytes(b"left behind by a crash")
    with RealService(tmp_path, ONE_WORKER) as again:
        again.wait_ready()
        for shard, key in keys.items():
            answer = again.action("counter", "get", key=key)
            if shard == 2:
                assert answer.problem == "503 storage.shard_closed"
            else:
                assert answer.json == {"output": 3}
        again.send(signal.SIGTERM)
        again.wait_exit()
        (line,) = [line for line in again.log if line["event"] == "shard stays closed"]
        assert str(damaged) in line["problem"]


# -------------------------------------------------------------------------- ways to reach it


def test_the_service_speaks_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    settings = {
        "server.tls_certificate": certificate,
        "server.tls_key": key,
        "server.unix_socket": tmp_path / "public.sock",
        **ONE_WORKER,
    }
    with RealService(tmp_path / "data", settings) as service:
        service.wait_ready()
        assert service.endpoint.startswith("https://")
        assert service.output("counter", "increment", 2) == 2
        assert _over_unix_socket(tmp_path / "public.sock", "counter", "get").endswith(b":2}")
        plain = service.speak(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"runtime" not in plain


def test_a_unix_socket_serves_beside_the_port(short_tmp: Path) -> None:
    path = short_tmp / "public.sock"
    settings = {"server.unix_socket": path, "server.gateways": 2, **ONE_WORKER}
    with RealService(short_tmp / "data", settings) as service:
        service.wait_ready()
        assert service.output("counter", "increment", 2) == 2
        assert _over_unix_socket(path, "counter", "get").endswith(b'{"output":2}')


def _over_unix_socket(path: Path, name: str, action: str) -> bytes:
    head = f"POST {make_path(name, action)} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
        raw.sendall(head.encode() + b"content-length: 2\r\n\r\n{}")
        received = b""
        while chunk := raw.recv(65536):
            received += chunk
    return received


def test_two_gateways_share_the_port_and_the_actors(tmp_path: Path) -> None:
    with RealService(tmp_path, {"server.gateways": 2}) as service:
        service.wait_ready()
        expected = 0

        def both_served() -> bool:
            nonlocal expected
            expected += 1
            assert service.output("counter", "increment", 1) == expected
            return _requests_of_gateways(service).count(0) == 0

        wait_until(both_served, "both gateways served requests")


def _requests_of_gateways(service: RealService) -> list[int]:
    block = service.block()
    requests = [block.slots[gateway].counters[Counter.REQUESTS] for gateway in (0, 1)]
    block.close()
    return requests


def test_a_killed_gateway_is_replaced_and_no_data_is_concerned(tmp_path: Path) -> None:
    with RealService(tmp_path, ONE_WORKER) as service:
        service.wait_ready()
        service.output("counter", "increment", 3)
        gateway = service.pids()[0]
        os.kill(gateway, signal.SIGKILL)
        wait_until(lambda: service.pids()[0] not in (0, gateway), "another gateway")
        wait_until(_answers(service), "an answer")
        assert service.output("counter", "increment", 1) == 4


def _answers(service: RealService) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            return service.request("GET", "/health").status == 200
        except OSError:
            return False

    return answers
