"""Hooks and actions may be plain or ``async``, and a plain one may return an awaitable."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any


async def result_of(output: Any) -> Any:
    """Return what a call produced in the end: ``output``, awaited if it wants to be."""
    return await output if isawaitable(output) else output
