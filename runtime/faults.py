"""Named points where a test may fail, delay or kill the process that passes them.

A point costs one dictionary look-up when nothing is armed. They are armed from a test in the same
process (:func:`arm`) or, for child processes, by the environment variable ``STATOR_FAULTS``,
``name=action`` pairs joined by commas; the actions are ``kill`` (SIGKILL to this process) and
``full`` (the disk is full). Nothing else in stator reads the environment below the parent.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

Fault = Callable[[], None]

ENVIRONMENT_VARIABLE = "STATOR_FAULTS"

_armed: dict[str, Fault] = {}


def point(name: str) -> None:
    """Pass the point ``name``: does whatever a test armed there, usually nothing."""
    if _armed:
        fault = _armed.get(name)
        if fault is not None:
            fault()


def arm(name: str, fault: Fault) -> None:
    """Run ``fault`` whenever the point ``name`` is passed, until :func:`disarm`."""
    _armed[name] = fault


def disarm(name: str) -> None:
    """Make the point ``name`` harmless again."""
    _armed.pop(name, None)


def kill_process() -> None:
    """End this process the way a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail_disk_full() -> None:
    """Fail like a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device (armed by a test)")


_ACTIONS: dict[str, Fault] = {"kill": kill_process, "full": fail_disk_full}


def arm_from_environment() -> None:
    """Arm what ``STATOR_FAULTS`` names; an unknown action is a ``KeyError``."""
    for pair in filter(None, os.environ.get(ENVIRONMENT_VARIABLE, "").split(",")):
        name, _, action = pair.partition("=")
        arm(name, _ACTIONS[action])
