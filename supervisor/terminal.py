"""The terminal the supervisor was started from, if any.

The kernel sends SIGHUP when it is closed, which must not be taken for the wish to roll workers.
"""

from __future__ import annotations

import os


def has_terminal() -> bool:
    """Whether this process has a controlling terminal that is still there (tty(4))."""
    try:
        fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(fd)
    return True
