"""Runs ``async def`` tests, each in an event loop of its own.

A conftest takes it over by importing :func:`pytest_pyfunc_call`. A test fails when it takes
longer than :data:`DEADLINE_S` and when a callback of the loop raised: what asyncio would only
log is a bug here.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

DEADLINE_S = 20.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the test if it is a coroutine function; pytest asks this of every test."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    raised: list[dict[str, Any]] = []
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _, context: raised.append(context))
        runner.run(asyncio.wait_for(test(**arguments), DEADLINE_S))
    assert not raised, f"the event loop caught: {raised}"
    return True
