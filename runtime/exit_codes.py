"""The exit codes of every stator process. They are API: systemd units and scripts read them.

Values follow ``sysexits.h`` where one fits, so that they mean the same to an operator who never
read this file. ``docs/reference/exit-codes.md`` lists them; a test keeps it complete.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a process ended."""

    OK = 0
    """Asked to stop, drained, everything committed."""
    FAILURE = 1
    """An unexpected error: a bug in stator or a failing machine. ``stator workflow``: the error
    that the service answered with, which is on stderr."""
    CONFIG = 2
    """The configuration or the command line is invalid; nothing was started."""
    NOT_RUNNING = 3
    """``stator status``, ``upgrade``: no service runs on this data directory (3, as in init
    scripts). ``stator workflow``: none answers."""
    APPLICATION = 65
    """The application (``application.registry``) cannot be imported or is not a registry."""
    ADDRESS = 69
    """A listening address cannot be bound, e.g. the port is in use."""
    STORAGE = 73
    """The data directory or a shard file cannot be opened, written or understood."""
    LOCKED = 75
    """Another service owns the data directory."""
    CHILD = 70
    """A child process could not be started or kept running, or an upgrade was stopped; the log says
    which and why."""
    FORCED = 130
    """A second SIGTERM or SIGINT cut the drain short. Nothing committed is lost."""
    ORPHANED = 76
    """The supervisor died; this child drained and left."""
