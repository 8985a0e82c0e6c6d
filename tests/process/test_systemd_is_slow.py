"""What the service has to say to systemd is not lost when systemd is slow to listen."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.running_service import RunningService

pytestmark = pytest.mark.process


def test_a_full_notification_socket_delays_the_news_and_loses_none(short_tmp: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(short_tmp / "notify"))
        systemd.settimeout(20)
        filling = _fill(short_tmp / "notify")
        environ = {"NOTIFY_SOCKET": str(short_tmp / "notify")}
        with RunningService(short_tmp / "data", environ=environ) as service:
            endpoint = service.wait_event("service ready")["endpoint"]

            told = [systemd.recv(4096) for _ in range(filling + 1)]

            assert told[filling:] == [f"READY=1\nSTATUS=serving on {endpoint}".encode()]


def _fill(address: Path) -> int:
    """Send messages until the socket takes no more; return how many."""
    sent = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        while True:
            try:
                sender.sendto(b"filling", str(address))
            except BlockingIOError:
                return sent
            sent += 1
