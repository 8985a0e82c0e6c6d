"""``python -m stator serve`` with a test application, and requests to it byte by byte."""

from __future__ import annotations

import http.client
import json
import os
import queue
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests.fakes.running_service import DEADLINE, RunningService

APPLICATION = Path(__file__).parents[1] / "process" / "apps" / "many_kinds"

Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True)
class HttpAnswer:
    """What came back."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """Status, group and code of an error: ``400 guard.missing_header``."""
        body = self.json
        return f"{self.status} {body['group']}.{body['code']}"


class RealService(RunningService):
    """A service with real children; settings are those of ``--set``."""

    def __init__(
        self,
        data: Path,
        settings: Mapping[str, object] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        chosen: dict[str, object] = {
            "application.registry": "app:registry",
            "application.path": APPLICATION,
            "storage.directory": data,
            "storage.shards": 4,
            "server.port": 0,
            "workers.count": 2,
            "workers.heartbeat_interval": 0.05,
            "workers.restart_backoff": 0.01,
            "workers.roll_watch": 0,
            "log.format": "json",
            **(settings or {}),
        }
        overrides = [f"--set={name}={value}" for name, value in chosen.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stator", "serve", *overrides],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environ or {})},
        )
        self.pid = self._process.pid
        self.log: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._endpoint = ""

    def __enter__(self) -> RealService:
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__(None, None, None)
        assert self._process.stderr
        self._process.stderr.close()

    @property
    def endpoint(self) -> str:
        """``http://127.0.0.1:port``."""
        if not self._endpoint:
            self._endpoint = self.record().endpoint
        return self._endpoint

    def complaint(self) -> str:
        """Return what a service that ended wrote to standard error."""
        assert self._process.stderr
        return self._process.stderr.read().decode()

    # -- requests

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection."""
        parts = urlsplit(self.endpoint)
        assert parts.hostname
        if parts.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=DEADLINE, context=context
            )
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE)

    def request(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Send one request over a connection of its own; an iterable body is sent in chunks."""
        connection = self.connect()
        try:
            return request_over(connection, method, path, body, headers)
        finally:
            connection.close()

    def send_json(
        self, method: str, path: str, value: object, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Send a JSON body."""
        body = json.dumps(value).encode()
        return self.request(
            method, path, body, {"content-type": "application/json", **(headers or {})}
        )

    def action(
        self,
        name: str,
        action: str,
        *arguments: object,
        key: str = "k",
        headers: Mapping[str, str] | None = None,
        **parameters: str,
    ) -> HttpAnswer:
        """Call an action in JSON, creating the actor."""
        path = make_path(name, action, key, **parameters)
        return self.send_json("POST", path, {"args": arguments}, headers)

    def output(self, name: str, action: str, *arguments: object, key: str = "k") -> Any:
        """Return what an action returned."""
        answer = self.action(name, action, *arguments, key=key)
        assert answer.status == 200, answer
        return answer.json["output"]

    def speak(self, data: bytes) -> bytes:
        """Send raw bytes and return everything until the service closes the connection.

        It does so after an HTTP error, and after ``connection: close``.
        """
        parts = urlsplit(self.endpoint)
        assert parts.hostname and parts.port
        with socket.create_connection((parts.hostname, parts.port), DEADLINE) as raw:
            raw.sendall(data)
            received = b""
            while chunk := raw.recv(65536):
                received += chunk
        return received


def request_over(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Body = None,
    headers: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """Send a request over an open connection."""
    chunked = body is not None and not isinstance(body, bytes)
    framing = {"transfer-encoding": "chunked"} if chunked else {}
    connection.request(method, path, body, {**framing, **(headers or {})}, encode_chunked=chunked)
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    return HttpAnswer(response.status, names, response.read())


def make_path(name: str, action: str, key: str = "k", **parameters: str) -> str:
    """Return the query path of an action; ``parameters`` are ``rvt-*`` without the prefix."""
    routing = {
        "rvt-namespace": "default",
        "rvt-method": "getOrCreate",
        "rvt-runner": "default",
        "rvt-key": key,
        **{f"rvt-{name.replace('_', '-')}": value for name, value in parameters.items()},
    }
    if routing["rvt-method"] == "get":
        del routing["rvt-runner"]
    return f"/gateway/{quote(name, safe='')}/action/{quote(action, safe='')}?{urlencode(routing)}"
