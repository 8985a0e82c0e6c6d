"""A healthy service: how it starts, shows itself, tells systemd, drains and refuses a twin."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stator.runtime.control import ChildState, ServiceState
from stator.runtime.exit_codes import ExitCode
from tests.fakes.running_service import RunningService, set_behaviour, wait_until

pytestmark = pytest.mark.process


def test_once_all_children_are_ready_the_log_says_where_the_service_is(tmp_path: Path) -> None:
    with RunningService(tmp_path, settings={"log.level": "info"}) as service:
        ready = service.wait_event("service ready")
        assert ready["endpoint"].startswith("http://127.0.0.1:")
        assert service.log == [ready]
        block = service.block()
        assert block.service_state is ServiceState.SERVING
        assert [slot.state for slot in block.slots] == [ChildState.READY] * 3
        assert [block.owner_of(shard) for shard in range(8)] == [0, 0, 0, 0, 1, 1, 1, 1]
        block.close()


def test_processes_are_named_after_what_they_do(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        titles = [_command_line(pid) for pid in service.pids()]
        assert titles == [
            "stator: gateway 0",
            "stator: worker 0 (shards 0-3)",
            "stator: worker 1 (shards 4-7)",
        ]


def test_children_are_in_process_groups_of_their_own(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        assert all(os.getpgid(pid) == pid for pid in service.pids())


def test_the_control_block_has_no_name_in_the_file_system(tmp_path: Path) -> None:
    before = set(os.listdir("/dev/shm"))
    with RunningService(tmp_path) as service:
        service.wait_ready()
        assert set(os.listdir("/dev/shm")) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_gateways_before_workers(tmp_path: Path, number: signal.Signals) -> None:
    with RunningService(tmp_path, settings={"server.gateways": 2}) as service:
        service.wait_ready()
        service.send(number)
        assert service.wait_exit() == ExitCode.OK
        roles = [line.split()[0] for line in service.left()]
        assert roles == ["gateway", "gateway", "worker", "worker"]


def test_a_finished_service_leaves_no_socket_and_no_record(tmp_path: Path) -> None:
    public = tmp_path / "public.sock"
    data = tmp_path / "data"
    with RunningService(data, settings={"server.unix_socket": public}) as service:
        service.wait_ready()
        assert public.is_socket()
        assert (data / "run" / "worker-1.sock").is_socket()
        service.send(signal.SIGTERM)
        assert service.wait_exit() == ExitCode.OK
    assert not public.exists()
    assert not list((data / "run").iterdir())
    assert not (data / "service.json").exists()


def test_a_child_that_does_not_leave_is_killed_within_the_grace_period(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-0", "stubborn")
    set_behaviour(tmp_path, "gateway-0", "stubborn")
    with RunningService(tmp_path, settings={"workers.grace_period": 0.6}) as service:
        service.wait_ready()
        service.send(signal.SIGTERM)
        assert service.wait_exit() == ExitCode.OK
        killed = [line["child"] for line in service.log if line["event"] == "child killed"]
        assert killed == ["gateway 0", "worker 0"]
        assert service.left() == ["worker 1 0"]


def test_a_second_signal_kills_all_children_at_once(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-0", "stubborn")
    with RunningService(tmp_path) as service:
        service.wait_ready()
        service.send(signal.SIGTERM)
        service.wait_event("service stopping", signal="SIGTERM")
        service.send(signal.SIGINT)
        assert service.wait_exit() == ExitCode.FORCED


def test_a_second_service_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with RunningService(tmp_path) as first:
        first.wait_ready()
        with RunningService(tmp_path) as second:
            assert second.wait_exit() == ExitCode.LOCKED
            (complaint,) = second.log
            assert complaint["reason"] == (
                f"the data directory {tmp_path} is in use by another service, process {first.pid}"
            )


def test_a_port_in_use_stops_the_service_before_it_spawns_anything(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with RunningService(tmp_path, settings={"server.port": port}) as service:
            assert service.wait_exit() == ExitCode.ADDRESS
            (complaint,) = service.log
            assert complaint["event"] == "service cannot start"
            assert complaint["reason"] == (
                f"port {port} on 127.0.0.1 is in use: stop what listens there or set server.port"
            )


def test_another_number_of_workers_needs_no_other_data(tmp_path: Path) -> None:
    for workers, owners in (2, [0, 0, 0, 0, 1, 1, 1, 1]), (3, [0, 0, 0, 1, 1, 1, 2, 2]):
        with RunningService(tmp_path, settings={"workers.count": workers}) as service:
            service.wait_ready()
            block = service.block()
            assert [block.owner_of(shard) for shard in range(8)] == owners
            block.close()
            service.send(signal.SIGTERM)
            assert service.wait_exit() == ExitCode.OK


def test_a_socket_of_systemd_takes_the_place_of_the_port(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as activated:
        passed = activated.fileno()
        script = f'exec env LISTEN_PID=$$ LISTEN_FDS=1 "$@" 3<&{passed}'
        with RunningService(
            tmp_path, prefix=("bash", "-c", script, "bash"), pass_fds=(passed,)
        ) as service:
            ready = service.wait_event("service ready")
            assert ready["endpoint"] == f"http://127.0.0.1:{activated.getsockname()[1]}"


def test_systemd_is_told_how_the_service_is(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        with RunningService(tmp_path / "data", environ=environ) as service:
            endpoint = service.wait_event("service ready")["endpoint"]
            first = _next_message(systemd)
            assert first == f"READY=1\nSTATUS=serving on {endpoint}"
            assert systemd.recv(4096) == b"WATCHDOG=1"
            service.send(signal.SIGTERM)
            assert _next_message(systemd) == "STOPPING=1\nSTATUS=draining"
            assert service.wait_exit() == ExitCode.OK


def test_status_shows_every_process_and_every_group_of_shards(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        block = service.block()
        wait_until(lambda: all(slot.counters[0] == 7 for slot in block.slots), "published counters")
        block.close()
        status = _stator("status", "--set", f"storage.directory={tmp_path}")
        assert status.returncode == ExitCode.OK
        lines = status.stdout.splitlines()
        pids = service.pids()
        assert [line.split("  ")[0] for line in lines] == [
            "stator: supervisor",
            "stator: gateway 0",
            "stator: worker 0 (shards 0-3)",
            "stator: worker 1 (shards 4-7)",
            "shards 0-3",
            "shards 4-7",
        ]
        assert lines[0].split("  ")[1:3] == [f"pid {service.pid}", "serving"]
        assert lines[2].split("  ")[1:4] == [f"pid {pids[1]}", "ready", "generation 1"]
        assert "requests 7" in lines[2]
        assert lines[5].split("  ")[1:] == ["worker 1", "epoch 1"]


def test_status_of_a_killed_service_is_not_running(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        service.kill_supervisor()
        assert (tmp_path / "service.json").exists()
        status = _stator("status", "--set", f"storage.directory={tmp_path}")
        assert (status.returncode, status.stdout) == (ExitCode.NOT_RUNNING, "not running\n")


def test_a_worker_cannot_be_started_by_hand() -> None:
    worker = _stator("worker", "0")
    assert worker.returncode == ExitCode.CONFIG
    assert worker.stderr == 'stator: a worker is started by "stator serve" only\n'


def test_an_invalid_configuration_is_one_line_and_exit_code_2() -> None:
    served = _stator("serve", "--set", "server.port=x")
    assert served.returncode == ExitCode.CONFIG
    (line,) = served.stderr.splitlines()
    assert line.startswith("stator: --set: server.port: expected ")


def test_check_reads_the_configuration_and_starts_nothing(tmp_path: Path) -> None:
    checked = _stator("check", "--set", f"storage.directory={tmp_path / 'data'}")
    assert (checked.returncode, checked.stdout) == (ExitCode.OK, "ok\n")
    assert not (tmp_path / "data").exists()


def test_the_configuration_beside_is_used_if_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "stator.toml").write_text('[server]\nport = "no"\n')
    checked = _stator("check", directory=tmp_path)
    assert checked.returncode == ExitCode.CONFIG
    assert checked.stderr.startswith("stator: stator.toml: server.port: ")


def _stator(
    command: str, *arguments: str, directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stator", command, *arguments],
        env={**os.environ, "STATOR_APPLICATION__REGISTRY": "app:registry"},
        capture_output=True,
        text=True,
        cwd=directory,
        timeout=30,
    )


def _next_message(systemd: socket.socket) -> str:
    """Return the next message that is not for the watchdog."""
    while (message := systemd.recv(4096)) == b"WATCHDOG=1":
        pass
    return message.decode()


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
