"""Why the last roll was stopped: a text in a memfd, as the control block holds numbers only.

Whoever may look at the control block may read it, through ``/proc``. The control block counts the
stopped rolls; the text is written before the count, so it is there for who sees that one more was.
"""

from __future__ import annotations

import os

COMPLAINT_BYTES = 8192
"""No more of a text is read."""


class Complaint:
    """The text, as the supervisor holds it. ``close`` when nobody is to read it any more."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("stator-complaint", os.MFD_CLOEXEC)

    def write(self, text: str) -> None:
        """Replace the text."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, text.encode(errors="replace"), 0)

    def close(self) -> None:
        """Close the memfd."""
        os.close(self.fd)


def read_complaint(pid: int, fd: int) -> str:
    """Return the text that process ``pid`` holds as ``fd``, empty if it cannot be read."""
    try:
        mine = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return os.pread(mine, COMPLAINT_BYTES, 0).decode("utf-8", "replace")
    except OSError:
        return ""  # what has this number now is no file: the supervisor is gone
    finally:
        os.close(mine)
