"""What the official clients met; they run once, whatever number of processes pytest uses."""

from __future__ import annotations

import fcntl
import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.official_clients import HERE, RUNS, VERSIONS, Problems, run_all
from tests.interop.service import Service

TOKEN = "to-ken/with=odd&parts"


@pytest.fixture(scope="session")
def problems(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> dict[str, Problems]:
    """Return the problems of every case, by the name of the run and the sentence."""
    directory = tmp_path_factory.getbasetemp().parent / f"interop-{testrun_uid}"
    directory.mkdir(exist_ok=True)
    results = directory / "problems.json"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not results.exists():
            results.write_text(json.dumps(_meet_problems(directory)))
    found: dict[str, Problems] = json.loads(results.read_bytes())
    return found


def _meet_problems(directory: Path) -> dict[str, Problems]:
    with ExitStack() as stack:
        namespaces = {"namespaces.names": '["default", "other"]'}
        opened = stack.enter_context(Service(directory / "open", HERE, namespaces))
        token = {"auth.client_token": TOKEN}
        closed = stack.enter_context(Service(directory / "closed", HERE, token))
        elsewhere = {"server.public_endpoint": opened.endpoint}
        redirecting = stack.enter_context(Service(directory / "redirecting", HERE, elsewhere))
        services = {
            "open": opened.endpoint,
            "closed": closed.endpoint,
            "token": TOKEN,
            "redirecting": redirecting.endpoint,
            **_realtime_services(stack, directory),
        }
        return run_all(RUNS, services, directory)


def _realtime_services(stack: ExitStack, directory: Path) -> dict[str, str]:
    """Services with rooms; each version has one whose processes it may kill."""
    application = HERE / "rooms"
    rooms = stack.enter_context(Service(directory / "rooms", application))
    token = {"auth.client_token": TOKEN}
    locked = stack.enter_context(Service(directory / "locked", application, token))
    services = {"rooms": rooms.endpoint, "locked": locked.endpoint}
    for version in VERSIONS:
        settings = {"workers.restart_backoff": 0.01}
        fragile = Service(directory / f"fragile-{version}", application, settings)
        stack.enter_context(fragile)
        services[f"fragile {version}"] = fragile.endpoint
        services[f"supervisor {version}"] = str(fragile.pid)
    return services
