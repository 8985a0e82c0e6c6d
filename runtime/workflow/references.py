"""Names by which a class or function is found again after a restart: ``"app.orders:Receipt"``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def reference_of(thing: Any) -> str:
    """Return the module and qualified name of a class or function."""
    return f"{thing.__module__}:{thing.__qualname__}"


def find(reference: str) -> Any:
    """Return what a reference names, importing its module if nobody has.

    Raises ``LookupError`` if it is not there, or its module cannot be imported.
    """
    module, _, path = reference.partition(":")
    try:
        found: Any = sys.modules.get(module) or import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except Exception as error:  # importing runs code of the application
        raise LookupError(f"{reference} cannot be found: {error}") from error
    return found


def is_findable(thing: Any) -> bool:
    """Whether its reference leads to a class or function: not if it is local to a function."""
    try:
        return find(reference_of(thing)) is thing
    except (LookupError, AttributeError):
        return False
