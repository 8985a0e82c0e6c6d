"""Tests here may be ``async def``; each has a room to itself."""

import asyncio

import pytest

from tests.fakes.coroutine_tests import pytest_pyfunc_call as pytest_pyfunc_call
from tests.fakes.tested_room import TestedRoom


@pytest.fixture(autouse=True)
def room_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test a gate that is closed and a record that is empty."""
    monkeypatch.setattr(TestedRoom, "gate", asyncio.Event())
    monkeypatch.setattr(TestedRoom, "seen", [])
