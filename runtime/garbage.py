"""The garbage collector of a process that has started: less often, and not what stays anyway."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000
"""Allocations between two collections of young objects; Python's default is 700. A request makes
some dozens that reference counting frees: the default collects every few requests for nothing."""


def settle_collector() -> None:
    """Exempt all that was imported from collection and collect young objects rarely.

    To be called once, when a process is ready to serve. Measured in docs/performance.md.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
