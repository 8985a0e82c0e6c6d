"""Calls of code in a thread that have to happen on the event loop (``guard.py``, rule 4)."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..workflow_errors import OutsideStep

_PATIENCE_S = 1.0
"""A thread that waits looks so often whether it still makes sense."""


def call_on_loop(
    loop: asyncio.AbstractEventLoop, call: Callable[[], Any], is_wanted: Callable[[], bool]
) -> Any:
    """Call on ``loop`` in the context of the caller; return what it returns, raise what it raises.

    On the loop itself this is a plain call. In a thread it waits for the loop; once nobody wants
    it any more, or the loop is closed, it raises ``workflow.outside_step``, having done nothing.
    """
    try:
        if asyncio.get_running_loop() is loop:
            return call()
    except RuntimeError:
        pass  # in a thread there is none
    outcome: Future[Any] = Future()
    context = contextvars.copy_context()
    try:
        loop.call_soon_threadsafe(_settle, outcome, call, is_wanted, context=context)
    except RuntimeError as error:
        raise OutsideStep("the worker of this actor has ended") from error
    while True:
        try:
            return outcome.result(timeout=_PATIENCE_S)
        except TimeoutError:
            if outcome.done():
                raise  # what the call itself raised
            if loop.is_closed() and outcome.cancel():
                raise OutsideStep("the worker of this actor has ended") from None


def _settle(outcome: Future[Any], call: Callable[[], Any], is_wanted: Callable[[], bool]) -> None:
    if not outcome.set_running_or_notify_cancel():
        return
    if not is_wanted():
        outcome.set_exception(OutsideStep("the attempt of this step is over"))
        return
    try:
        outcome.set_result(call())
    except BaseException as error:  # it is the thread's
        outcome.set_exception(error)
