"""The datagrams systemd gets."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stator.supervisor import notify
from stator.supervisor.notify import Notifier


@pytest.fixture
def systemd() -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiver:
        receiver.settimeout(10)
        yield receiver


def test_lines_of_one_message_are_one_datagram(systemd: socket.socket, tmp_path: Path) -> None:
    systemd.bind(str(tmp_path / "notify"))
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.send(notify.READY, notify.status("serving"))
    assert systemd.recv(100) == b"READY=1\nSTATUS=serving"
    notifier.close()


def test_the_clock_that_goes_with_a_reload_is_in_microseconds() -> None:
    assert notify.clock(12_345_678_901) == "MONOTONIC_USEC=12345678"


def test_an_address_with_an_at_sign_is_abstract(systemd: socket.socket) -> None:
    name = f"stator-test-{os.getpid()}"
    systemd.bind(f"\0{name}")
    notifier = Notifier({"NOTIFY_SOCKET": f"@{name}"})
    notifier.send(notify.STOPPING)
    assert systemd.recv(100) == b"STOPPING=1"
    notifier.close()


def test_without_systemd_nothing_is_sent() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "1000"})
    notifier.send(notify.READY)
    assert notifier.watchdog_interval is None
    notifier.close()


def test_a_systemd_that_is_gone_is_an_error(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    with pytest.raises(FileNotFoundError):
        notifier.send(notify.READY)
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_wants(
    environ: dict[str, str], interval: float | None
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "/nowhere", **environ})
    assert notifier.watchdog_interval == interval
    notifier.close()
