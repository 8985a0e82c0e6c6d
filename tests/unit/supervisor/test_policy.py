"""The policy table, pair by pair: what a child in any phase is done by any event."""

import pytest

from stator.runtime.control import Role
from stator.runtime.exit_codes import ExitCode
from stator.supervisor import policy
from stator.supervisor.policy import Action, Event, Phase, classify_exit, decide, next_pause

_ = (None, Action.NOTHING)
EVENTS = (
    Event.PAUSE_OVER,
    Event.BECAME_READY,
    Event.FELL_SILENT,
    Event.STALLED,
    Event.EXITED,
    Event.FAILED_FOR_GOOD,
    Event.ROLL,
    Event.OVERDUE,
    Event.STOP,
    Event.KILL,
    Event.ABANDON,
)
RESTART = (Phase.WAITING, Action.RESTART_LATER)
GIVE_UP = (Phase.STOPPED, Action.GIVE_UP)
GONE = (Phase.STOPPED, Action.NOTHING)
EXPECTED: dict[Phase, tuple[tuple[Phase | None, Action], ...]] = {
    Phase.WAITING: ((Phase.STARTING, Action.SPAWN), *(_,) * 7, GONE, GONE, _),
    Phase.STARTING: (
        _,
        (Phase.READY, Action.WELCOME),
        (None, Action.DUMP_STACK),
        (Phase.DYING, Action.KILL),
        RESTART,
        GIVE_UP,
        *(_, _),
        (Phase.STOPPING, Action.TERMINATE),
        (Phase.STOPPING, Action.KILL),
        _,
    ),
    Phase.READY: (
        _,
        _,
        (None, Action.DUMP_STACK),
        (Phase.DYING, Action.KILL),
        RESTART,
        GIVE_UP,
        (Phase.ROLLING, Action.RETIRE),
        _,
        (Phase.STOPPING, Action.TERMINATE),
        (Phase.STOPPING, Action.KILL),
        _,
    ),
    Phase.DYING: (
        *(_, _, _, _),
        RESTART,
        GIVE_UP,
        *(_, _),
        (Phase.STOPPING, Action.NOTHING),
        (Phase.STOPPING, Action.KILL),
        _,
    ),
    Phase.ROLLING: (
        *(_, _, _, _),
        (Phase.STARTING, Action.SUCCEED),
        *(_, _),
        (None, Action.KILL),
        (Phase.STOPPING, Action.NOTHING),
        (Phase.STOPPING, Action.KILL),
        _,
    ),
    Phase.STOPPING: (
        *(_, _, _, _),
        GONE,
        GONE,
        *(_, _, _),
        (None, Action.KILL),
        (Phase.STOPPED, Action.ABANDON),
    ),
    Phase.STOPPED: (_,) * 11,
}
"""By phase and event, in the order of ``EVENTS``; ``None`` is the same phase."""


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_every_pair_of_phase_and_event(phase: Phase, event: Event) -> None:
    following, action = EXPECTED[phase][EVENTS.index(event)]
    assert decide(phase, event) == (following or phase, action)


def test_a_stopped_child_is_never_revived() -> None:
    assert not any(phase is Phase.STOPPED for phase, _event in policy.TABLE)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.STOPPED])
def test_killing_and_abandoning_ends_every_child(phase: Phase) -> None:
    phase, _action = decide(phase, Event.KILL)
    phase, _action = decide(phase, Event.ABANDON)
    assert phase is Phase.STOPPED


@pytest.mark.parametrize("code", sorted(policy.HOPELESS))
def test_a_hopeless_exit_stops_a_service_that_never_served(code: ExitCode) -> None:
    first = classify_exit(code, failed_starts=1, has_served=False)
    later = classify_exit(code, failed_starts=1, has_served=True)
    assert (first, later) == (Event.FAILED_FOR_GOOD, Event.EXITED)
    assert policy.service_exit_code(code) is code


@pytest.mark.parametrize("code", [0, 1, -9, ExitCode.CHILD, ExitCode.ORPHANED])
def test_any_other_exit_is_repeated_until_the_third_start_failed(code: int) -> None:
    events = [classify_exit(code, failed_starts=failed, has_served=False) for failed in range(1, 4)]
    assert events == [Event.EXITED, Event.EXITED, Event.FAILED_FOR_GOOD]
    assert policy.service_exit_code(code) is ExitCode.CHILD


def test_after_the_service_was_ready_no_number_of_failures_stops_it() -> None:
    assert classify_exit(1, failed_starts=1000, has_served=True) is Event.EXITED


def test_pauses_double_up_to_the_longest() -> None:
    pauses, last = list[float](), 0.0
    for _round in range(6):
        last = next_pause(last, was_healthy=False, first=0.1, longest=1.0)
        pauses.append(last)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_healthy_life_forgets_the_pauses_before_it() -> None:
    assert next_pause(1.0, was_healthy=True, first=0.1, longest=1.0) == 0.1


def test_a_drain_tells_gateways_first_and_kills_everyone_in_the_end() -> None:
    assert [part for part, _role, _event in policy.DRAIN] == sorted(
        part for part, _role, _event in policy.DRAIN
    )
    assert policy.DRAIN[0] == (0.0, Role.GATEWAY, Event.STOP)
    told = {(role, event) for _part, role, event in policy.DRAIN}
    assert told == {(role, event) for role in Role for event in (Event.STOP, Event.KILL)}
    assert policy.DRAIN[-1][0] == 1.0
