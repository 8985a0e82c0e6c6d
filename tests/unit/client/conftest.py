"""Fixtures of the client's tests: clients of a stub that do not wait for real."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from stator.client.endpoint import Endpoint
from stator.client.handle import Handles
from stator.client.http_transport import HttpTransport
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.coroutine_tests import pytest_pyfunc_call
from tests.fakes.stub_connections import StubConnections
from tests.fakes.stub_service import StubService

__all__ = ["pytest_pyfunc_call"]


class TimelessClient(Handles):
    """A client whose pauses are noted instead of waited for."""

    def __init__(self, endpoint: Endpoint, encoding: Encoding, headers: dict[str, str]) -> None:
        self.pauses: list[float] = []
        """Seconds."""
        self.now = 0.0
        """What its clock shows, in seconds."""
        self.http = HttpTransport(
            endpoint, encoding, headers, pause=self._pause, clock=lambda: self.now
        )
        super().__init__(self.http)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def connect() -> Callable[..., AbstractAsyncContextManager[TimelessClient]]:
    """Return a context manager that makes a client of a stub and closes it."""

    @asynccontextmanager
    async def open_client(
        stub: StubService | StubConnections,
        encoding: Encoding = Encoding.JSON,
        *,
        token: str | None = None,
        prefix: str = "",
        headers: dict[str, str] | None = None,
    ) -> AsyncGenerator[TimelessClient]:
        endpoint = Endpoint(stub.endpoint + prefix, "default", token)
        client = TimelessClient(endpoint, encoding, headers or {})
        try:
            yield client
        finally:
            await client.http.close()

    return open_client


@pytest.fixture(autouse=True)
def without_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of the machine the tests run on."""
    for name in ("RIVET_ENGINE", "RIVET_ENDPOINT", "RIVET_NAMESPACE", "RIVET_TOKEN"):
        monkeypatch.delenv(name, raising=False)
