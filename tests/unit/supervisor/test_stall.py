"""What silence means, by phase and duration."""

import pytest

from stator.runtime.config import Workers
from stator.supervisor.policy import Event, Phase
from stator.supervisor.stall import judge, limits_of

WORKERS = Workers(stall_warning=5, stall_timeout=60, start_timeout=30)


@pytest.mark.parametrize(
    ("phase", "silent", "event"),
    [
        (Phase.READY, 4.9, None),
        (Phase.READY, 5.0, Event.FELL_SILENT),
        (Phase.READY, 59.9, Event.FELL_SILENT),
        (Phase.READY, 60.0, Event.STALLED),
        (Phase.STARTING, 14.9, None),
        (Phase.STARTING, 15.0, Event.FELL_SILENT),
        (Phase.STARTING, 30.0, Event.STALLED),
    ],
)
def test_silence_is_reported_first_and_ended_later(
    phase: Phase, silent: float, event: Event | None
) -> None:
    limits = limits_of(phase, WORKERS)
    assert limits
    assert judge(silent, limits) is event


@pytest.mark.parametrize(
    "phase", [Phase.WAITING, Phase.DYING, Phase.ROLLING, Phase.STOPPING, Phase.STOPPED]
)
def test_a_child_that_is_leaving_may_be_silent(phase: Phase) -> None:
    assert limits_of(phase, WORKERS) is None
