"""What ``import stator`` gives to applications, and what it does not drag along."""

import subprocess
import sys
from pathlib import Path

import pytest

import stator
from stator.client.client import Client
from stator.runtime.errors import ActorError, UserError

ROOT = Path(__file__).parents[2]
DOCUMENTED = {
    "Actor",
    "ActorError",
    "Client",
    "Conn",
    "CronJob",
    "Database",
    "Event",
    "HistoryEntry",
    "Options",
    "Queue",
    "QueueMessage",
    "Registry",
    "Request",
    "Response",
    "Schedule",
    "ScheduledFire",
    "UserError",
    "WebSocket",
    "action",
    "setup",
}
"""What docs and examples import (python-api, at the top), and what annotations need."""

HEAVY = {"aiohttp", "apsw", "cbor2", "psutil", "setproctitle", "structlog", "uvloop", "yarl"}


def test_the_public_names_are_the_documented_ones() -> None:
    assert set(stator.__all__) - {"__version__"} == DOCUMENTED
    for name in stator.__all__:
        assert getattr(stator, name) is not None


def test_the_public_names_are_the_things_themselves() -> None:
    assert stator.Client is Client
    assert (stator.ActorError, stator.UserError) == (ActorError, UserError)
    namespace: dict[str, object] = {}
    exec("from stator import *", namespace)
    assert namespace.keys() >= DOCUMENTED


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(stator, "Nothing")  # noqa: B009 - checkers know that it is not there


def test_importing_stator_loads_nothing_for_tests() -> None:
    script = "import sys, stator; stator.Client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not [name for name in done.stdout.split() if name.startswith("stator.testing")]


@pytest.mark.parametrize(
    "module",
    ["stator", "stator.runtime.protocol.encoding", "stator.runtime.link.frames", "stator.__main__"],
)
def test_importing_stator_is_light(module: str) -> None:
    script = f"import sys, {module}; print(*(m for m in sys.modules if '.' not in m))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) == set()
