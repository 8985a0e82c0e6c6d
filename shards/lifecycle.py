"""The states of one actor in memory (semantics page, section 2.1).

::

    LOADING ──row──> STARTING ──hooks done──> READY ──destroy──> DESTROYING ──> DELETED ──> GONE
       │                │                       ├───sleep──> SLEEPING ──────saved──────> GONE
       │                │                       └───drain──> DRAINING ──────saved──────> GONE
       └──no such actor─┴──hook raised──> GONE                 (lost its storage: any ──> GONE)

====================  ==================================
state                 a request that arrives
====================  ==================================
LOADING, STARTING     waits
READY                 runs
SLEEPING              waits, then meets the next generation
DESTROYING, DELETED   waits, then meets the successor
DRAINING              is refused, the caller repeats it
GONE                  cannot: the actor is in no table
====================  ==================================
"""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """Where an actor in memory is in its life."""

    LOADING = "loading"
    """Its row is being looked up."""
    STARTING = "starting"
    """Its hooks of creation and wake run."""
    READY = "ready"
    DESTROYING = "destroying"
    """It is marked destroyed and its work comes to an end."""
    DELETED = "deleted"
    """Its rows are being deleted; what its work still changes is dropped."""
    SLEEPING = "sleeping"
    """It was asked to leave memory and its work comes to an end."""
    DRAINING = "draining"
    GONE = "gone"
    """No longer in memory; whatever still holds a reference must not write."""


ENDING = frozenset({Status.DESTROYING, Status.DELETED})
"""Where the actor no longer exists for anyone."""

HOLDS_REQUESTS = ENDING | {Status.LOADING, Status.STARTING, Status.SLEEPING}
"""Where a request waits in the actor's own queue."""
