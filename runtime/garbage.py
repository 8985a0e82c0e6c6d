"""The garbage collector of a process that has started: less often, and not what stays anyway."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 5_000
"""Allocations between two collections of young objects; Python's default is 700. A request makes
some dozens that reference counting frees: the default collects every few requests for nothing.
More than this would let cyclic garbage that grew old hold hundreds of megabytes."""


def settle_collector() -> None:
    """Exempt all that was imported from collection and collect young objects less often.

    To be called once, when a process is ready to serve. Measured in docs/performance.md.
    """
    gc.collect()
    gc.freeze()
    _, middle, old = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, middle, old)
