"""The policy: what the supervisor does when something happens to a child. A table, nothing else.

Rule 1. ``TABLE`` maps a phase and an event to the next phase and one action.
Rule 2. A pair that is not in the table is an event that came too late; nothing is done.
Rule 3. Until the service was ready once, an exit that a restart cannot mend (``HOPELESS``), or
        the third start in a row that fails, stops the service. Afterwards a child is restarted
        for ever, with back-off: a service that worked yesterday may work again.
Rule 4. The pause before a restart doubles from one death to the next and is forgotten once the
        child was ready for ``HEALTHY_SECONDS``.
Rule 5. In a drain gateways leave before workers, because workers answer the requests gateways
        still hold. The workers are told as soon as the last gateway left, and at the latest
        after half of the grace period, so that actors have the other half for ``on_sleep``.
Rule 6. In a roll a worker leaves as in a drain and its successor is started at once. Whose turn
        it is, ``roll.py`` knows; it begins none before the service was ready once. If a drain
        begins before the worker is gone, its successor is started all the same, until workers
        are told to stop: gateways hold requests for it.
"""

from __future__ import annotations

from enum import Enum, auto

from stator.runtime.control import Role
from stator.runtime.exit_codes import ExitCode

HOPELESS = frozenset(
    {
        ExitCode.APPLICATION,
        ExitCode.CONFIG,
        ExitCode.STORAGE,
        ExitCode.LOCKED,
        ExitCode.ADDRESS,
    }
)
"""Exit codes of a child that say: the same start will fail the same way."""
MAX_FAILED_STARTS = 3
HEALTHY_SECONDS = 60.0


class Phase(Enum):
    """How far the supervisor is with a child."""

    WAITING = auto()
    """No process; one is spawned after a pause."""
    STARTING = auto()
    """Spawned, not ready."""
    READY = auto()
    """Told that it serves."""
    DYING = auto()
    """Killed by the supervisor in order to be replaced, not gone yet."""
    ROLLING = auto()
    """Asked to leave in order to be replaced, not gone yet."""
    STOPPING = auto()
    """Asked to leave for good, not gone yet."""
    STOPPED = auto()
    """No process, and none wanted."""


class Event(Enum):
    """What can happen to a child."""

    PAUSE_OVER = auto()
    """The pause before its (re)start is over."""
    BECAME_READY = auto()
    """It said that it serves."""
    FELL_SILENT = auto()
    """Its loop did not turn for the time of a warning; or its start takes long."""
    STALLED = auto()
    """Its loop did not turn for too long; or its start took too long."""
    EXITED = auto()
    """Its process is gone."""
    FAILED_FOR_GOOD = auto()
    """Its process is gone and a restart would not help (rule 3)."""
    ROLL = auto()
    """It shall drain, leave and be replaced (rule 6)."""
    OVERDUE = auto()
    """It had the grace period to leave in a roll and did not."""
    STOP = auto()
    """It shall drain and leave."""
    KILL = auto()
    """It shall leave at once: the grace period is over, or the operator insists."""
    ABANDON = auto()
    """Even SIGKILL did not end it in time: it hangs in the kernel."""


class Action(Enum):
    """What the supervisor does about it."""

    NOTHING = auto()
    SPAWN = auto()
    """Start a process."""
    WELCOME = auto()
    """See whether the whole service is ready now."""
    DUMP_STACK = auto()
    """Have it write its stacks, which are then logged with a warning."""
    RESTART_LATER = auto()
    """Begin the pause before the next start (rule 4)."""
    GIVE_UP = auto()
    """Stop the service with the exit code of this child."""
    RETIRE = auto()
    """SIGTERM, and the grace period begins."""
    SUCCEED = auto()
    """Start the successor of the process that left."""
    TERMINATE = auto()
    """SIGTERM."""
    KILL = auto()
    """SIGKILL."""
    ABANDON = auto()
    """Log it and do not wait for it any more."""


