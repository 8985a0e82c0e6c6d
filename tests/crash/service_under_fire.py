"""A real service that a test kills and starts again, as systemd would."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlencode

import psutil

from tests.fakes.running_service import wait_until

START_SECONDS = 60.0
"""A start includes the drain of the orphans that a killed supervisor left behind."""
ANSWER_SECONDS = 30.0
"""No request of these tests may take longer; a held one is answered within ready_timeout."""
_CHILD = re.compile(r"\b(gateway|worker) \d+\b")
_FIRST_PORT, _LAST_PORT = 20_000, 30_000
"""Below the ports the kernel gives to outgoing connections, so that a restart finds it free."""


class Victim(Enum):
    """Which processes a SIGKILL is for."""

    WORKER = "worker"
    GATEWAY = "gateway"
    SUPERVISOR = "supervisor"
    TREE = "whole tree"

    @property
    def ends_service(self) -> bool:
        """Whether somebody has to start the service again."""
        return self in (Victim.SUPERVISOR, Victim.TREE)


class Answer(NamedTuple):
    """What a caller learned."""

    status: int
    """0 if the connection broke before the answer was complete."""
    value: Any
    """The action's output, else the body, else ``None``."""


class ServiceUnderFire:
    """``stator serve`` on a fixed port and data directory, through all its processes."""

    def __init__(self, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        self.port = _free_port()
        self.log_file = directory / "service.log"
        self._directory = directory
        self._settings: dict[str, object] = {
            "application.registry": "ledger_application:registry",
            "application.path": Path(__file__).parent,
            "server.port": self.port,
            "server.gateways": 2,
            "workers.count": 2,
            "workers.restart_backoff": 0.02,
            "workers.restart_backoff_max": 0.1,
            "workers.grace_period": 5,
            "workers.roll_watch": 0,
            "storage.directory": directory / "data",
            "storage.synchronous": "full",
            "log.format": "json",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._everyone: list[psutil.Process] = []

    @property
    def endpoint(self) -> str:
        """Where the service is, as a URL."""
        return f"http://127.0.0.1:{self.port}"

    # -- lives

    def start(self) -> None:
        """Start the service and return once it says that it is ready."""
        with _notify_socket() as (notify, name):
            self._spawn(name)
            self._wait_ready(notify)
        self.children()

    def start_and_kill(self, victim: Victim, *, once: Callable[[], object]) -> None:
        """Start the service and, when ``once`` returns, kill, ready or not."""
        self._spawn("")
        once()
        self.kill(victim, random.Random())

    def _spawn(self, notify_socket: str) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stator", "serve", *self._overrides()],
                cwd=self._directory,
                env={**os.environ, "NOTIFY_SOCKET": notify_socket},
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """Ask the service to drain and return its exit code."""
        assert self._process
        self._process.terminate()
        return self._process.wait(START_SECONDS)

    def roll(self) -> None:
        """Ask the service to replace its workers one after the other; does not wait for it."""
        assert self._process
        self._process.send_signal(signal.SIGHUP)

    def children(self, role: str = "") -> list[psutil.Process]:
        """Return the living children of the supervisor, of one role if it is given."""
        assert self._process
        found = psutil.Process(self._process.pid).children()
        self._everyone += [child for child in found if child not in self._everyone]
        return [child for child in found if role in _role_of(child)]

    def kill(self, victim: Victim, rng: random.Random) -> None:
        """Send SIGKILL to the supervisor, to everyone, or to any child of a role."""
        assert self._process
        if not victim.ends_service:
            _kill(rng.choice(self._wait_child(victim.value)))
            return
        children = self.children()
        self._process.kill()
        self._process.wait()
        if victim is Victim.TREE:
            for child in children:
                _kill(child)

    def pids(self, role: str) -> list[int]:
        """Return the process ids of the living children of a role."""
        return [child.pid for child in self.children(role)]

    def strike(self, victim: Victim) -> None:
        """Send SIGKILL as :meth:`kill` does; start the service again if that ended it."""
        self.kill(victim, random.Random())
        if victim.ends_service:
            self.start()

    def wait_orphans_gone(self) -> None:
        """Return once every process is gone that is not of the present life."""
        present = self.children() if self._is_running() else []
        orphans = [process for process in self._everyone if process not in present]
        wait_until(lambda: not any(map(_is_alive, orphans)), "the orphans leave")

    def close(self) -> None:
        """Leave no process behind, however the test ended."""
        if self._is_running():
            self.kill(Victim.TREE, random.Random())
        for child in self._everyone:
            _kill(child)

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _overrides(self) -> Iterator[str]:
        for name, value in self._settings.items():
            yield from ("--set", f"{name}={value}")

    def _wait_ready(self, notify: socket.socket) -> None:
        assert self._process
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if b"READY=1" in notify.recv(4096):
                    return
            except TimeoutError:
                log = self.log_file.read_text()[-4000:]
                assert self._process.poll() is None, f"the service did not start:\n{log}"
                assert time.monotonic() < deadline, f"the service is not ready:\n{log}"

    def _wait_child(self, role: str) -> list[psutil.Process]:
        found: list[psutil.Process] = []

        def find() -> bool:
            found[:] = self.children(role)
            return bool(found)

        wait_until(find, f"a {role} lives")
        return found

    # -- calls, one connection each

    def call(self, actor: str, key: str, action: str, *arguments: object) -> Answer:
        """Call an action of an actor, which is created if there is none."""
        path = action_path(actor, key, action)
        answer = self.request("POST", path, {"args": arguments})
        return answer if answer.status != 200 else Answer(200, answer.value["output"])

    def enqueue(
        self, actor: str, key: str, queue: str, body: object, *, wait: bool = False
    ) -> Answer:
        """Send a message to a queue of an actor, which is created if there is none."""
        path = inner_path(actor, key, f"queue/{queue}")
        return self.request("POST", path, {"body": body, "wait": wait})

    @contextmanager
    def calling(self, actor: str, key: str, action: str, *arguments: object) -> Generator[None]:
        """Call an action that does not return by itself; what ends it is done in the block."""
        call = Thread(target=self.call, args=(actor, key, action, *arguments), daemon=True)
        call.start()
        yield
        call.join()

    def read(self, actor: str, key: str, action: str, *arguments: object) -> Answer:
        """Ask an actor that may not exist; asks again while its process is being replaced."""
        return self._insist(actor, key, action, arguments, create=False)

    def insist(self, actor: str, key: str, action: str, *arguments: object) -> Answer:
        """Ask an actor, which is created if there is none, in the same way."""
        return self._insist(actor, key, action, arguments, create=True)

    def _insist(
        self, actor: str, key: str, action: str, arguments: tuple[object, ...], *, create: bool
    ) -> Answer:
        path = action_path(actor, key, action, create=create)
        answers: list[Answer] = []

        def is_answered() -> bool:
            answers.append(self.request("POST", path, {"args": arguments}))
            return 0 < answers[-1].status < 500

        wait_until(is_answered, f"{actor} {key} answers, which said {answers[-1:]}")
        status, value = answers[-1]
        return Answer(status, value["output"] if status == 200 else value)

    def request(self, method: str, path: str, body: object = None) -> Answer:
        """Make one request; a broken connection is an answer with status 0."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        headers = {"content-type": "application/json"} if body is not None else {}
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            text = response.read()
        except (ConnectionError, http.client.HTTPException):
            return Answer(0, None)
        finally:
            connection.close()
        return Answer(response.status, json.loads(text) if text else None)


@contextmanager
def service_under_fire(directory: Path, **settings: object) -> Generator[ServiceUnderFire]:
    """Run a service until the block ends; settings have ``__`` for the dot in their names."""
    named = {name.replace("__", "."): value for name, value in settings.items()}
    service = ServiceUnderFire(directory, named)
    try:
        service.start()
        yield service
    finally:
        service.close()


def action_path(actor: str, key: str, action: str, *, create: bool = True) -> str:
    """Return the path of an action (client-protocol, section 3.2)."""
    return inner_path(actor, key, f"action/{action}", create=create)


def inner_path(actor: str, key: str, inner: str, *, create: bool = True) -> str:
    """Return the path of what an actor is asked for (client-protocol, section 3.2)."""
    query = {"rvt-namespace": "default", "rvt-method": "get", "rvt-key": key}
    if create:
        query |= {"rvt-method": "getOrCreate", "rvt-runner": "default"}
    return f"/gateway/{actor}/{inner}?{urlencode(query)}"


def _role_of(child: psutil.Process) -> str:
    try:
        found = _CHILD.search(" ".join(child.cmdline()))
    except psutil.NoSuchProcess:
        return ""
    return found[1] if found else ""


def _is_alive(child: psutil.Process) -> bool:
    try:
        return child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(child: psutil.Process) -> None:
    """Kill this very process; psutil makes sure that its id was not given to another one."""
    try:
        child.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return


@contextmanager
def _notify_socket() -> Generator[tuple[socket.socket, str]]:
    """The socket that systemd would listen on (sd_notify(3)), in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        name = f"stator-crash-{os.getpid()}-{os.urandom(4).hex()}"
        notify.bind(f"\0{name}")
        notify.settimeout(0.1)
        yield notify, f"@{name}"


def _free_port() -> int:
    while True:
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
