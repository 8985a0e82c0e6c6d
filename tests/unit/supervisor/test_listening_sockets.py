"""The listening sockets: addresses, activation by systemd, and what is said when one is taken."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from stator.runtime.config import Server
from stator.runtime.exit_codes import ExitCode
from stator.supervisor import sockets
from stator.supervisor.failure import ServiceFailure
from stator.supervisor.sockets import endpoint_of, open_public_listeners, open_unix_listener


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def test_a_port_is_listened_on_before_anyone_accepts(opened: ExitStack) -> None:
    (listener,) = open_public_listeners(Server(port=0), {}, opened)
    with socket.create_connection(listener.getsockname(), timeout=5):
        pass
    assert not listener.get_inheritable()


def test_a_port_left_in_time_wait_can_be_taken_again(opened: ExitStack) -> None:
    (first,) = open_public_listeners(Server(port=0), {}, opened)
    address = first.getsockname()
    with socket.create_connection(address, timeout=5):
        accepted, _ = first.accept()
        accepted.close()
    first.close()
    (second,) = open_public_listeners(Server(port=address[1]), {}, opened)
    assert second.getsockname() == address


def test_all_addresses_of_a_name_get_the_same_port(opened: ExitStack) -> None:
    listeners = open_public_listeners(Server(host="localhost", port=0), {}, opened)
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    assert listeners[0].family == socket.AF_INET


def test_a_port_in_use_is_named(opened: ExitStack) -> None:
    (taken,) = open_public_listeners(Server(port=0), {}, opened)
    port = taken.getsockname()[1]
    with pytest.raises(ServiceFailure, match=f"^port {port} on 127.0.0.1 is in use") as failed:
        open_public_listeners(Server(port=port), {}, opened)
    assert failed.value.exit_code is ExitCode.ADDRESS


@pytest.mark.parametrize("host", ["203.0.113.1", "fe80::1%nowhere"])
def test_a_host_that_is_not_here_is_named(opened: ExitStack, host: str) -> None:
    with pytest.raises(ServiceFailure, match=f"cannot listen on {host} port 1234: ") as failed:
        open_public_listeners(Server(host=host, port=1234), {}, opened)
    assert failed.value.exit_code is ExitCode.ADDRESS


def test_a_unix_socket_is_opened_beside_the_port(opened: ExitStack, tmp_path: Path) -> None:
    server = Server(port=0, unix_socket=str(tmp_path / "public"))
    listeners = open_public_listeners(server, {}, opened)
    assert [listener.family for listener in listeners] == [socket.AF_INET, socket.AF_UNIX]
    opened.close()
    assert not (tmp_path / "public").exists()


def test_a_unix_socket_of_a_dead_service_is_replaced(opened: ExitStack, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(tmp_path / "public"))
    server = Server(port=0, unix_socket=str(tmp_path / "public"))
    assert len(open_public_listeners(server, {}, opened)) == 2


def test_a_unix_socket_in_use_is_left_alone(opened: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "public"
    living = open_unix_listener(path, 1, opened)
    with pytest.raises(ServiceFailure, match=f"cannot listen on {path}: Address already in use"):
        open_public_listeners(Server(port=0, unix_socket=str(path)), {}, opened)
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(path))
        living.accept()[0].close()


def test_a_file_in_the_place_of_a_unix_socket_is_left_alone(
    opened: ExitStack, tmp_path: Path
) -> None:
    (tmp_path / "public").write_text("precious")
    with pytest.raises(ServiceFailure, match="Address already in use"):
        open_public_listeners(Server(port=0, unix_socket=str(tmp_path / "public")), {}, opened)
    assert (tmp_path / "public").read_text() == "precious"


def test_sockets_of_systemd_replace_the_port(
    opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as given:
        fd = os.dup2(given.fileno(), 200, inheritable=True)
        monkeypatch.setattr(sockets, "FIRST_ACTIVATED_FD", fd)
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        (listener,) = open_public_listeners(Server(), environ, opened)
        assert listener.getsockname() == given.getsockname()
        assert not listener.get_inheritable()


def test_sockets_of_systemd_for_another_process_are_not_ours(opened: ExitStack) -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    assert sockets.activated_listeners(environ, opened) == []


def test_a_descriptor_of_systemd_that_does_not_listen_is_refused(
    opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbound = os.dup2(socket.socket().detach(), 200)
    monkeypatch.setattr(sockets, "FIRST_ACTIVATED_FD", unbound)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    with pytest.raises(ServiceFailure, match="descriptor 200 of LISTEN_FDS is not a listening"):
        open_public_listeners(Server(), environ, opened)


def test_a_descriptor_of_systemd_that_is_no_socket_is_refused(
    opened: ExitStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setattr(sockets, "FIRST_ACTIVATED_FD", file.fileno())
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        with pytest.raises(ServiceFailure, match="is not a listening socket"):
            open_public_listeners(Server(), environ, opened)


def test_endpoints_are_urls(opened: ExitStack, tmp_path: Path) -> None:
    tcp, unix = open_public_listeners(
        Server(port=0, unix_socket=str(tmp_path / "public")), {}, opened
    )
    port = tcp.getsockname()[1]
    assert endpoint_of(tcp, is_tls=False) == f"http://127.0.0.1:{port}"
    assert endpoint_of(tcp, is_tls=True) == f"https://127.0.0.1:{port}"
    assert endpoint_of(unix, is_tls=False) == f"unix:{tmp_path / 'public'}"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_an_ipv6_endpoint_has_brackets(opened: ExitStack) -> None:
    (listener,) = open_public_listeners(Server(host="::1", port=0), {}, opened)
    port = listener.getsockname()[1]
    assert endpoint_of(listener, is_tls=False) == f"http://[::1]:{port}"