TABLE: dict[tuple[Phase, Event], tuple[Phase, Action]] = {
    (Phase.WAITING, Event.PAUSE_OVER): (Phase.STARTING, Action.SPAWN),
    (Phase.WAITING, Event.STOP): (Phase.STOPPED, Action.NOTHING),
    (Phase.WAITING, Event.KILL): (Phase.STOPPED, Action.NOTHING),
    (Phase.STARTING, Event.BECAME_READY): (Phase.READY, Action.WELCOME),
    (Phase.STARTING, Event.FELL_SILENT): (Phase.STARTING, Action.DUMP_STACK),
    (Phase.STARTING, Event.STALLED): (Phase.DYING, Action.KILL),
    (Phase.STARTING, Event.EXITED): (Phase.WAITING, Action.RESTART_LATER),
    (Phase.STARTING, Event.FAILED_FOR_GOOD): (Phase.STOPPED, Action.GIVE_UP),
    (Phase.STARTING, Event.STOP): (Phase.STOPPING, Action.TERMINATE),
    (Phase.STARTING, Event.KILL): (Phase.STOPPING, Action.KILL),
    (Phase.READY, Event.FELL_SILENT): (Phase.READY, Action.DUMP_STACK),
    (Phase.READY, Event.STALLED): (Phase.DYING, Action.KILL),
    (Phase.READY, Event.EXITED): (Phase.WAITING, Action.RESTART_LATER),
    (Phase.READY, Event.FAILED_FOR_GOOD): (Phase.STOPPED, Action.GIVE_UP),
    (Phase.READY, Event.ROLL): (Phase.ROLLING, Action.RETIRE),
    (Phase.READY, Event.STOP): (Phase.STOPPING, Action.TERMINATE),
    (Phase.READY, Event.KILL): (Phase.STOPPING, Action.KILL),
    (Phase.DYING, Event.EXITED): (Phase.WAITING, Action.RESTART_LATER),
    (Phase.DYING, Event.FAILED_FOR_GOOD): (Phase.STOPPED, Action.GIVE_UP),
    (Phase.DYING, Event.STOP): (Phase.STOPPING, Action.NOTHING),
    (Phase.DYING, Event.KILL): (Phase.STOPPING, Action.KILL),
    (Phase.ROLLING, Event.EXITED): (Phase.STARTING, Action.SUCCEED),
    (Phase.ROLLING, Event.OVERDUE): (Phase.ROLLING, Action.KILL),
    (Phase.ROLLING, Event.STOP): (Phase.STOPPING, Action.NOTHING),
    (Phase.ROLLING, Event.KILL): (Phase.STOPPING, Action.KILL),
    (Phase.STOPPING, Event.EXITED): (Phase.STOPPED, Action.NOTHING),
    (Phase.STOPPING, Event.FAILED_FOR_GOOD): (Phase.STOPPED, Action.NOTHING),
    (Phase.STOPPING, Event.KILL): (Phase.STOPPING, Action.KILL),
    (Phase.STOPPING, Event.ABANDON): (Phase.STOPPED, Action.ABANDON),
}

DRAIN: tuple[tuple[float, Role, Event], ...] = (
    (0.0, Role.GATEWAY, Event.STOP),
    (0.5, Role.GATEWAY, Event.KILL),
    (0.5, Role.WORKER, Event.STOP),
    (1.0, Role.WORKER, Event.KILL),
)
"""What children are told in a drain, and after which part of the grace period (rule 5)."""


def decide(phase: Phase, event: Event) -> tuple[Phase, Action]:
    """Return the next phase and what to do (rules 1 and 2)."""
    return TABLE.get((phase, event), (phase, Action.NOTHING))


def classify_exit(code: int, *, failed_starts: int, has_served: bool) -> Event:
    """Return which event an exit is (rule 3).

    ``code`` is negative for a signal; ``failed_starts`` counts this one if it was not ready.
    """
    is_hopeless = code in HOPELESS or failed_starts >= MAX_FAILED_STARTS
    return Event.FAILED_FOR_GOOD if is_hopeless and not has_served else Event.EXITED


def service_exit_code(code: int) -> ExitCode:
    """Return the exit code of a service that gave up on a child that exited with ``code``."""
    return ExitCode(code) if code in HOPELESS else ExitCode.CHILD


def next_pause(last: float, *, was_healthy: bool, first: float, longest: float) -> float:
    """Return the pause before the next start, in seconds; ``last`` is 0 before the first (4)."""
    return first if was_healthy or not last else min(last * 2, longest)
